// The inputs of an Adaptive Card that go with one of its buttons: those of the card that the button is on, and of the
// cards around that one. For checking what comes back, and for surfaces that show a form of their own.
import type { AdaptiveCard } from '../../../kit/card.ts';
import { isRecord } from '../../../kit/record.ts';
import { answerTypes, inputTypes } from './schema.ts';
import { type Thing, thingsIn } from './walk.ts';

export type Field = {
  readonly id: string;
  readonly kind: 'text' | 'number' | 'date' | 'time' | 'toggle' | 'choice' | 'choices';
  readonly label: string;
  readonly required: boolean;
  readonly multiline: boolean;
  /** What is there before anybody fills it in. */
  readonly value: string | undefined;
  readonly maxLength: number | undefined;
  readonly min: string | undefined;
  readonly max: string | undefined;
  /** What can be chosen; for a toggle its two values, off first. */
  readonly choices: readonly { readonly label: string; readonly value: string }[];
};

/** Empty when there is no such button. */
export function fieldsOf(card: AdaptiveCard, actionId: string): Field[] {
  return search(card, actionId, []) ?? [];
}

function search(card: Thing, actionId: string, around: readonly Field[]): Field[] | undefined {
  const things = [...thingsIn(card)];
  const here = [...around, ...things.filter(({ type }) => inputTypes.includes(type as string)).map(fieldOf)];
  for (const thing of things) {
    if (answerTypes.includes(thing.type as string) && thing.id === actionId) {
      return thing.associatedInputs === 'none' ? [] : here;
    }
    const shown =
      thing.type === 'Action.ShowCard' && isRecord(thing.card) ? search(thing.card, actionId, here) : undefined;
    if (shown) return shown;
  }
  return undefined;
}

function fieldOf(input: Thing): Field {
  const text = (value: unknown) => (value === undefined ? undefined : String(value));
  return {
    id: input.id as string, // parse.ts requires one
    kind: kindOf(input),
    label: text(input.label) ?? text(input.title) ?? text(input.placeholder) ?? String(input.id),
    required: input.isRequired === true,
    multiline: input.isMultiline === true,
    value: text(input.value),
    maxLength: typeof input.maxLength === 'number' ? input.maxLength : undefined,
    min: text(input.min),
    max: text(input.max),
    choices: choicesOf(input),
  };
}

function kindOf({ type, isMultiSelect }: Thing): Field['kind'] {
  if (type === 'Input.ChoiceSet') return isMultiSelect === true ? 'choices' : 'choice';
  const kinds = {
    'Input.Number': 'number',
    'Input.Date': 'date',
    'Input.Time': 'time',
    'Input.Toggle': 'toggle',
  } as const;
  return kinds[type as keyof typeof kinds] ?? 'text';
}

function choicesOf({ type, choices, valueOff, valueOn }: Thing): Field['choices'] {
  if (type === 'Input.Toggle')
    return [valueOff ?? 'false', valueOn ?? 'true'].map((value) => ({ label: String(value), value: String(value) }));
  if (!Array.isArray(choices)) return [];
  return choices.filter(isRecord).map(({ title, value }) => ({ label: String(title), value: String(value) }));
}
