// A recipient is a person who can be reached. This file says what a valid one is; `recipients.ts` stores them.
import { isRecord } from '../kit/record.ts';
import { Refusal } from '../kit/refusal.ts';

export type AttributeValue = string | number | boolean | readonly string[];

export type RecipientInput = {
  readonly displayName?: string;
  readonly email?: string;
  /** BCP 47, such as `de-AT`. */
  readonly locale?: string;
  /** IANA name, such as `Europe/Vienna`. */
  readonly timeZone?: string;
  /** What audience rules ask for; at most 64 of them, 16 KiB as JSON. */
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  /** Where else the person can be reached: kind of address to address, such as `{ sms: '+43...' }`. */
  readonly addresses?: Readonly<Record<string, string>>;
};

/** Who a recipient is: what definitions and audience rules see. */
export type Profile = RecipientInput & {
  readonly id: string;
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  readonly addresses: Readonly<Record<string, string>>;
};

export type Recipient = Profile & { readonly createdAt: Date; readonly updatedAt: Date };

const ID = /^[A-Za-z0-9._:@-]{1,128}$/;
const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/;
// Deliberately loose: the mail server has the last word. It keeps out what would change the meaning of a header.
const EMAIL = /^[^\s@<>,;"()[\]\\]+@[^\s@<>,;"()[\]\\]+$/;
const MAX_ATTRIBUTES_BYTES = 16 * 1024;
const FIELDS = new Set(['displayName', 'email', 'locale', 'timeZone', 'attributes', 'addresses']);

export function isRecipientId(value: unknown): value is string {
  return typeof value === 'string' && ID.test(value);
}

export function isTimeZone(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > 64) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: value });
    return true;
  } catch {
    return false; // a RangeError says that there is no such zone
  }
}

/** Returns `value` when it is a recipient id, else throws `recipient_invalid`. */
export function parseRecipientId(value: unknown): string {
  if (isRecipientId(value)) return value;
  throw invalid('id', 'must be 1 to 128 characters of A-Z a-z 0-9 . _ : @ -');
}

/** Checks what a caller wants to store about a person. Throws `recipient_invalid` with the path of the first fault. */
export function parseRecipient(value: unknown): RecipientInput {
  const given = record(value, 'recipient');
  for (const name of Object.keys(given)) if (!FIELDS.has(name)) throw invalid(name, 'is not a field of a recipient');
  return dropUndefined({
    displayName: optionalText(given.displayName, 'displayName', 200),
    email: parseEmail(given.email),
    locale: parseLocale(given.locale),
    timeZone: parseTimeZone(given.timeZone),
    attributes: given.attributes === undefined ? undefined : parseAttributes(given.attributes),
    addresses: given.addresses === undefined ? undefined : parseAddresses(given.addresses),
  });
}

function parseEmail(value: unknown): string | undefined {
  const email = optionalText(value, 'email', 254);
  if (email !== undefined && !EMAIL.test(email)) throw invalid('email', 'is not an email address');
  return email;
}

function parseLocale(value: unknown): string | undefined {
  const locale = optionalText(value, 'locale', 64);
  if (locale === undefined) return undefined;
  try {
    return Intl.getCanonicalLocales(locale)[0];
  } catch (cause) {
    throw invalid('locale', 'is not a BCP 47 language tag', cause);
  }
}

function parseTimeZone(value: unknown): string | undefined {
  const timeZone = optionalText(value, 'timeZone', 64);
  if (timeZone !== undefined && !isTimeZone(timeZone)) throw invalid('timeZone', 'is not an IANA time zone');
  return timeZone;
}

function parseAttributes(value: unknown): Record<string, AttributeValue> {
  const given = record(value, 'attributes');
  const entries = named(given, 'attributes').map(([name, entry]) => [name, parseAttribute(entry, name)] as const);
  const attributes = Object.fromEntries(entries);
  if (Buffer.byteLength(JSON.stringify(attributes)) > MAX_ATTRIBUTES_BYTES) {
    throw invalid('attributes', `have more than ${MAX_ATTRIBUTES_BYTES} bytes`);
  }
  return attributes;
}

function parseAttribute(value: unknown, name: string): AttributeValue {
  const at = `attributes.${name}`;
  if (typeof value === 'string') return storable(value, at);
  if (typeof value === 'boolean') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (Array.isArray(value) && value.length <= 100 && value.every((entry) => typeof entry === 'string')) {
    return value.map((entry) => storable(entry, at));
  }
  throw invalid(at, 'must be text, a number, true or false, or a list of at most 100 texts');
}

function parseAddresses(value: unknown): Record<string, string> {
  const given = record(value, 'addresses');
  const entries = named(given, 'addresses').map(([name, entry]) => {
    const address = optionalText(entry, `addresses.${name}`, 2_000);
    if (address === undefined) throw invalid(`addresses.${name}`, 'must be text');
    return [name, address] as const;
  });
  return Object.fromEntries(entries);
}

function named(given: Record<string, unknown>, at: string): [string, unknown][] {
  const entries = Object.entries(given);
  if (entries.length > 64) throw invalid(at, 'has more than 64 entries');
  for (const [name] of entries) {
    if (!NAME.test(name) || name === '__proto__') throw invalid(`${at}.${name}`, 'is not a valid name');
  }
  return entries;
}

function optionalText(value: unknown, at: string, max: number): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw invalid(at, 'must be text');
  if (value.length === 0 || value.length > max) throw invalid(at, `must have 1 to ${max} characters`);
  return storable(value, at);
}

function storable(text: string, at: string): string {
  // PostgreSQL's text has no NUL, and a lone surrogate has no UTF-8.
  if (text.includes('\0') || !text.isWellFormed()) throw invalid(at, 'has a character that cannot be stored');
  return text;
}

function record(value: unknown, at: string): Record<string, unknown> {
  if (!isRecord(value)) throw invalid(at, 'must be an object');
  return value;
}

function dropUndefined(input: { [K in keyof RecipientInput]: RecipientInput[K] | undefined }): RecipientInput {
  const entries = Object.entries(input).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as RecipientInput; // true: only the undefined fields are gone
}

function invalid(path: string, what: string, cause?: unknown): Refusal {
  return new Refusal('recipient_invalid', `The recipient is not valid: ${path} ${what}.`, { path }, cause);
}
