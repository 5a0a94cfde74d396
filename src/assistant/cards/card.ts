// A card as a definition returns it, checked and cleaned with everything in it.
import { type Card, parseCard } from '../../kit/card.ts';
import { Refusal } from '../../kit/refusal.ts';

/** Throws `card_invalid` with the path of the fault. */
export function readCard(value: unknown): Card {
  const card = parseCard(value);
  if (card.adaptiveCard === undefined) return card;
  throw new Refusal('card_invalid', 'adaptiveCard is not supported yet.', { path: 'adaptiveCard' });
}
