// Settings of topics, queues and subscriptions as flags: the same words for the HTTP API, which counts in milliseconds and
// bytes, and for the client library of Service Bus, which has ISO 8601 durations and names of its own.
import { isRecord } from '../../kit/record.ts';
import { type Call, milliseconds, type Option, stringOption, UsageError } from './command.ts';
import { parseJson } from './entities.ts';

type Kind = 'topic' | 'queue' | 'subscription';
type Value = string | number | boolean | null;
/** A name, and what becomes of the text behind the flag. Undefined where there is no such setting. */
type Side = { readonly name: string; readonly read: (text: string, flag: string) => Value } | undefined;
type Setting = {
  readonly on: readonly Kind[];
  readonly shows: string;
  readonly sentence: string;
  /** In the HTTP API. */
  readonly api: Side;
  /** In the client library of Service Bus. */
  readonly bus: Side;
};

const STATUSES = ['active', 'disabled', 'sendDisabled', 'receiveDisabled'];
/** What the client library takes for "never". */
const FOREVER = 'P10675199DT2H48M5.4775807S';
const KIB = 1024;
const MIB = 1024 * KIB;

const everywhere: readonly Kind[] = ['topic', 'queue', 'subscription'];
const holding: readonly Kind[] = ['topic', 'queue'];
const receiving: readonly Kind[] = ['queue', 'subscription'];

const settings: Readonly<Record<string, Setting>> = {
  'lock-duration': {
    on: receiving,
    shows: 'duration',
    sentence: 'How long a received message is locked, such as 30s or PT30S; 5s to 5m.',
    api: { name: 'lockDurationMs', read: milliseconds },
    bus: { name: 'lockDuration', read: isoDuration },
  },
  'max-delivery-count': {
    on: receiving,
    shows: 'number',
    sentence: 'After so many deliveries in vain a message is dead-lettered.',
    api: { name: 'maxDeliveryCount', read: whole },
    bus: { name: 'maxDeliveryCount', read: whole },
  },
  'requires-session': {
    on: receiving,
    shows: 'true|false',
    sentence: 'Whether messages are received by session; only when it is made.',
    api: { name: 'requiresSession', read: truth },
    bus: { name: 'requiresSession', read: truth },
  },
  'time-to-live': {
    on: everywhere,
    shows: 'duration',
    sentence: 'How long a message lives that says nothing itself; none for ever.',
    api: { name: 'defaultTimeToLiveMs', read: orNone(milliseconds, null) },
    bus: { name: 'defaultMessageTimeToLive', read: orNone(isoDuration, FOREVER) },
  },
  'dead-letter-on-expiry': {
    on: receiving,
    shows: 'true|false',
    sentence: 'Whether a message that expires goes to the dead letters.',
    api: { name: 'deadLetterOnExpiry', read: truth },
    bus: { name: 'deadLetteringOnMessageExpiration', read: truth },
  },
  'dead-letter-on-filter-error': {
    on: ['subscription'],
    shows: 'true|false',
    sentence: 'Whether a message goes there on which a filter fails.',
    api: { name: 'deadLetterOnFilterError', read: truth },
    bus: { name: 'deadLetteringOnFilterEvaluationExceptions', read: truth },
  },
  'forward-to': {
    on: receiving,
    shows: 'name',
    sentence: 'The queue or topic that gets its messages; none for no forwarding.',
    api: { name: 'forwardTo', read: orNone(asIs, null) },
    bus: { name: 'forwardTo', read: orNone(asIs, '') },
  },
  'forward-dead-letters-to': {
    on: receiving,
    shows: 'name',
    sentence: 'The queue or topic that gets its dead letters; none for no forwarding.',
    api: { name: 'forwardDeadLettersTo', read: orNone(asIs, null) },
    bus: { name: 'forwardDeadLetteredMessagesTo', read: orNone(asIs, '') },
  },
  'auto-delete-on-idle': {
    on: everywhere,
    shows: 'duration',
    sentence: 'Delete it when nobody has used it for so long; 5m at least, none for never.',
    api: { name: 'autoDeleteOnIdleMs', read: orNone(milliseconds, null) },
    bus: { name: 'autoDeleteOnIdle', read: orNone(isoDuration, FOREVER) },
  },
  'duplicate-detection': {
    on: holding,
    shows: 'true|false',
    sentence: 'Whether a message id is taken once. In a namespace only when it is made.',
    api: { name: 'duplicateDetection', read: truth },
    bus: { name: 'requiresDuplicateDetection', read: truth },
  },
  'duplicate-window': {
    on: holding,
    shows: 'duration',
    sentence: 'For how long an id is remembered; 20s to 7d.',
    api: { name: 'duplicateDetectionWindowMs', read: milliseconds },
    bus: { name: 'duplicateDetectionHistoryTimeWindow', read: isoDuration },
  },
  'max-size-mb': {
    on: holding,
    shows: 'number',
    sentence: 'How many MiB of messages it holds at most.',
    api: { name: 'maxSizeBytes', read: orNone((text, flag) => whole(text, flag) * MIB, null) },
    bus: { name: 'maxSizeInMegabytes', read: whole },
  },
  'max-message-kb': {
    on: holding,
    shows: 'number',
    sentence: 'How many KiB a message has at most.',
    api: { name: 'maxMessageBytes', read: (text, flag) => whole(text, flag) * KIB },
    bus: { name: 'maxMessageSizeInKilobytes', read: whole },
  },
  retention: {
    on: holding,
    shows: 'duration',
    sentence: 'How long messages stay readable when everybody is done with them. Carillon only.',
    api: { name: 'retentionMs', read: milliseconds },
    bus: undefined,
  },
  partitions: {
    on: holding,
    shows: 'number',
    sentence: 'How many partitions it has; only when it is made. Carillon only.',
    api: { name: 'partitions', read: whole },
    bus: undefined,
  },
  status: {
    on: everywhere,
    shows: 'status',
    sentence: 'active, disabled, sendDisabled or receiveDisabled.',
    api: { name: 'status', read: status },
    bus: { name: 'status', read: (text, flag) => capital(status(text, flag)) },
  },
  metadata: {
    on: everywhere,
    shows: 'text',
    sentence: 'Your own words about it.',
    api: { name: 'userMetadata', read: asIs },
    bus: { name: 'userMetadata', read: asIs },
  },
};

/** The flags of a kind, and `--settings` for what has none. */
export function settingOptions(kind: Kind): Record<string, Option> {
  const own = Object.entries(settings).filter(([, { on }]) => on.includes(kind));
  return {
    ...Object.fromEntries(own.map(([name, { shows, sentence }]) => [name, { type: 'string', shows, sentence }])),
    settings: {
      type: 'string',
      shows: 'json',
      sentence: 'Other settings as a JSON object, as the API (or the client library) takes them.',
    },
  };
}

/**
 * What --settings and, over it, the flags say, by the names of the API or of the client library. `known`: the names that
 * --settings may have, for who would pass over others.
 */
export function settingsGiven(call: Call, side: 'api' | 'bus', known?: readonly string[]): Record<string, unknown> {
  const given = parseJson(stringOption(call, 'settings') ?? '{}');
  if (!isRecord(given)) throw new UsageError('--settings is an object, like {"userMetadata":"of the shop"}.');
  const unknown = known && Object.keys(given).find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new UsageError(
      `--settings: there is no ${unknown}. With --connection-string there are: ${known!.join(', ')}.`,
    );
  return { ...given, ...flagsGiven(call, side) };
}

/** The same for who changes something: there is a setting at least. */
export function changesGiven(call: Call, side: 'api' | 'bus', known?: readonly string[]): Record<string, unknown> {
  const given = settingsGiven(call, side, known);
  if (Object.keys(given).length === 0) throw new UsageError('Give a setting to change.');
  return given;
}

function flagsGiven(call: Call, side: 'api' | 'bus'): Record<string, Value> {
  const given: Record<string, Value> = {};
  for (const [flag, setting] of Object.entries(settings)) {
    const text = stringOption(call, flag);
    if (text === undefined) continue;
    const known = setting[side];
    if (!known) throw new UsageError(`--${flag} is a setting of Carillon: it does not go with --connection-string.`);
    given[known.name] = known.read(text, flag);
  }
  return given;
}

function isoDuration(text: string, flag: string): string {
  return `PT${milliseconds(text, flag) / 1_000}S`;
}

function whole(text: string, flag: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new UsageError(`--${flag} wants a whole number above 0; it is "${text}".`);
}

function truth(text: string, flag: string): boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  throw new UsageError(`--${flag} wants true or false; it is "${text}".`);
}

function status(text: string, flag: string): string {
  const found = STATUSES.find((each) => each.toLowerCase() === text.toLowerCase());
  if (found) return found;
  throw new UsageError(`--${flag} wants one of ${STATUSES.join(', ')}; it is "${text}".`);
}

function capital(text: string): string {
  return text[0]!.toUpperCase() + text.slice(1);
}

function asIs(text: string): string {
  return text;
}

function orNone(read: (text: string, flag: string) => Value, none: Value): (text: string, flag: string) => Value {
  return (text, flag) => (text === 'none' ? none : read(text, flag));
}
