// What `send`, `watch`, `message` and `dead-letter` say of messages and of the place where they lie, for the HTTP API and for
// the client library of Service Bus alike.
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { segment } from './client.ts';
import { type Call, listOption, milliseconds, type Option, stringOption, UsageError } from './command.ts';
import { parseJson } from './entities.ts';
import { scalars } from './rule-options.ts';

type Row = Record<string, unknown>;

export type Place = { readonly queue: string } | { readonly topic: string; readonly subscription: string };

export const placeOptions: Readonly<Record<string, Option>> = {
  topic: { type: 'string', shows: 'topic', sentence: 'The topic of the subscription.' },
  subscription: { type: 'string', shows: 'name', sentence: 'The subscription.' },
  queue: { type: 'string', shows: 'queue', sentence: 'The queue, instead of the two.' },
};

/** The place that the options name, if they name one. Refuses half of one. */
export function placeGiven(call: Call): Place | undefined {
  const [queue, topic, subscription] = ['queue', 'topic', 'subscription'].map((name) => stringOption(call, name));
  if (queue === undefined && topic === undefined && subscription === undefined) return undefined;
  if (queue !== undefined && topic === undefined && subscription === undefined) return { queue };
  if (queue === undefined && topic !== undefined && subscription !== undefined) return { topic, subscription };
  throw new UsageError('Give --topic and --subscription, or --queue.');
}

export function placeOf(call: Call): Place {
  const place = placeGiven(call);
  if (place) return place;
  throw new UsageError('Give --topic and --subscription, or --queue.');
}

/** Its path in the HTTP API. */
export function apiPath(place: Place): string {
  if ('queue' in place) return `/v1/queues/${segment(place.queue)}`;
  return `/v1/topics/${segment(place.topic)}/subscriptions/${segment(place.subscription)}`;
}

export const SUBQUEUES = ['live', 'dead', 'transfer'] as const;
export type Subqueue = (typeof SUBQUEUES)[number];

export const ofOption: Readonly<Record<string, Option>> = {
  of: {
    type: 'string',
    shows: 'what',
    sentence: 'live (the default), dead (dead letters) or transfer (not forwarded).',
  },
};

export function subqueueOf(call: Call): Subqueue {
  const given = stringOption(call, 'of') ?? 'live';
  const found = SUBQUEUES.find((each) => each === given);
  if (found) return found;
  throw new UsageError(`--of wants one of ${SUBQUEUES.join(', ')}; it is "${given}".`);
}

/** A whole number above 0. */
export function wholeOption(call: Call, name: string, otherwise: number): number {
  const given = stringOption(call, name);
  if (given === undefined) return otherwise;
  if (!/^[1-9]\d{0,8}$/.test(given)) throw new UsageError(`--${name} wants a whole number above 0; it is "${given}".`);
  return Number(given);
}

const MOST_NUMBER = 2n ** 63n - 1n;

/**
 * Sequence numbers as they were printed. In Azure they have 64 bits, more than a `number` keeps; those of Carillon have 53, so
 * its own API takes them as numbers.
 */
export function sequencesOf(call: Call): bigint[] {
  return listOption(call, 'sequence').map((given) => toSequence(given, 'sequence'));
}

/** The sequence number that an option gives; 0 is before all. */
export function numberOption(call: Call, name: string): bigint | undefined {
  const given = stringOption(call, name);
  if (given === undefined) return undefined;
  return given === '0' ? 0n : toSequence(given, name);
}

function toSequence(given: string, name: string): bigint {
  if (/^[1-9]\d{0,18}$/.test(given) && BigInt(given) <= MOST_NUMBER) return BigInt(given);
  throw new UsageError(`--${name} wants the number of a message; it is "${given}".`);
}

// Messages that are sent

export const messageOptions: Readonly<Record<string, Option>> = {
  body: {
    type: 'string',
    shows: 'text',
    sentence: 'A plain message with this content instead of an event; - reads it.',
  },
  'message-id': { type: 'string', shows: 'id', sentence: 'The id of the message itself.' },
  session: { type: 'string', shows: 'id', sentence: 'The session that it belongs to.' },
  'partition-key': { type: 'string', shows: 'key', sentence: 'Messages of one key stay in order.' },
  'correlation-id': { type: 'string', shows: 'id', sentence: 'What it answers or belongs to.' },
  'reply-to': { type: 'string', shows: 'name', sentence: 'Where answers go.' },
  'reply-to-session': { type: 'string', shows: 'id', sentence: 'The session of answers.' },
  to: { type: 'string', shows: 'text', sentence: 'For whom it is.' },
  'content-type': { type: 'string', shows: 'type', sentence: 'Of --body, such as application/json.' },
  property: {
    type: 'string',
    shows: 'name=value',
    multiple: true,
    sentence: 'A property that rules can ask for: name=text, or name:=json for a number, true or false; repeatable.',
  },
  'time-to-live': { type: 'string', shows: 'duration', sentence: 'When it expires, such as 30s or PT30S.' },
  at: { type: 'string', shows: 'time', sentence: 'When it is to come, in ISO 8601; `message cancel` takes it back.' },
};

/** A message as the HTTP API takes it. The body is text, or any other JSON. */
export type Sendable = {
  readonly messageId?: string;
  readonly subject?: string;
  readonly contentType?: string;
  readonly sessionId?: string;
  readonly partitionKey?: string;
  readonly correlationId?: string;
  readonly replyTo?: string;
  readonly replyToSessionId?: string;
  readonly to?: string;
  readonly timeToLiveMs?: number;
  readonly properties?: Row;
  readonly body?: unknown;
  readonly bodyBase64?: string;
};

const FIELDS = {
  'message-id': 'messageId',
  session: 'sessionId',
  'partition-key': 'partitionKey',
  'correlation-id': 'correlationId',
  'reply-to': 'replyTo',
  'reply-to-session': 'replyToSessionId',
  to: 'to',
} as const;

/** Whether an option asks for more than an event can say. */
export function asksForMessage(call: Call): boolean {
  return Object.keys(messageOptions).some((name) => call.options[name] !== undefined);
}

export function timeOption(call: Call, name: string): Date | undefined {
  const given = stringOption(call, name);
  if (given === undefined) return undefined;
  const at = new Date(given);
  // Anything else would be read by the clock of this machine, or as another day.
  if (!/^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:?\d\d)$/.test(given) || Number.isNaN(at.getTime()))
    throw new UsageError(`--${name} wants a time such as 2026-12-01T08:00:00Z; it is "${given}".`);
  return at;
}

/** What the options say of every message that is sent. */
function fieldsOf(call: Call): Sendable {
  const named = Object.entries(FIELDS).flatMap(([option, field]) => {
    const value = stringOption(call, option);
    return value === undefined ? [] : [[field, value]];
  });
  const lives = stringOption(call, 'time-to-live');
  return {
    ...Object.fromEntries(named),
    ...(lives === undefined ? {} : { timeToLiveMs: milliseconds(lives, 'time-to-live') }),
  };
}

/** The plain message that --body asks for. */
export async function readPlainMessage(call: Call): Promise<Sendable> {
  const clash = ['type', 'source', 'id', 'data', 'file'].find((name) => call.options[name] !== undefined);
  if (clash) throw new UsageError(`--body is a plain message, --${clash} is of an event: give one of them.`);
  const [given, contentType, subject] = ['body', 'content-type', 'subject'].map((name) => stringOption(call, name));
  const content = given === '-' ? await text(process.stdin) : given!;
  return {
    ...fieldsOf(call),
    ...(contentType === undefined ? {} : { contentType }),
    ...(subject === undefined ? {} : { subject }),
    properties: scalars(call, 'property'),
    body: contentType !== undefined && /[/+]json\b/.test(contentType) ? parseJson(content) : content,
  };
}

export type Event = {
  id: string;
  type: string;
  source: string;
  subject?: string;
  data?: unknown;
  [name: string]: unknown;
};

/** An event as the CloudEvents binding for AMQP writes it, in binary mode. */
export function messageOfEvent(call: Call, event: Event, own: Pick<Sendable, 'messageId' | 'subject'>): Sendable {
  if (call.options['message-id'] !== undefined)
    throw new UsageError('--message-id goes with --body; the id of an event is --id.');
  const { data, data_base64: bytes, datacontenttype, ...attributes } = event;
  const named = Object.entries(attributes).map(([name, value]) => [`cloudEvents:${name}`, String(value)]);
  const type = datacontenttype ?? (data === undefined ? undefined : 'application/json');
  return {
    ...own,
    ...(type === undefined ? {} : { contentType: String(type) }),
    ...fieldsOf(call),
    properties: { ...Object.fromEntries(named), ...scalars(call, 'property') },
    ...(data === undefined ? {} : { body: data }),
    ...(bytes === undefined ? {} : { bodyBase64: String(bytes) }),
  };
}

export async function readText(file: string): Promise<string> {
  if (file === '-') return text(process.stdin);
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`${file} cannot be read (${error.code}).`);
  });
}
