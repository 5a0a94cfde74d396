// An Adaptive Card that its author wrote.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  buttonsOf,
  careless,
  decided,
  expectHarmless,
  faultsOf,
  nasty,
  show,
  surfaces,
  words,
} from '../../../test/support/cards.ts';
import type { Card } from '../../kit/card.ts';
import { readAnswer } from './answer-data.ts';
import { toBlockKit } from './block-kit.ts';
import { readCard } from './card.ts';
import { tame } from './markdown.ts';
import { defaultPolicy } from './policy.ts';
import { fieldsOf } from './raw/fields.ts';

// biome-ignore lint/suspicious/noExplicitAny: blocks of every kind; a wrong path fails the test.
type Block = any;

const raw = {
  type: 'AdaptiveCard',
  version: '1.5',
  body: [
    {
      type: 'TextBlock',
      text: '**Budget** <img src=x> [ok](https://a.example/b) [bad](javascript:alert(1))',
      wrap: true,
      size: 'Medium',
    },
    { type: 'FactSet', facts: [{ title: 'Amount', value: 7450 }] },
    {
      type: 'Input.ChoiceSet',
      id: 'account',
      label: 'Account',
      isRequired: true,
      choices: [
        { title: 'A', value: 'a' },
        { title: 'B', value: 'b' },
      ],
    },
    { type: 'Image', url: 'https://images.example/x.png', altText: 'A loom' },
  ],
  actions: [
    { type: 'Action.Submit', id: 'approve', title: 'Approve', style: 'positive', data: { noticeId: 'ntc_other' } },
    {
      type: 'Action.ShowCard',
      title: 'Reject',
      card: {
        type: 'AdaptiveCard',
        body: [{ type: 'Input.Text', id: 'reason', label: 'Why?' }],
        actions: [{ type: 'Action.Execute', verb: 'reject', title: 'Reject' }],
      },
    },
    { type: 'Action.OpenUrl', title: 'Open', url: 'https://finance.example/1' },
  ],
};
const withRaw = (change: object = {}) => ({ title: 'Budget', adaptiveCard: { ...raw, ...change } });

describe('an Adaptive Card of an author', () => {
  it('is cleaned, and its buttons are the actions of the card', () => {
    const card = readCard(withRaw());
    expect(card.actions).toEqual([
      { id: 'approve', label: 'Approve', style: 'primary' },
      { id: 'reject', label: 'Reject' },
    ]);
    const text = JSON.stringify(card.adaptiveCard);
    expect(text).toContain('"value":"7450"');
    expect(text).not.toContain('ntc_other');
    expectHarmless({ ...card.adaptiveCard, $schema: '' });
    expect(careless.render((card.adaptiveCard!.body as { text: string }[])[0]!.text)).toContain(
      '<strong>Budget</strong>',
    );
  });

  it.each(surfaces)('has the buttons of %s, and none once it is decided', (surface) => {
    const card = readCard(withRaw());
    const open = show(card, surface);
    expect(faultsOf(open)).toEqual([]);
    const [approve, reject] = buttonsOf(open);
    if (surface === 'link') {
      expect([approve, reject]).toMatchObject([
        { url: 'https://carillon.example/a/approve' },
        { url: 'https://carillon.example/a/reject' },
      ]);
      expect(JSON.stringify(open)).not.toContain('Input.');
    } else {
      expect(approve.type).toBe(surface === 'teams' ? 'Action.Execute' : 'Action.Submit');
      const value = { ...approve.data, account: 'b', noticeId: 'x' };
      expect(readAnswer(value)).toMatchObject({ noticeId: 'ntc_1', actionId: 'approve', inputs: { account: 'b' } });
    }
    const settled = show(card, surface, decided);
    expect(faultsOf(settled)).toEqual([]);
    expect(buttonsOf(settled)).toMatchObject([{ type: 'Action.OpenUrl', title: 'Open' }]);
    expect(JSON.stringify(settled)).toContain('Reject by bob');
    expect(JSON.stringify(settled)).not.toContain('Input.');
  });

  it('has its inputs on Slack as well, and they come back with the answer', () => {
    const { blocks } = toBlockKit(readCard(withRaw()), { noticeId: 'ntc_1' }) as unknown as { blocks: Block[] };
    const inputs = blocks.filter(({ type }) => type === 'input');
    expect(inputs.map(({ element }) => [element.type, element.action_id])).toEqual([
      ['static_select', 'account'],
      ['plain_text_input', 'reason'],
    ]);
    const values = {
      'input-account': { account: { type: 'static_select', selected_option: { value: 'b' } } },
      'input-reason': { reason: { type: 'plain_text_input', value: null } },
      'input-days': { days: { type: 'checkboxes', selected_options: [{ value: 'mo' }, { value: 'tu' }] } },
      'input-from': { from: { type: 'datepicker', selected_date: '2026-11-22' } },
    };
    const pressed = readAnswer({ type: 'block_actions', actions: [blocks.at(-1).elements[0]], state: { values } });
    expect(pressed).toMatchObject({ actionId: 'approve', inputs: { account: 'b', days: 'mo,tu', from: '2026-11-22' } });
  });

  it('knows which inputs go with which button', () => {
    const { adaptiveCard } = readCard(withRaw());
    expect(fieldsOf(adaptiveCard!, 'approve')).toMatchObject([
      { id: 'account', kind: 'choice', required: true, choices: [{ value: 'a' }, { value: 'b' }] },
    ]);
    expect(fieldsOf(adaptiveCard!, 'reject').map(({ id }) => id)).toEqual(['account', 'reason']);
  });

  const deep = (levels: number): object =>
    levels === 0 ? { type: 'TextBlock', text: 'x' } : { type: 'Container', items: [deep(levels - 1)] };
  const cyclic: { body: unknown[] } = { body: [] };
  cyclic.body.push(cyclic);
  it.each([
    ['body[0].url', { body: [{ type: 'Image', url: 'http://images.example/x.png' }] }],
    ['body[0].url', { body: [{ type: 'Image', url: 'data:image/svg+xml;base64,PHN2Zz4=' }] }],
    ['body[0].type', { body: [{ type: 'Carousel' }] }],
    ['body[0].onclick', { body: [{ type: 'TextBlock', text: 'x', onclick: 'alert(1)' }] }],
    ['body[0].text', { body: [{ type: 'TextBlock' }] }],
    ['body[0].text', { body: [{ type: 'TextBlock', text: { toString: 'x' } }] }],
    [
      'body[0].items[0].color',
      { body: [{ type: 'Container', items: [{ type: 'TextBlock', text: 'x', color: 'url(x)' }] }] },
    ],
    ['actions[0].url', { actions: [{ type: 'Action.OpenUrl', url: 'javascript:alert(1)' }] }],
    ['actions[0].url', { actions: [{ type: 'Action.OpenUrl', url: ' java\nscript:alert(1)' }] }],
    ['actions[0].url', { actions: [{ type: 'Action.OpenUrl', url: '/relative' }] }],
    ['actions[0].url', { actions: [{ type: 'Action.OpenUrl', url: 'https://user:pass@bank.example' }] }],
    ['actions[0].id', { actions: [{ type: 'Action.Submit', title: 'x' }] }],
    [
      'actions[1].id',
      {
        actions: [
          { type: 'Action.Submit', id: 'a' },
          { type: 'Action.Execute', id: 'a' },
        ],
      },
    ],
    ['actions[6]', { actions: Array.from({ length: 7 }, (_, i) => ({ type: 'Action.Submit', id: `a${i}` })) }],
    ['body[20]', { body: Array.from({ length: 21 }, (_, i) => ({ type: 'Input.Text', id: `i${i}` })) }],
    ['body[0].id', { body: [{ type: 'Input.Text', id: 'carillon' }] }],
    ['version', { version: '1.6' }],
    ['refresh', { refresh: { action: { type: 'Action.Execute', verb: 'x' } } }],
    ['', { body: [{ type: 'TextBlock', text: 'x'.repeat(25_000) }] }],
    ['', cyclic],
    [
      'body[0].items[0].items[0].items[0].items[0].items[0].items[0].items[0].items[0].items[0].items[0].items[0].items[0]',
      { body: [deep(20)] },
    ],
  ])('is refused with the path adaptiveCard.%s of the fault', (path, change) => {
    expect(() => readCard(withRaw(change))).toThrow(
      expect.objectContaining({ code: 'card_invalid', details: { path: `adaptiveCard${path && '.'}${path}` } }),
    );
  });

  it('takes images from where the policy says', () => {
    const png = { body: [{ type: 'Image', url: 'data:image/png;base64,iVBORw0KGgo=' }] };
    const remote = { body: [{ type: 'Image', url: 'https://images.example/x.png' }] };
    expect(() => readCard(withRaw(remote), { ...defaultPolicy, images: 'embedded' })).toThrow(
      /PNG, JPEG or GIF in a data: address/,
    );
    expect(() => readCard(withRaw(remote), { ...defaultPolicy, images: ['https://other.example'] })).toThrow(
      'https://other.example',
    );
    readCard(withRaw(remote), { ...defaultPolicy, images: ['https://images.example'] });
    readCard(withRaw(png), { ...defaultPolicy, images: 'embedded' });
  });

  it('must have a button for each listed action, and an input for the reason that one asks for', () => {
    const actions = [
      { id: 'approve', label: 'Approve' },
      { id: 'reject', label: 'Reject', askReason: true },
    ];
    expect(readCard({ ...withRaw(), actions }).actions).toEqual(actions);
    expect(() => readCard({ ...withRaw(), actions: [...actions, { id: 'later', label: 'Later' }] })).toThrow(
      'has no button with the id later',
    );
    expect(() => readCard({ ...withRaw(), actions: [actions[0]] })).toThrow(
      'has a button reject that is not in actions',
    );
    expect(() => readCard({ ...withRaw(), actions: [{ ...actions[0], askReason: true }, actions[1]] })).toThrow(
      'has no input with the id reason',
    );
  });

  it('is harmless or refused, whatever it is', () => {
    let taken = 0;
    fc.assert(
      fc.property(anyRaw, fc.constantFrom(...surfaces), (adaptiveCard, surface) => {
        let card: Card;
        try {
          card = readCard({ title: 'x', adaptiveCard });
        } catch (error) {
          expect(error).toMatchObject({ code: 'card_invalid' });
          return;
        }
        taken++;
        expectHarmless({ ...card.adaptiveCard, $schema: '' });
        expectHarmless({ ...show(card, surface), $schema: '' });
        expectHarmless({ ...show(card, surface, decided), $schema: '' });
        expect(readCard({ title: 'x', actions: card.actions, adaptiveCard: card.adaptiveCard }).adaptiveCard).toEqual(
          card.adaptiveCard,
        );
      }),
      { numRuns: 500 },
    );
    expect(taken).toBeGreaterThan(60);
  });

  it('tames Markdown of any kind', () => {
    fc.assert(
      fc.property(words(3000), (text) => expectHarmless({ text: tame(text) })),
      { numRuns: 500 },
    );
  });
});

const address = fc.oneof(
  { weight: 60, arbitrary: fc.constant('https://images.example/x.png?a="<b>') },
  fc.webUrl({ withFragments: true, withQueryParameters: true }),
  fc.constantFrom(
    'javascript:alert(1)',
    'JAVASCRIPT:alert(1)',
    '\u0001javascript:alert(1)',
    'java\tscript:1',
    'data:text/html,<b>',
    'vbscript:x',
    'file:///etc',
    'mailto:a@b.example?subject=<b>',
    'tel:+43',
    'https://x.example/")](javascript:1)',
    '//evil.example',
    'blob:https://x',
    'data:image/png;base64,AAAA',
  ),
  nasty,
);
const anyRaw = fc.letrec((tie) => ({
  element: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { weight: 12, arbitrary: fc.record({ type: fc.constant('TextBlock'), text: words(200) }) },
    fc.record({
      type: fc.constant('RichTextBlock'),
      inlines: fc.array(fc.oneof(words(50), fc.record({ type: fc.constant('TextRun'), text: words(50) })), {
        maxLength: 3,
      }),
    }),
    fc.record({ type: fc.constant('Image'), url: address, altText: words(50) }, { requiredKeys: ['type', 'url'] }),
    fc.record({
      type: fc.constant('FactSet'),
      facts: fc.array(fc.record({ title: words(30), value: fc.oneof(words(30), fc.integer()) }), { maxLength: 3 }),
    }),
    fc.record({
      type: fc.constant('Input.Text'),
      id: fc.oneof(
        { weight: 20, arbitrary: fc.nat(10_000).map((n) => `i${n}`) },
        { weight: 1, arbitrary: fc.constantFrom('carillon', 'reason', '__proto__') },
      ),
      label: words(30),
      value: words(30),
      placeholder: words(30),
    }),
    fc.record(
      {
        type: fc.constant('Container'),
        items: fc.array(tie('element'), { maxLength: 3 }),
        selectAction: tie('action'),
      },
      { requiredKeys: ['type', 'items'] },
    ),
    fc.record({
      type: fc.constant('ColumnSet'),
      columns: fc.array(
        fc.record(
          { items: fc.array(tie('element'), { maxLength: 2 }), backgroundImage: address },
          { requiredKeys: ['items'] },
        ),
        { maxLength: 2 },
      ),
    }),
    fc.record({ type: fc.constant('ActionSet'), actions: fc.array(tie('action'), { maxLength: 3 }) }),
    fc.record({ type: fc.constant('TextBlock'), text: words(20), fallback: tie('element') }),
    { weight: 1, arbitrary: fc.record({ type: words(10), text: words(10), [`${'on'}click`]: words(10) }) },
  ),
  action: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({ type: fc.constant('Action.OpenUrl'), title: words(30), url: address, tooltip: words(30) }),
    fc.record(
      {
        type: fc.constantFrom('Action.Submit', 'Action.Execute'),
        id: fc.nat(10_000).map((n) => `a${n}`),
        title: words(30),
        data: fc.object(),
        iconUrl: address,
      },
      { requiredKeys: ['type', 'id'] },
    ),
    fc.record({
      type: fc.constant('Action.ShowCard'),
      title: words(30),
      card: fc.record({ type: fc.constant('AdaptiveCard'), body: fc.array(tie('element'), { maxLength: 2 }) }),
    }),
  ),
  card: fc.record(
    {
      type: fc.constant('AdaptiveCard'),
      version: fc.constantFrom('1.0', '1.2', '1.3', '1.5', '1.5', '1.6'),
      body: fc.array(tie('element'), { maxLength: 4 }),
      actions: fc.array(tie('action'), { maxLength: 3 }),
      speak: words(50),
      lang: fc.constantFrom('en', 'de-AT'),
    },
    { requiredKeys: ['type', 'version', 'body'] },
  ),
})).card;
