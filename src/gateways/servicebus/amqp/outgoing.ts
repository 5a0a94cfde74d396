// From the log onto the wire: a new header and new message annotations in front of the bare message. A message that
// came over AMQP keeps its bare part byte for byte, but for application properties that were changed on its way here;
// one that came over HTTP gets a bare message built from its fields.
import type { PropertyValue } from '../../../topics/message.ts';
import { type AmqpValue, Reader, textEntries } from './decode.ts';
import * as to from './encode.ts';
import { AMQP_FORMAT, toProperty } from './incoming.ts';
import {
  APPLICATION_PROPERTIES,
  DATA,
  decodeSection,
  findSection,
  HEADER,
  MESSAGE_ANNOTATIONS,
  PROPERTIES,
  rawItems,
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
  readonly body: Uint8Array;
  readonly bodyFormat?: string | undefined;
  readonly sequence: number;
  readonly originalSequence?: number | undefined;
  readonly enqueuedAt: Date;
  readonly deliveryCount: number;
  readonly state?: 'active' | 'deferred' | 'scheduled' | undefined;
  readonly lockedUntil?: Date | undefined;
  readonly hops?: number | undefined;
  readonly deadLetterSource?: string | undefined;
  readonly deadLetterReason?: string | undefined;
  readonly deadLetterDescription?: string | undefined;
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
  const fields = changedFields(message, sections);
  const changes = mayHaveChanged(message) ? changesOf(message, sections) : [];
  if (fields) parts.push(fields);
  if (changes.length > 0 && !findSection(sections, APPLICATION_PROPERTIES))
    parts.push(spliceProperties(sections, changes));
  for (const section of sections.all) {
    if (section.code < PROPERTIES || (section.code === PROPERTIES && fields)) continue;
    if (section.code > APPLICATION_PROPERTIES && omitBody) continue;
    const spliced = section.code === APPLICATION_PROPERTIES && changes.length > 0;
    parts.push(spliced ? spliceProperties(sections, changes) : sections.bytes.subarray(section.start, section.end));
  }
  return parts;
}

const RULE_NAME = 'RuleName';

/** Only what was delivered before, died, was forwarded or went through a rule with an action can differ from its bytes. */
function mayHaveChanged({ deliveryCount, deadLetterSource, hops = 0, properties }: WireMessage): boolean {
  return deliveryCount > 0 || hops > 0 || deadLetterSource !== undefined || properties?.[RULE_NAME] !== undefined;
}

type Change = readonly [string, PropertyValue | undefined];

/** How the message's properties differ from those in its bytes; `undefined` stands for a removed one. */
function changesOf(message: WireMessage, sections: Sections): Change[] {
  const sent = new Map(textEntries(decodeSection(sections, APPLICATION_PROPERTIES)));
  const now = new Map<string, PropertyValue>(Object.entries(propertiesOf(message)));
  const removed: Change[] = [...sent.keys()].filter((name) => !now.has(name)).map((name) => [name, undefined]);
  const put = [...now].filter(([name, value]) => !sent.has(name) || !isSame(toProperty(sent.get(name)!), value));
  return [...removed, ...put];
}

/** What was set on the message, and why it died. */
function propertiesOf(message: WireMessage): Record<string, PropertyValue> {
  const { deadLetterReason, deadLetterDescription } = message;
  return {
    ...message.properties,
    ...(deadLetterReason === undefined ? {} : { DeadLetterReason: deadLetterReason }),
    ...(deadLetterDescription === undefined ? {} : { DeadLetterErrorDescription: deadLetterDescription }),
  };
}

function isSame(a: PropertyValue, b: PropertyValue): boolean {
  if (a instanceof Date && b instanceof Date) return Object.is(a.getTime(), b.getTime());
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  if (typeof a === 'bigint' || typeof b === 'bigint') return String(a) === String(b);
  return Object.is(a, b);
}

/** The properties section, where it has to differ from the sender's: an id put in, fields that an action has set. */
function changedFields(message: WireMessage, sections: Sections): Buffer | undefined {
  const acted = message.properties?.[RULE_NAME] !== undefined;
  if (!acted && hasMessageId(sections)) return undefined;
  const section = findSection(sections, PROPERTIES);
  const sent = section ? rawItems(sections.bytes, section.value) : [];
  const ours = propertyFields(message);
  const fields = ours.map((field, i) => (i === 0 || (acted && OWN_FIELDS.has(i)) ? field : (sent[i] ?? to.nothing())));
  if (hasMessageId(sections)) fields[0] = sent[0]!;
  return to.section(PROPERTIES, to.list(fields));
}

/** to, subject, reply-to, correlation-id, content-type, group-id, reply-to-group-id: what an action can set. */
const OWN_FIELDS: ReadonlySet<number> = new Set([2, 3, 4, 5, 6, 10, 12]);

function hasMessageId(sections: Sections): boolean {
  const fields = decodeSection(sections, PROPERTIES);
  return Array.isArray(fields) && fields[0] !== undefined && fields[0] !== null;
}

/** The application properties with `changes` put in; every entry that was not changed keeps its bytes and its type. */
function spliceProperties(sections: Sections, changes: readonly Change[]): Buffer {
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

function buildBare(message: WireMessage, omitBody: boolean): Buffer[] {
  const entries = Object.entries(propertiesOf(message)).flatMap(([name, value]) => [
    to.string(name),
    to.encode(toAmqp(value)),
  ]);
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
