// From the log onto the wire: a new header and new message annotations in front of the bare message. A message that
// came over AMQP keeps its bare part byte for byte, but for application properties that were changed on its way here;
// one that came over HTTP gets a bare message built from its fields.
import type { PropertyValue } from '../../../topics/message.ts';
import { type AmqpValue, Reader, textEntries } from './decode.ts';
import * as to from './encode.ts';
import { AMQP_FORMAT } from './incoming.ts';
import {
  APPLICATION_PROPERTIES,
  DATA,
  decodeSection,
  findSection,
  HEADER,
  MESSAGE_ANNOTATIONS,
  PROPERTIES,
  type Sections,
  splitSections,
} from './sections.ts';

/** What the door needs to know of a message to put it on the wire; the broker's received and peeked messages have it. */
export type WireMessage = {
  readonly messageId: string;
  readonly sessionId?: string | undefined;
  readonly partitionKey?: string | undefined;
  readonly correlationId?: string | undefined;
  readonly replyTo?: string | undefined;
  readonly replyToSessionId?: string | undefined;
  readonly to?: string | undefined;
  readonly subject?: string | undefined;
  readonly contentType?: string | undefined;
  readonly timeToLiveMs?: number | undefined;
  readonly scheduledAt?: Date | undefined;
  readonly properties?: Readonly<Record<string, PropertyValue>> | undefined;
  /** Application properties changed since the message was sent; `undefined` stands for a removed one. */
  readonly changes?: Readonly<Record<string, PropertyValue | undefined>> | undefined;
  readonly body: Uint8Array;
  readonly bodyFormat?: string | undefined;
  readonly sequence: number;
  readonly originalSequence?: number | undefined;
  readonly enqueuedAt: Date;
  readonly deliveryCount: number;
  readonly state?: 'active' | 'deferred' | 'scheduled' | undefined;
  readonly lockedUntil?: Date | undefined;
  readonly deadLetterSource?: string | undefined;
};

const STATES = { active: 0, deferred: 1, scheduled: 2 } as const;

/** The encoded message for a delivery or a peek. `omitBody` leaves the body sections out, as peeks may ask. */
export function toWire(message: WireMessage, omitBody = false): Buffer {
  const sections = message.bodyFormat === AMQP_FORMAT ? splitSections(asBuffer(message.body)) : undefined;
  const sentAnnotations = sections ? decodeSection(sections, MESSAGE_ANNOTATIONS) : null;
  return Buffer.concat([
    encodeHeader(message, sections),
    encodeAnnotations(message, sentAnnotations),
    ...(sections ? bareOf(message, sections, omitBody) : buildBare(message, omitBody)),
  ]);
}

/** durable, priority, ttl, first-acquirer as the sender gave them; delivery-count is ours and always there. */
function encodeHeader(message: WireMessage, sections: Sections | undefined): Buffer {
  const sent = sections ? decodeSection(sections, HEADER) : null;
  const [durable = null, priority = null, ttl = message.timeToLiveMs ?? null, acquirer = null] = Array.isArray(sent)
    ? sent
    : [];
  const fields = [
    to.encode(durable),
    typeof priority === 'number' ? to.ubyte(priority) : to.nothing(),
    typeof ttl === 'number' ? to.uint(Math.min(ttl, 0xffffffff)) : to.nothing(),
    to.encode(acquirer),
    to.uint(message.deliveryCount),
  ];
  return to.section(HEADER, to.list(fields));
}

function encodeAnnotations(message: WireMessage, sent: AmqpValue): Buffer {
  const ours = brokerAnnotations(message);
  const kept = textEntries(sent).filter(([name]) => !ours.has(name));
  const entries = kept.flatMap(([name, value]) => [to.symbol(name), to.encode(value)]);
  for (const [name, value] of ours) entries.push(to.symbol(name), value);
  return to.section(MESSAGE_ANNOTATIONS, to.map(entries));
}

function brokerAnnotations(message: WireMessage): Map<string, Buffer> {
  const all = new Map<string, Buffer>();
  all.set('x-opt-sequence-number', to.long(message.sequence));
  all.set('x-opt-enqueued-time', to.timestamp(message.enqueuedAt));
  all.set('x-opt-enqueue-sequence-number', to.long(message.originalSequence ?? message.sequence));
  if (message.lockedUntil) all.set('x-opt-locked-until', to.timestamp(message.lockedUntil));
  if (message.state) all.set('x-opt-message-state', to.int(STATES[message.state]));
  if (message.partitionKey !== undefined) all.set('x-opt-partition-key', to.string(message.partitionKey));
  if (message.scheduledAt) all.set('x-opt-scheduled-enqueue-time', to.timestamp(message.scheduledAt));
  if (message.deadLetterSource !== undefined) all.set('x-opt-deadletter-source', to.string(message.deadLetterSource));
  return all;
}

/** The sender's own bytes. Clients fail to settle a message without an id, so a made-up one is put in. */
function bareOf(message: WireMessage, sections: Sections, omitBody: boolean): Buffer[] {
  const parts: Buffer[] = [];
  const lacksId = !hasMessageId(sections);
  const changes = Object.entries(message.changes ?? {});
  if (lacksId) parts.push(propertiesWithId(message, sections));
  if (changes.length > 0 && !findSection(sections, APPLICATION_PROPERTIES))
    parts.push(spliceProperties(sections, changes));
  for (const section of sections.all) {
    if (section.code < PROPERTIES || (section.code === PROPERTIES && lacksId)) continue;
    if (section.code > APPLICATION_PROPERTIES && omitBody) continue;
    const spliced = section.code === APPLICATION_PROPERTIES && changes.length > 0;
    parts.push(spliced ? spliceProperties(sections, changes) : sections.bytes.subarray(section.start, section.end));
  }
  return parts;
}

function hasMessageId(sections: Sections): boolean {
  const fields = decodeSection(sections, PROPERTIES);
  return Array.isArray(fields) && fields[0] !== undefined && fields[0] !== null;
}

function propertiesWithId(message: WireMessage, sections: Sections): Buffer {
  const section = findSection(sections, PROPERTIES);
  const fields = section ? rawItems(sections.bytes, section.value) : [];
  return to.section(PROPERTIES, to.list([to.string(message.messageId), ...fields.slice(1)]));
}

/** The application properties with `changes` put in; every entry that was not changed keeps its bytes and its type. */
function spliceProperties(sections: Sections, changes: readonly [string, PropertyValue | undefined][]): Buffer {
  const changed = new Map(changes);
  const section = findSection(sections, APPLICATION_PROPERTIES);
  const sent = section ? rawItems(sections.bytes, section.value) : [];
  const entries: Buffer[] = [];
  for (let i = 0; i + 1 < sent.length; i += 2) {
    const name = String(new Reader(sent[i]!).value());
    if (!changed.has(name)) entries.push(sent[i]!, sent[i + 1]!);
  }
  for (const [name, value] of changed) if (value !== undefined) entries.push(to.string(name), to.encode(toAmqp(value)));
  return to.section(APPLICATION_PROPERTIES, to.map(entries));
}

/** The encoded items of the list or map at `position`, undecoded. */
function rawItems(bytes: Buffer, position: number): Buffer[] {
  const reader = new Reader(bytes, position);
  const code = reader.byte();
  if (code === 0x45) return [];
  const narrow = code === 0xc0 || code === 0xc1;
  reader.take(narrow ? 1 : 4);
  const count = narrow ? reader.byte() : reader.uint32();
  return Array.from({ length: count }, () => {
    const start = reader.position;
    reader.skip();
    return bytes.subarray(start, reader.position);
  });
}

function buildBare(message: WireMessage, omitBody: boolean): Buffer[] {
  const merged = { ...message.properties, ...message.changes };
  const entries = Object.entries(merged).flatMap(([name, value]) =>
    value === undefined ? [] : [to.string(name), to.encode(toAmqp(value))],
  );
  const parts = [to.section(PROPERTIES, to.list(propertyFields(message)))];
  if (entries.length > 0) parts.push(to.section(APPLICATION_PROPERTIES, to.map(entries)));
  if (!omitBody) parts.push(to.section(DATA, to.binary(message.body)));
  return parts;
}

function propertyFields(message: WireMessage): Buffer[] {
  const text = (value: string | undefined) => (value === undefined ? to.nothing() : to.string(value));
  const type = message.contentType === undefined ? to.nothing() : to.symbol(message.contentType);
  const { messageId, subject, replyTo, correlationId, sessionId, replyToSessionId } = message;
  const none = to.nothing();
  const head = [text(messageId), none, text(message.to), text(subject), text(replyTo), text(correlationId), type];
  return [...head, none, none, none, text(sessionId), none, text(replyToSessionId)];
}

function toAmqp(value: PropertyValue): AmqpValue {
  if (value instanceof Uint8Array) return asBuffer(value);
  return value;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
