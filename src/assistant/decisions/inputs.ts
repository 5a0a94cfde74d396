// What was filled in with an answer: cleaned, and held to what the card asks for. Clients check as well, but nobody has to
// use one.
import type { Card, CardAction } from '../../kit/card.ts';
import { Refusal } from '../../kit/refusal.ts';

const MAX_REASON = 2_000;

export type Accepted = {
  readonly reason: string | undefined;
  /** What the inputs of the card hold, besides the reason; absent when there are none. */
  readonly inputs: Readonly<Record<string, string>> | undefined;
};

/** Throws `reason_required` or `inputs_invalid`. Fields that the card does not have are left out. */
export function acceptInputs(_card: Card, action: CardAction, given: Readonly<Record<string, unknown>>): Accepted {
  return { reason: reasonOf(action, given.reason), inputs: undefined };
}

function reasonOf(action: CardAction, given: unknown): string | undefined {
  const reason = given === undefined ? '' : text(given, 'reason', MAX_REASON).trim();
  if (reason === '' && action.askReason) {
    throw new Refusal('reason_required', `“${action.label}” needs a reason.`, {
      errors: [{ field: 'inputs.reason', problem: 'is missing' }],
    });
  }
  return reason === '' ? undefined : reason;
}

function text(value: unknown, field: string, max: number): string {
  if (typeof value !== 'string') throw invalid(field, 'must be text');
  if (value.length > max) throw invalid(field, `has more than ${max} characters`);
  if (value.includes('\0') || !value.isWellFormed()) throw invalid(field, 'has a character that cannot be stored');
  return value;
}

export function invalid(field: string, problem: string): Refusal {
  const errors = [{ field: `inputs.${field}`, problem }];
  return new Refusal('inputs_invalid', `What was filled in is not valid: ${field} ${problem}.`, { errors });
}
