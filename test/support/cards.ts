// What the tests of cards share: a careless renderer, what it must never be given, and texts that try it.
import * as official from 'adaptivecards';
import fc from 'fast-check';
import MarkdownIt from 'markdown-it';
import { expect } from 'vitest';
import { type AdaptiveSurface, toAdaptiveCard } from '../../src/assistant/cards/adaptive.ts';
import type { AdaptiveCard, Card } from '../../src/kit/card.ts';

/** The most careless renderer: HTML passes, everything that looks like a link becomes one. */
export const careless = new MarkdownIt({ html: true, linkify: false, validateLink: () => true } as object);
careless.validateLink = () => true;

export const decided = {
  state: 'decided',
  actionId: 'reject',
  label: 'Reject',
  by: { id: 'bob' },
  at: new Date(),
  reason: 'No.',
} as const;
/** Faults that the official renderer finds in a card. */
export function faultsOf(card: AdaptiveCard): string[] {
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
export function expectHarmless(card: unknown): void {
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

export const surfaces: readonly AdaptiveSurface[] = ['directline', 'teams', 'link'];
export const show = (
  card: Card,
  surface: AdaptiveSurface,
  decision?: Parameters<typeof toAdaptiveCard>[1]['decision'],
) =>
  toAdaptiveCard(card, {
    surface,
    noticeId: 'ntc_1',
    decision,
    answerUrl: ({ id }) => `https://carillon.example/a/${id}`,
  });

// biome-ignore lint/suspicious/noExplicitAny: buttons of every kind; a wrong path fails the test.
export function buttonsOf(card: AdaptiveCard): any[] {
  const sets = (card.body as { type: string; actions?: unknown[] }[]).filter(({ type }) => type === 'ActionSet');
  return [...sets.flatMap(({ actions = [] }) => actions), ...((card.actions as unknown[]) ?? [])];
}

export const nasty = fc.oneof(
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
export const words = (max: number) =>
  fc
    .array(nasty, { minLength: 1, maxLength: 4 })
    .map((parts) => parts.join('').toWellFormed().replaceAll('\0', '').slice(0, max).toWellFormed() || 'x');
