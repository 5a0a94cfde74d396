// The text twin of a card: for push texts, screen readers, `fallbackText`, and surfaces that show no cards.
import type { Card } from '../../kit/card.ts';
import { type Decision, decisionText, openActions, type Reader } from './decision.ts';

export type TextContext = { readonly decision?: Decision | undefined; readonly reader?: Reader | undefined };

/** Plain text of several lines: title, body, facts, link, and what can be answered or was decided. */
export function toText(card: Card, { decision, reader }: TextContext = {}): string {
  const actions = openActions(card, decision).map(({ label }) => label);
  const settled = decisionText(card, decision, reader);
  const parts = [
    card.title,
    card.body ?? '',
    (card.facts ?? []).map(({ label, value }) => `${label}: ${value}`).join('\n'),
    card.link ? `${card.link.label}: ${card.link.url}` : '',
    actions.length > 0 ? `Answers: ${actions.join(' / ')}` : '',
    settled === undefined ? '' : [settled, decision?.reason ?? ''].filter((each) => each !== '').join('\n'),
  ];
  return parts.filter((part) => part.trim() !== '').join('\n\n');
}
