// What was filled in with an answer: cleaned, and held to what the card asks for. Clients check as well, but nobody has to
// use one.
import type { Card, CardAction } from '../../kit/card.ts';
import { Refusal } from '../../kit/refusal.ts';
import { reasonInput } from '../cards/answer-data.ts';
import { type Field, fieldsOf } from '../cards/raw/fields.ts';

const MAX_TEXT = 2_000;

export type Accepted = {
  readonly reason: string | undefined;
  /** What the inputs of the card hold, besides the reason; absent when there are none. */
  readonly inputs: Readonly<Record<string, string>> | undefined;
};

/** Throws `reason_required` or `inputs_invalid`. Fields that do not go with the action are left out. */
export function acceptInputs(card: Card, action: CardAction, given: Readonly<Record<string, unknown>>): Accepted {
  const own = reasonInput(action.id);
  const reason = reasonOf(action, given.reason ?? given[own]);
  const fields = card.adaptiveCard ? fieldsOf(card.adaptiveCard, action.id) : [];
  const others = fields.filter(({ id }) => id !== 'reason' && id !== own);
  const entries = others.flatMap((field) => {
    const value = filledIn(field, given[field.id]);
    return value === undefined ? [] : [[field.id, value] as const];
  });
  return { reason, inputs: entries.length > 0 ? Object.fromEntries(entries) : undefined };
}

function reasonOf(action: CardAction, given: unknown): string | undefined {
  const reason = given === undefined ? '' : text(given, 'reason', MAX_TEXT).trim();
  if (reason === '' && action.askReason) {
    const errors = [{ field: 'inputs.reason', problem: 'is missing' }];
    throw new Refusal('reason_required', `“${action.label}” needs a reason.`, { errors });
  }
  return reason === '' ? undefined : reason;
}

function filledIn(field: Field, given: unknown): string | undefined {
  const plain = typeof given === 'number' || typeof given === 'boolean' ? String(given) : given;
  const value = plain === undefined || plain === null ? '' : text(plain, field.id, field.maxLength ?? MAX_TEXT).trim();
  if (value === '') {
    if (field.required) throw invalid(field.id, 'is missing');
    return undefined;
  }
  const problem = problemOf(field, value);
  if (problem !== undefined) throw invalid(field.id, problem);
  return value;
}

const forms: Partial<Record<Field['kind'], readonly [RegExp, string]>> = {
  number: [/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i, 'must be a number'],
  date: [/^\d{4}-\d\d-\d\d$/, 'must be a date such as 2026-11-22'],
  time: [/^\d\d:\d\d$/, 'must be a time such as 08:30'],
};

function problemOf(field: Field, value: string): string | undefined {
  const [form, words] = forms[field.kind] ?? [];
  if (form && !form.test(value)) return words;
  if (form && !isWithin(field, value)) return `must be from ${field.min ?? '…'} to ${field.max ?? '…'}`;
  if (field.choices.length === 0) return undefined;
  const chosen = field.kind === 'choices' ? value.split(',') : [value];
  const known = chosen.every((each) => field.choices.some((choice) => choice.value === each));
  return known ? undefined : 'must be one of the choices of the card';
}

/** Dates and times of these forms are in order as texts. */
function isWithin({ kind, min, max }: Field, value: string): boolean {
  const place = (text: string) => (kind === 'number' ? Number(text) : text);
  return (min === undefined || place(value) >= place(min)) && (max === undefined || place(value) <= place(max));
}

function text(value: unknown, field: string, max: number): string {
  if (typeof value !== 'string') throw invalid(field, 'must be text');
  if (value.length > max) throw invalid(field, `has more than ${max} characters`);
  if (value.includes('\0') || !value.isWellFormed()) throw invalid(field, 'has a character that cannot be stored');
  return value;
}

function invalid(field: string, problem: string): Refusal {
  const errors = [{ field: `inputs.${field}`, problem }];
  return new Refusal('inputs_invalid', `What was filled in is not valid: ${field} ${problem}.`, { errors });
}
