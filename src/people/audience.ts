// An audience names the recipients of a notification: a list of ids, a rule over what is known of people, or everyone.
// Lists are resolved with the event; rules and everyone are walked in chunks later, because their size is not the event's.
import type { Lookup, PropertyValue } from '../topics/filter/lookup.ts';
import { compileCondition } from './condition.ts';
import { type AttributeValue, isRecipientId, type Profile } from './recipient.ts';

export type Audience =
  | readonly string[]
  | { readonly recipients: readonly string[] }
  /** Filter over a person: `id`, `email`, `locale`, `timeZone`, `displayName`, and attributes by their names. */
  | { readonly where: string }
  | { readonly everyone: true };

/** A checked audience. */
export type Named =
  | { readonly kind: 'list'; readonly ids: readonly string[] }
  /** No condition: everyone. */
  | { readonly kind: 'rule'; readonly where: string | undefined };

/** More people than this in one list are better named by a rule. */
export const MAX_LIST = 10_000;

/** Checks what a definition returned, and drops repetitions. Throws an Error that says what is wrong. */
export function parseAudience(value: unknown): Named {
  if (Array.isArray(value)) return listOf(value);
  if (typeof value !== 'object' || value === null) throw new Error('the audience is neither a list of ids nor a rule');
  if ('recipients' in value && Array.isArray(value.recipients)) return listOf(value.recipients);
  if ('everyone' in value && value.everyone === true) return { kind: 'rule', where: undefined };
  if ('where' in value && typeof value.where === 'string') {
    compileCondition(value.where);
    return { kind: 'rule', where: value.where };
  }
  throw new Error('the audience has neither recipients, nor where, nor everyone');
}

function listOf(given: readonly unknown[]): Named {
  if (given.length > MAX_LIST) throw new Error(`the audience lists more than ${MAX_LIST} recipients`);
  const wrong = given.find((id) => !isRecipientId(id));
  // JSON.stringify gives undefined for undefined, and a person's id is no secret of the one who wrote the definition.
  if (given.some((id) => !isRecipientId(id)))
    throw new Error(`the audience has ${JSON.stringify(wrong)}, which is no recipient id`);
  return { kind: 'list', ids: given.length === 1 ? (given as string[]) : [...new Set(given as string[])] }; // true: checked above
}

/** What a rule can ask about a person. An attribute wins over a field of the same name; a list reads as `,a,b,`. */
export function lookupOfPerson(person: Profile): Lookup {
  const { id, email, locale, timeZone, displayName, attributes } = person;
  const fields: Record<string, string | undefined> = {
    id,
    email,
    locale,
    timezone: timeZone,
    displayname: displayName,
  };
  let folded: Map<string, PropertyValue> | undefined;
  return (scope, name, low) => {
    if (scope !== 'user') return undefined;
    if (Object.hasOwn(attributes, name)) return attributeValue(attributes[name]!);
    folded ??= new Map(Object.entries(attributes).map(([key, value]) => [key.toLowerCase(), attributeValue(value)]));
    return folded.get(low) ?? (Object.hasOwn(fields, low) ? fields[low] : undefined);
  };
}

function attributeValue(value: AttributeValue): PropertyValue {
  // A list reads as `,a,b,`, so that `groups LIKE '%,a,%'` asks for one of its texts.
  return typeof value === 'object' ? `,${value.join(',')},` : value;
}
