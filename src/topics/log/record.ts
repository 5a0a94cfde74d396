// One message in binary: a varint of flags that says which optional fields follow, then the fields. The block around
// it holds the format version, the enqueued time and the sequence numbers (block.ts).

import type { Message, OutgoingMessage, PropertyValue } from '../message.ts';
import { type Bits, NO_BITS } from './bits.ts';
import { Reader, Writer } from './bytes.ts';

/** What the log knows of a message besides what its sender said. */
export type RecordExtras = {
  readonly bits: Bits;
  /** Absent: does not expire. */
  readonly lifetimeMs?: number | undefined;
  /** Made by a rule's action for one subscription; other readers of the log skip it. */
  readonly copy?: boolean | undefined;
  readonly hops?: number | undefined;
  readonly originalSequence?: number | undefined;
  /** Why a rule could not be evaluated on the message: the copy is dead on arrival. */
  readonly fault?: string | undefined;
};

const TEXTS = [
  'sessionId',
  'partitionKey',
  'correlationId',
  'replyTo',
  'replyToSessionId',
  'to',
  'subject',
  'contentType',
  'bodyFormat',
] as const;
const TTL = 1 << 9;
const LIFETIME = 1 << 10;
const SCHEDULED = 1 << 11;
const PROPERTIES = 1 << 12;
const COPY = 1 << 13;
const HOPS = 1 << 14;
const ORIGINAL = 1 << 15;
const FAULT = 1 << 16;

/** Appends the record. Returns where in the writer its body begins. */
export function writeRecord(
  out: Writer,
  message: OutgoingMessage & { messageId: string },
  extras: RecordExtras,
): number {
  out.varint(flagsOf(message, extras));
  out.bytes(extras.bits);
  out.string(message.messageId);
  if (message.sessionId !== undefined) out.string(message.sessionId);
  if (message.partitionKey !== undefined) out.string(message.partitionKey);
  if (message.correlationId !== undefined) out.string(message.correlationId);
  if (message.replyTo !== undefined) out.string(message.replyTo);
  if (message.replyToSessionId !== undefined) out.string(message.replyToSessionId);
  if (message.to !== undefined) out.string(message.to);
  if (message.subject !== undefined) out.string(message.subject);
  if (message.contentType !== undefined) out.string(message.contentType);
  if (message.bodyFormat !== undefined) out.string(message.bodyFormat);
  if (message.timeToLiveMs !== undefined) out.varint(message.timeToLiveMs);
  if (extras.lifetimeMs !== undefined) out.varint(extras.lifetimeMs);
  if (message.scheduledAt !== undefined) out.f64(message.scheduledAt.getTime());
  if (message.properties !== undefined) writeProperties(out, message.properties);
  if (extras.hops) out.varint(extras.hops);
  if (extras.originalSequence !== undefined) out.varint(extras.originalSequence);
  if (extras.fault !== undefined) out.string(extras.fault);
  return out.bytes(message.body);
}

function flagsOf(message: OutgoingMessage, extras: RecordExtras): number {
  let flags = 0;
  if (message.sessionId !== undefined) flags |= 1;
  if (message.partitionKey !== undefined) flags |= 2;
  if (message.correlationId !== undefined) flags |= 4;
  if (message.replyTo !== undefined) flags |= 8;
  if (message.replyToSessionId !== undefined) flags |= 16;
  if (message.to !== undefined) flags |= 32;
  if (message.subject !== undefined) flags |= 64;
  if (message.contentType !== undefined) flags |= 128;
  if (message.bodyFormat !== undefined) flags |= 256;
  if (message.timeToLiveMs !== undefined) flags |= TTL;
  if (extras.lifetimeMs !== undefined) flags |= LIFETIME;
  if (message.scheduledAt !== undefined) flags |= SCHEDULED;
  if (message.properties !== undefined) flags |= PROPERTIES;
  if (extras.copy) flags |= COPY;
  if (extras.hops) flags |= HOPS;
  if (extras.originalSequence !== undefined) flags |= ORIGINAL;
  if (extras.fault !== undefined) flags |= FAULT;
  return flags;
}

/** Only what a reader needs to know whether the record is for it. */
export function readHead(from: Reader): { readonly bits: Bits; readonly copy: boolean } {
  const flags = from.varint();
  return { bits: from.bytes(), copy: (flags & COPY) !== 0 };
}

/** Where the record was found; what it does not say itself. */
export type Place = {
  readonly topic: string;
  readonly partition: number;
  readonly sequence: number;
  readonly enqueuedAt: Date;
};

export function readRecord(from: Reader, place: Place): Message {
  const flags = from.varint();
  from.bytes(); // the bits
  const messageId = from.string();
  const texts: (string | undefined)[] = [];
  for (let i = 0; i < TEXTS.length; i++) texts.push(flags & (1 << i) ? from.string() : undefined);
  const timeToLiveMs = flags & TTL ? from.varint() : undefined;
  const lifetimeMs = flags & LIFETIME ? from.varint() : undefined;
  const scheduledAt = flags & SCHEDULED ? new Date(from.f64()) : undefined;
  const properties = flags & PROPERTIES ? readProperties(from) : undefined;
  const hops = flags & HOPS ? from.varint() : undefined;
  const originalSequence = flags & ORIGINAL ? from.varint() : undefined;
  const filterFault = flags & FAULT ? from.string() : undefined;
  return {
    messageId,
    sessionId: texts[0],
    partitionKey: texts[1],
    correlationId: texts[2],
    replyTo: texts[3],
    replyToSessionId: texts[4],
    to: texts[5],
    subject: texts[6],
    contentType: texts[7],
    bodyFormat: texts[8],
    timeToLiveMs,
    scheduledAt,
    properties,
    body: from.bytes(),
    topic: place.topic,
    partition: place.partition,
    sequence: place.sequence,
    enqueuedAt: place.enqueuedAt,
    expiresAt: expiry(place.enqueuedAt, lifetimeMs),
    deliveryCount: 0,
    hops,
    originalSequence,
    filterFault,
    deadLetterSource: undefined,
    deadLetterReason: undefined,
    deadLetterDescription: undefined,
  };
}

/** One record on its own, as `held` and `scheduled` rows keep it. */
export function encodeRecord(message: OutgoingMessage & { messageId: string }, extras: Partial<RecordExtras>): Buffer {
  const out = new Writer(message.body.length + 256);
  out.u8(1);
  writeRecord(out, message, { bits: NO_BITS, ...extras });
  return out.finish();
}

export function decodeRecord(bytes: Buffer, place: Place): Message {
  if (bytes[0] !== 1) throw new Error(`unknown record format ${bytes[0]}`);
  return readRecord(new Reader(bytes, 1), place);
}

export function expiry(enqueuedAt: Date, lifetimeMs: number | undefined): Date | undefined {
  return lifetimeMs === undefined ? undefined : new Date(Math.min(enqueuedAt.getTime() + lifetimeMs, 8.64e15));
}

function writeProperties(out: Writer, properties: Readonly<Record<string, PropertyValue>>): void {
  const names = Object.keys(properties);
  out.varint(names.length);
  for (const name of names) {
    out.string(name);
    writeValue(out, properties[name]!);
  }
}

function writeValue(out: Writer, value: PropertyValue): void {
  if (value === null) out.u8(0);
  else if (typeof value === 'boolean') out.u8(value ? 1 : 2);
  else if (typeof value === 'number') writeNumber(out, value);
  else if (typeof value === 'bigint') {
    out.u8(value < 2n ** 63n ? 5 : 9);
    out.i64(BigInt.asIntN(64, value));
  } else if (typeof value === 'string') {
    out.u8(6);
    out.string(value);
  } else if (value instanceof Date) {
    out.u8(7);
    out.f64(value.getTime());
  } else {
    out.u8(8);
    out.bytes(value);
  }
}

function writeNumber(out: Writer, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0)) {
    out.u8(3);
    out.varint(value);
  } else {
    out.u8(4);
    out.f64(value);
  }
}

function readProperties(from: Reader): Record<string, PropertyValue> {
  const properties: Record<string, PropertyValue> = {};
  for (let left = from.varint(); left > 0; left--) {
    const name = from.string();
    const value = readValue(from);
    // A property may be called `__proto__`; it must not become the object's prototype.
    if (name === '__proto__') Object.defineProperty(properties, name, { value, enumerable: true });
    else properties[name] = value;
  }
  return properties;
}

function readValue(from: Reader): PropertyValue {
  const tag = from.u8();
  switch (tag) {
    case 0:
      return null;
    case 1:
      return true;
    case 2:
      return false;
    case 3:
      return from.varint();
    case 4:
      return from.f64();
    case 5:
      return from.i64();
    case 6:
      return from.string();
    case 7:
      return new Date(from.f64());
    case 8:
      return from.bytes();
    case 9:
      return BigInt.asUintN(64, from.i64());
    default:
      throw new Error(`unknown property tag ${tag}`);
  }
}
