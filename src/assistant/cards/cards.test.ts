// The neutral card, on every surface.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  buttonsOf,
  careless,
  decided,
  expectHarmless,
  faultsOf,
  show,
  surfaces,
  words,
} from '../../../test/support/cards.ts';
import type { Card } from '../../kit/card.ts';
import { readAnswer } from './answer-data.ts';
import { toBlockKit } from './block-kit.ts';
import { plain } from './markdown.ts';
import { toText } from './text.ts';

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
