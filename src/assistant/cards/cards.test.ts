import * as official from 'adaptivecards';
import fc from 'fast-check';
import MarkdownIt from 'markdown-it';
import { describe, expect, it } from 'vitest';
import type { AdaptiveCard, Card } from '../../kit/card.ts';
import { type AdaptiveSurface, toAdaptiveCard } from './adaptive.ts';
import { readAnswer } from './answer-data.ts';
import { toBlockKit } from './block-kit.ts';
import { readCard } from './card.ts';
import { plain, tame } from './markdown.ts';
import { defaultPolicy } from './policy.ts';
import { fieldsOf } from './raw/fields.ts';
import { toText } from './text.ts';

/** The most careless renderer: HTML passes, everything that looks like a link becomes one. */
const careless = new MarkdownIt({ html: true, linkify: false, validateLink: () => true } as object);
careless.validateLink = () => true;

const decided = {
  state: 'decided',
  actionId: 'reject',
  label: 'Reject',
  by: { id: 'bob' },
  at: new Date(),
  reason: 'No.',
} as const;
const budget: Card = {
  title: 'Rae asks for €7,450',
  body: 'A loom.\nFor the *new* hall <b>',
  facts: [{ label: 'Request', value: 'BUD_1_' }],
  link: { label: 'Open', url: 'https://finance.example/1' },
  actions: [
    { id: 'approve', label: 'Approve', style: 'primary', done: 'Approved' },
    { id: 'reject', label: 'Reject', style: 'danger', askReason: true, done: 'Rejected' },
  ],
};

/** Faults that the official renderer finds in a card. */
function faultsOf(card: AdaptiveCard): string[] {
  const context = new official.SerializationContext();
  const parsed = new official.AdaptiveCard();
  parsed.parse(card, context);
  const events = [...parsed.validateProperties().validationEvents];
  return [
    ...Array.from({ length: context.eventCount }, (_, i) => context.getEventAt(i).message),
    ...events.map((each) => each.message),
  ];
}

function stringsIn(value: unknown, key = ''): [string, string][] {
  if (typeof value === 'string') return [[key, value]];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, each]) => stringsIn(each, Array.isArray(value) ? key : name));
}

/** Asserts that nothing in the card could do harm in the most careless renderer. */
function expectHarmless(card: unknown): void {
  for (const [key, text] of stringsIn(card)) {
    if (/url$/i.test(key) || key === 'poster' || key === 'backgroundImage') {
      expect(text).toMatch(/^(https?:|mailto:|tel:|data:image\/(png|jpeg|gif);base64,)/);
      continue;
    }
    const html = careless.render(text);
    for (const [, tag] of html.matchAll(/<\/?([a-z][a-z\d]*)/gi)) {
      expect([
        'p',
        'em',
        'strong',
        'ul',
        'ol',
        'li',
        'br',
        'a',
        'code',
        'pre',
        'h1',
        'h2',
        'h3',
        'h4',
        'h5',
        'h6',
        'hr',
        'blockquote',
        's',
        'table',
        'thead',
        'tbody',
        'tr',
        'th',
        'td',
      ]).toContain(tag!.toLowerCase());
    }
    for (const [, href] of html.matchAll(/href="([^"]*)"/g)) expect(href).toMatch(/^(https?:|mailto:|tel:)/i);
    expect(html).not.toMatch(/<!--|<\?|<!/);
  }
}

const surfaces: readonly AdaptiveSurface[] = ['directline', 'teams', 'link'];
const show = (card: Card, surface: AdaptiveSurface, decision?: Parameters<typeof toAdaptiveCard>[1]['decision']) =>
  toAdaptiveCard(card, {
    surface,
    noticeId: 'ntc_1',
    decision,
    answerUrl: ({ id }) => `https://carillon.example/a/${id}`,
  });

describe('the neutral card', () => {
  it.each(surfaces)(
    'is an Adaptive Card without a fault for the official renderer on %s, before and after the decision',
    (surface) => {
      for (const decision of [undefined, decided]) {
        const card = show(budget, surface, decision);
        expect(faultsOf(card)).toEqual([]);
        expect(card.fallbackText).toContain('Rae asks for €7,450');
        expectHarmless(card);
      }
    },
  );

  it('has buttons as each surface takes them, and all of them come back as the same answer', () => {
    const [submit] = buttonsOf(show(budget, 'directline'));
    expect(submit).toMatchObject({ type: 'Action.Submit', title: 'Approve', data: { verb: 'decide' } });
    const [execute] = buttonsOf(show(budget, 'teams'));
    expect(execute).toMatchObject({ type: 'Action.Execute', verb: 'decide', fallback: { type: 'Action.Submit' } });
    expect(buttonsOf(show(budget, 'link'))[0]).toMatchObject({
      type: 'Action.OpenUrl',
      url: 'https://carillon.example/a/approve',
    });
    const answer = { noticeId: 'ntc_1', actionId: 'approve', version: expect.any(String), inputs: {} };
    expect(readAnswer(submit!.data)).toEqual(answer);
    expect(
      readAnswer({ action: { type: 'Action.Execute', verb: 'decide', data: execute!.data }, trigger: 'manual' }),
    ).toEqual(answer);
    const slack = toBlockKit(budget, { noticeId: 'ntc_1' }).blocks.at(-1) as { elements: { value: string }[] };
    expect(readAnswer({ type: 'block_actions', actions: [slack.elements[0]] })).toEqual(answer);
  });

  it('asks for the reason where the action does, and reads it back as the reason', () => {
    const [, ask] = buttonsOf(show(budget, 'directline'));
    expect(ask).toMatchObject({
      type: 'Action.ShowCard',
      card: { body: [{ type: 'Input.Text', isRequired: true, label: expect.any(String) }, {}] },
    });
    const inner = ask!.card.body[1].actions[0];
    const inputs = { [ask!.card.body[0].id]: 'Too much.' };
    expect(readAnswer({ ...inner.data, ...inputs })).toMatchObject({
      actionId: 'reject',
      inputs: { reason: 'Too much.' },
    });
    const state = {
      values: { 'reason-reject': { 'reason-reject': { type: 'plain_text_input', value: 'Too much.' } } },
    };
    const buttons = toBlockKit(budget, { noticeId: 'ntc_1' }).blocks.at(-1) as { elements: unknown[] };
    const pressed = readAnswer({ type: 'block_actions', actions: [buttons.elements[1]], state });
    expect(pressed).toMatchObject({ actionId: 'reject', inputs: { reason: 'Too much.' } });
  });

  it('says who decided and has no buttons any more', () => {
    for (const surface of surfaces) {
      const card = show(budget, surface, decided);
      expect(buttonsOf(card).filter(({ type }) => type !== 'Action.OpenUrl' || false).length).toBe(0);
      expect(JSON.stringify(card)).toContain('Rejected by bob');
    }
    expect(JSON.stringify(toBlockKit(budget, { noticeId: 'n', decision: decided }))).toMatch(
      /Rejected by bob(?!.*answer-)/,
    );
    expect(toText(budget, { decision: decided })).toMatch(/Rejected by bob.*\nNo\.$/);
  });

  it('takes nothing for an answer that is none of ours', () => {
    for (const value of [
      undefined,
      null,
      'approve',
      [],
      {},
      { verb: 'decide' },
      { carillon: { noticeId: 1 } },
      { type: 'block_actions' },
      { action: { data: 7 } },
    ]) {
      expect(readAnswer(value)).toBeUndefined();
    }
  });

  it('shows any text as it is, in a renderer of Markdown', () => {
    const shown = (text: string) =>
      careless
        .render(plain(text))
        .replace(/<[^>]*>/g, '')
        .replaceAll('\u2060', '')
        .replaceAll('&lt;', '<')
        .replaceAll('&gt;', '>')
        .replaceAll('&quot;', '"')
        .replaceAll('&amp;', '&')
        .trim();
    for (const text of [
      'a * b * c',
      '**bold**',
      '[x](javascript:1)',
      '<b>hi</b>',
      'snake_case_name',
      '_x_',
      '`code`',
      '# not a title',
      '1. first',
      '- item',
      '> quote',
      '&lt;',
      '~~x~~',
      '\\*',
      'a < b > c',
      '![x](http://y/z)',
      '---',
      '===',
    ]) {
      expect(shown(text)).toBe(text);
    }
  });

  it('keeps every limit of Slack, whatever is in it', () => {
    fc.assert(
      fc.property(anyCard, (card) => {
        const { text, blocks } = toBlockKit(card, { noticeId: 'ntc_1' }) as { text: string; blocks: Block[] };
        expect(text.length).toBeLessThan(40_000);
        expect(text).not.toMatch(/<[!@#]/);
        expect(blocks.length).toBeLessThanOrEqual(50);
        expect(JSON.stringify(blocks).length).toBeLessThanOrEqual(13_000);
        for (const block of blocks) checkBlock(block);
      }),
      { numRuns: 200 },
    );
  });

  it('is harmless as an Adaptive Card, whatever is in it', () => {
    fc.assert(
      fc.property(anyCard, fc.constantFrom(...surfaces), (card, surface) => {
        expectHarmless({ ...show(card, surface), $schema: '' });
        expectHarmless({ ...show(card, surface, decided), $schema: '' });
      }),
      { numRuns: 200 },
    );
  });
});

// biome-ignore lint/suspicious/noExplicitAny: blocks of every kind; a wrong path fails the test.
type Block = any;

function checkBlock(block: Block): void {
  const length = (text: Block, max: number) => {
    expect(text.text.trim().length).toBeGreaterThan(0);
    expect(text.text.length).toBeLessThanOrEqual(max);
  };
  if (block.type === 'header') length(block.text, 150);
  if (block.type === 'section' && block.text) length(block.text, 3000);
  if (block.type === 'section' && block.fields) {
    expect(block.fields.length).toBeLessThanOrEqual(10);
    for (const field of block.fields) length(field, 2000);
  }
  if (block.type !== 'actions') return;
  expect(block.elements.length).toBeLessThanOrEqual(25);
  for (const button of block.elements) {
    length(button.text, 75);
    expect(button.action_id.length).toBeLessThanOrEqual(255);
    expect((button.value ?? '').length).toBeLessThanOrEqual(2000);
    expect((button.url ?? '').length).toBeLessThanOrEqual(3000);
  }
}

// biome-ignore lint/suspicious/noExplicitAny: buttons of every kind; a wrong path fails the test.
function buttonsOf(card: AdaptiveCard): any[] {
  const sets = (card.body as { type: string; actions?: unknown[] }[]).filter(({ type }) => type === 'ActionSet');
  return [...sets.flatMap(({ actions = [] }) => actions), ...((card.actions as unknown[]) ?? [])];
}

const nasty = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom(
    '<img src=x onerror=alert(1)>',
    '![p](https://track.example/p.gif)',
    '[x](javascript:alert(1))',
    '[x](JaVa&#115;cript:alert(1))',
    '[x]( javascript:alert(1))',
    '[x](<javascript:alert(1)>)',
    '[x][1]\n\n[1]: javascript:alert(1)',
    '<javascript:alert(1)>',
    '<script>alert(1)</script>',
    '<!-- -->',
    '<svg/onload=alert(1)>',
    '&lt;b&gt;',
    '{{DATE(2026-01-01T00:00:00Z,SHORT)}}',
    '<!channel> <@U1>',
    '\\<b>',
    '\\\\[x](javascript:1)',
    '`<b>`',
    'data:text/html,<script>1</script>',
  ),
);
const words = (max: number) =>
  fc
    .array(nasty, { minLength: 1, maxLength: 4 })
    .map((parts) => parts.join('').toWellFormed().replaceAll('\0', '').slice(0, max).toWellFormed() || 'x');

const anyCard: fc.Arbitrary<Card> = fc.record(
  {
    title: words(250),
    body: fc.oneof(
      words(8000),
      words(50).map((text) => text.repeat(200).slice(0, 8000).toWellFormed()),
    ),
    facts: fc.array(
      fc.record({
        label: words(200),
        value: fc.oneof(
          words(2000),
          words(20).map((text) => text.repeat(30).slice(0, 600).toWellFormed()),
        ),
      }),
      { maxLength: 30 },
    ),
    link: fc.record({ label: words(200), url: fc.webUrl() }),
    actions: fc.uniqueArray(
      fc.record({ id: fc.stringMatching(/^[\w.:-]{1,64}$/), label: words(75), askReason: fc.boolean() }),
      {
        maxLength: 6,
        selector: ({ id }) => id,
      },
    ),
  },
  { requiredKeys: ['title'] },
);

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
