// From the wire into the log. The sender's encoded message is kept whole as the body (`bodyFormat: 'amqp'`); beside it
// stand the fields that the broker itself needs: for rules, sessions, duplicates, expiry and scheduling.
import { randomBytes } from 'node:crypto';
import { derivedId } from '../../../kit/ids.ts';
import type { OutgoingMessage, PropertyValue } from '../../../topics/message.ts';
import { AmqpDescribed, AmqpSymbol, AmqpUuid, type AmqpValue, malformed, textEntries } from './decode.ts';
import {
  APPLICATION_PROPERTIES,
  DELIVERY_ANNOTATIONS,
  dataOf,
  decodeSection,
  findSection,
  HEADER,
  MESSAGE_ANNOTATIONS,
  PROPERTIES,
  type Sections,
  splitSections,
} from './sections.ts';

export const AMQP_FORMAT = 'amqp';

/** The message format of a batch: each data section of the envelope is one whole encoded message. */
export const BATCH_FORMAT = 0x80013700;

/** The messages of a batch envelope. The envelope's own properties repeat the first message's and are ignored. */
export function unpackBatch(envelope: Buffer): OutgoingMessage[] {
  const parts = dataOf(splitSections(envelope));
  const ids = new MadeUpIds();
  return parts.map((part) => read(part, ids));
}

/** Reads one encoded message. `amqp_malformed` if it is none. */
export function toOutgoing(encoded: Buffer): OutgoingMessage {
  return read(encoded, new MadeUpIds());
}

/** Properties section, AMQP 1.0 part 3.2.4: message-id, user-id, to, subject, reply-to, correlation-id, content-type,
 * content-encoding, absolute-expiry-time, creation-time, group-id, group-sequence, reply-to-group-id. */
function read(encoded: Buffer, ids: MadeUpIds): OutgoingMessage {
  const sections = splitSections(encoded);
  const fields = decodeSection(sections, PROPERTIES);
  const properties = Array.isArray(fields) ? fields : [];
  const annotations = annotationsOf(sections);
  return {
    // Message ids of the sender's; most clients give none, and fail to settle a message that has none.
    messageId: idOf(properties[0]) ?? ids.next(),
    to: textOf(properties[2]),
    subject: textOf(properties[3]),
    replyTo: textOf(properties[4]),
    correlationId: idOf(properties[5]),
    contentType: textOf(properties[6]),
    sessionId: textOf(properties[10]),
    replyToSessionId: textOf(properties[12]),
    timeToLiveMs: readTimeToLive(sections),
    partitionKey: textOf(annotations?.get('x-opt-partition-key')),
    scheduledAt: dateOf(annotations?.get('x-opt-scheduled-enqueue-time')),
    properties: applicationProperties(sections),
    body: withoutDeliveryAnnotations(sections),
    bodyFormat: AMQP_FORMAT,
  };
}

/** Ids of 32 hex digits for the messages of one transfer: random, then counted. */
class MadeUpIds {
  #prefix: string | undefined;
  #count = 0;

  next(): string {
    this.#prefix ??= randomPrefix();
    const count = this.#count++;
    return this.#prefix + (COUNTS[count] ?? sixDigits(count));
  }
}

const PREFIX_BYTES = 13;
/** Asking for random bytes costs more than taking them, so many are asked for at once. */
const random = { bytes: Buffer.alloc(0), at: 0 };

function randomPrefix(): string {
  if (random.at === random.bytes.length) Object.assign(random, { bytes: randomBytes(PREFIX_BYTES * 256), at: 0 });
  random.at += PREFIX_BYTES;
  return random.bytes.toString('hex', random.at - PREFIX_BYTES, random.at);
}

function sixDigits(count: number): string {
  return count.toString(16).padStart(6, '0');
}

const COUNTS = Array.from({ length: 256 }, (_, count) => sixDigits(count));

/** Most clients send an empty map, in its short or its long form (AMQP part 1, 1.6.23); then there is nothing to decode. */
function annotationsOf(sections: Sections): Map<string, AmqpValue> | undefined {
  const section = findSection(sections, MESSAGE_ANNOTATIONS);
  if (!section || section.end - section.value < 4) return undefined;
  if (isEmptyMap(sections.bytes.subarray(section.value, section.end))) return undefined;
  return new Map(textEntries(decodeSection(sections, MESSAGE_ANNOTATIONS)));
}

function isEmptyMap(bytes: Buffer): boolean {
  return bytes.length === 9 && bytes[0] === 0xd1 && bytes.readUInt32BE(5) === 0;
}

/** Header section, part 3.2.1: durable, priority, ttl, first-acquirer, delivery-count. */
function readTimeToLive(sections: Sections): number | undefined {
  if (!findSection(sections, HEADER)) return undefined;
  const header = decodeSection(sections, HEADER);
  const ttl = Array.isArray(header) ? header[2] : undefined;
  return typeof ttl === 'number' && ttl > 0 ? ttl : undefined;
}

function applicationProperties(sections: Sections): Record<string, PropertyValue> | undefined {
  const sent = decodeSection(sections, APPLICATION_PROPERTIES);
  if (!(sent instanceof Map) || sent.size === 0) return undefined;
  const properties: Record<string, PropertyValue> = {};
  for (const [key, each] of sent) {
    const name = String(key);
    const value = toProperty(each);
    // A property may be called `__proto__`; it must not become the object's prototype.
    if (name === '__proto__')
      Object.defineProperty(properties, name, { value, enumerable: true, configurable: true, writable: true });
    else properties[name] = value;
  }
  return properties;
}

/**
 * A property as rules see it: symbols and UUIDs are text there, and what has no scalar form is null. A timestamp has 64
 * bits; what is no date in JavaScript is refused, as it would fail whoever reads the message as JSON.
 */
export function toProperty(value: AmqpValue): PropertyValue {
  if (value instanceof AmqpSymbol || value instanceof AmqpUuid) return value.toString();
  if (value instanceof AmqpDescribed) return toDescribedProperty(value);
  if (Array.isArray(value) || value instanceof Map) return null;
  if (value instanceof Date && Number.isNaN(value.getTime())) throw malformed('A property is a time out of range.');
  return value;
}

/** .NET sends dates, time spans and URIs as described values; their content decides. */
function toDescribedProperty(value: AmqpDescribed): PropertyValue {
  const inner = toProperty(value.value);
  const isWhole = typeof inner === 'bigint' || Number.isSafeInteger(inner);
  if (String(value.descriptor) !== 'com.microsoft:datetime-offset' || !isWhole) return inner;
  return new Date(unixMs(BigInt(inner as number | bigint))); // As was just seen.
}

/** .NET ticks: 100 ns since the year 1. */
function unixMs(ticks: bigint): number {
  return Number((ticks - 621_355_968_000_000_000n) / 10_000n);
}

function withoutDeliveryAnnotations(sections: Sections): Buffer {
  const section = findSection(sections, DELIVERY_ANNOTATIONS);
  if (!section) return sections.bytes;
  return Buffer.concat([sections.bytes.subarray(0, section.start), sections.bytes.subarray(section.end)]);
}

function textOf(value: AmqpValue | undefined): string | undefined {
  if (typeof value === 'string') return value;
  return value instanceof AmqpSymbol ? value.text : undefined;
}

/** Message and correlation ids may be a ulong, a UUID, binary or a string. */
function idOf(value: AmqpValue | undefined): string | undefined {
  if (value === null || value === undefined) return undefined;
  if (Buffer.isBuffer(value))
    return value.length > 64 ? derivedId('bin', value.toString('hex')) : value.toString('hex');
  return typeof value === 'object' && !(value instanceof AmqpUuid) ? textOf(value) : String(value);
}

function dateOf(value: AmqpValue | undefined): Date | undefined {
  return value instanceof Date && !Number.isNaN(value.getTime()) ? value : undefined;
}
