// A card as a definition returns it, checked and cleaned with everything in it.
import { type Card, parseCard } from '../../kit/card.ts';
import { Refusal } from '../../kit/refusal.ts';
import { reasonInput } from './answer-data.ts';
import { type CardPolicy, defaultPolicy } from './policy.ts';
import { fieldsOf } from './raw/fields.ts';
import { parseAdaptiveCard } from './raw/parse.ts';

/**
 * Throws `card_invalid` with the path of the fault. With an Adaptive Card beside them, the actions of the card are what
 * the buttons of it answer: those that are listed must each have a button, and none listed means all that there are.
 */
export function readCard(value: unknown, policy: CardPolicy = defaultPolicy): Card {
  const card = parseCard(value);
  if (card.adaptiveCard === undefined) return card;
  const raw = parseAdaptiveCard(card.adaptiveCard, policy);
  const actions = card.actions ?? raw.actions;
  for (const { id } of actions) {
    if (!raw.actions.some((button) => button.id === id)) throw invalid(`has no button with the id ${id}`);
  }
  for (const { id } of raw.actions) {
    if (!actions.some((action) => action.id === id)) throw invalid(`has a button ${id} that is not in actions`);
  }
  const complete = { ...card, adaptiveCard: raw.card, ...(actions.length > 0 && { actions }) };
  for (const { id, askReason } of actions) if (askReason) checkReason(complete.adaptiveCard, id);
  return complete;
}

function checkReason(raw: NonNullable<Card['adaptiveCard']>, actionId: string): void {
  const ids = fieldsOf(raw, actionId).map(({ id }) => id);
  if (ids.includes('reason') || ids.includes(reasonInput(actionId))) return;
  throw invalid(`asks for a reason with ${actionId}, but has no input with the id reason that goes with that button`);
}

function invalid(what: string): Refusal {
  return new Refusal('card_invalid', `The card is not valid: adaptiveCard ${what}.`, { path: 'adaptiveCard' });
}
