// Checks preferences that a caller wants to store. Strict: an unknown name is a mistake that somebody wants to hear of.
import { channelNames } from '../deliveries/channel.ts';
import { isRecord } from '../kit/record.ts';
import { Refusal } from '../kit/refusal.ts';
import { compileCondition } from './condition.ts';
import {
  type CategorySetting,
  type defaultPreferences,
  type Preferences,
  type PreferredConversation,
  preferableSurfaces,
} from './preferences.ts';
import { isTimeOfDay, type QuietHours } from './quiet-hours.ts';
import { isTimeZone } from './recipient.ts';

const MAX_CATEGORIES = 200;
const MAX_CONDITION = 1_000;
const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/;
const CATEGORY = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const FIELDS = new Set([
  'SendNotificationToMobileDevice',
  'SendNotificationToConversation',
  'categories',
  'quietHours',
  'preferredConversation',
]);
const CHANNELS: ReadonlySet<string> = new Set(channelNames);

/** A full replacement: what is left out is as if never chosen. Throws `preferences_invalid` with the path of the fault. */
export function parsePreferences(value: unknown): Preferences {
  const given = record(value, 'preferences');
  for (const name of Object.keys(given)) if (!FIELDS.has(name)) throw invalid(name, 'is not a preference');
  const mobile = given.SendNotificationToMobileDevice;
  const conversation = given.SendNotificationToConversation;
  return {
    SendNotificationToMobileDevice: flag(mobile, 'SendNotificationToMobileDevice'),
    SendNotificationToConversation: flag(conversation, 'SendNotificationToConversation'),
    categories: given.categories === undefined ? {} : parseCategories(given.categories),
    ...(given.quietHours !== undefined && { quietHours: parseQuietHours(given.quietHours) }),
    ...(given.preferredConversation !== undefined && {
      preferredConversation: parsePreferred(given.preferredConversation),
    }),
  };
}

/** Checks the setting of one category; `at` is where it stands. */
export function parseCategorySetting(value: unknown, at: string): CategorySetting {
  const entries = Object.entries(record(value, at));
  return Object.fromEntries(entries.map(([name, entry]) => [name, parseEntry(name, entry, `${at}.${name}`)]));
}

export function isCategoryName(value: unknown): value is string {
  return typeof value === 'string' && CATEGORY.test(value);
}

function parseCategories(value: unknown): Record<string, CategorySetting> {
  const entries = Object.entries(record(value, 'categories'));
  if (entries.length > MAX_CATEGORIES) throw invalid('categories', `has more than ${MAX_CATEGORIES} entries`);
  return Object.fromEntries(
    entries.map(([name, setting]) => {
      if (!isCategoryName(name)) throw invalid(`categories.${name}`, 'is not a valid name of a category');
      return [name, parseCategorySetting(setting, `categories.${name}`)];
    }),
  );
}

function parseQuietHours(value: unknown): QuietHours {
  const { from, to, timeZone, ...rest } = record(value, 'quietHours');
  for (const name of Object.keys(rest)) throw invalid(`quietHours.${name}`, 'is neither from, nor to, nor timeZone');
  const hours = { from: timeOfDay(from, 'quietHours.from'), to: timeOfDay(to, 'quietHours.to') };
  if (hours.from === hours.to) throw invalid('quietHours.to', 'must differ from the beginning');
  if (timeZone === undefined) return hours;
  if (!isTimeZone(timeZone)) throw invalid('quietHours.timeZone', 'is not an IANA time zone');
  return { ...hours, timeZone };
}

function timeOfDay(value: unknown, at: string): string {
  if (typeof value === 'string' && isTimeOfDay(value)) return value;
  throw invalid(at, 'must be a time of day such as 22:00');
}

function parseEntry(name: string, value: unknown, at: string): boolean | string {
  if (name === 'when') return parseCondition(value, at);
  if (name === 'mutedUntil') return parseTime(value, at);
  if (!CHANNELS.has(name))
    throw invalid(at, `is neither 'when' nor 'mutedUntil' nor a channel (${channelNames.join(', ')})`);
  if (typeof value !== 'boolean') throw invalid(at, 'must be true or false');
  return value;
}

function parsePreferred(value: unknown): PreferredConversation {
  const known = preferableSurfaces.find((each) => each === value);
  if (known === undefined) throw invalid('preferredConversation', `must be one of ${preferableSurfaces.join(', ')}`);
  return known;
}

function parseTime(value: unknown, at: string): string {
  if (typeof value === 'string' && ISO_TIME.test(value) && !Number.isNaN(Date.parse(value))) return value;
  throw invalid(at, 'must be a time such as 2026-01-31T08:00:00Z');
}

function parseCondition(value: unknown, at: string): string {
  if (typeof value !== 'string') throw invalid(at, 'must be text');
  if (value.length > MAX_CONDITION) throw invalid(at, `has more than ${MAX_CONDITION} characters`);
  if (value.includes('\0') || !value.isWellFormed()) throw invalid(at, 'has a character that cannot be stored');
  try {
    compileCondition(value);
    return value;
  } catch (cause) {
    if (!(cause instanceof Refusal)) throw cause;
    throw new Refusal('preferences_invalid', `${at}: ${cause.message}`, { ...cause.details, path: at }, cause);
  }
}

function flag(value: unknown, at: keyof typeof defaultPreferences): boolean {
  if (value === undefined) return true;
  if (typeof value !== 'boolean') throw invalid(at, 'must be true or false');
  return value;
}

function record(value: unknown, at: string): Record<string, unknown> {
  if (!isRecord(value)) throw invalid(at, 'must be an object');
  return value;
}

function invalid(path: string, what: string): Refusal {
  return new Refusal('preferences_invalid', `The preferences are not valid: ${path} ${what}.`, { path });
}
