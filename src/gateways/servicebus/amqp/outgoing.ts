// From the log onto the wire: a new header and new message annotations in front of the bare message. A message that
// came over AMQP keeps its bare part byte for byte, but for application properties that were changed on its way here;
// one that came over HTTP gets a bare message built from its fields.
import type { Message, PropertyValue } from '../../../topics/message.ts';
import { type AmqpValue, Reader, textEntries } from './decode.ts';
import * as to from './encode.ts';
import { type SeenEnd, withEventFront } from './event-front.ts';
import { type WireMessage, withFront } from './front.ts';
import { AMQP_FORMAT, toProperty } from './incoming.ts';
import {
  APPLICATION_PROPERTIES,
  DATA,
  decodeSection,
  findSection,
  PROPERTIES,
  rawItems,
  type Sections,
  splitSections,
} from './sections.ts';

/**
 * The encoded message for a delivery or a peek. `omitBody` leaves the body sections out, as peeks may ask. `partitioned`: a
 * session id is its partition key as well.
 */
export function toWire(message: WireMessage, omitBody = false, partitioned = false): Buffer {
  const sections = message.bodyFormat === AMQP_FORMAT ? splitSections(asBuffer(message.body)) : undefined;
  const bare = sections ? bareOf(message, sections, omitBody) : buildBare(message, omitBody);
  return withFront(message, sections, bare, partitioned);
}

/** The encoded message for who reads the log of a partition. `end`: tell with it how far the partition has come. */
export function toEvent(message: Message, end: SeenEnd | undefined): Buffer {
  const sections = message.bodyFormat === AMQP_FORMAT ? splitSections(asBuffer(message.body)) : undefined;
  const bare = sections ? bareOf(message, sections, false, true) : buildBare(message, false);
  return withEventFront(message, sections, bare, end);
}

/** The sender's own bytes. Clients fail to settle a message without an id: one is put in, unless it may be nameless. */
function bareOf(message: WireMessage, sections: Sections, omitBody: boolean, mayBeNameless = false): Buffer[] {
  const fields = changedFields(message, sections, mayBeNameless);
  const changes = mayHaveChanged(message) ? changesOf(message, sections) : [];
  if (!fields && changes.length === 0 && !omitBody) return [sections.bytes.subarray(sections.bareStart)];
  const parts: Buffer[] = [];
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
function changedFields(message: WireMessage, sections: Sections, mayBeNameless: boolean): Buffer | undefined {
  const acted = message.properties?.[RULE_NAME] !== undefined;
  const named = mayBeNameless || hasMessageId(sections);
  if (!acted && named) return undefined;
  const sent = rawItems(sections, findSection(sections, PROPERTIES));
  const id = named ? (sent[0] ?? to.nothing()) : to.string(message.messageId);
  if (!acted) return to.section(PROPERTIES, to.list([id, ...sent.slice(1)]));
  const ours = propertyFields(message);
  const fields = ours.map((field, i) => (OWN_FIELDS.has(i) ? field : (sent[i] ?? to.nothing())));
  return to.section(PROPERTIES, to.list([id, ...fields.slice(1)]));
}

/** to, subject, reply-to, correlation-id, content-type, group-id, reply-to-group-id: what an action can set. */
const OWN_FIELDS: ReadonlySet<number> = new Set([2, 3, 4, 5, 6, 10, 12]);

/** Whether the first item of the properties list is there and not null. */
function hasMessageId({ bytes, all }: Sections): boolean {
  for (const { code, value } of all) {
    if (code !== PROPERTIES) continue;
    const first = bytes[value] === 0xc0 ? value + 3 : bytes[value] === 0xd0 ? value + 9 : undefined;
    return first !== undefined && bytes[first - 1] !== 0 && bytes[first] !== 0x40;
  }
  return false;
}

/** The application properties with `changes` put in; every entry that was not changed keeps its bytes and its type. */
function spliceProperties(sections: Sections, changes: readonly Change[]): Buffer {
  const changed = new Map(changes);
  const sent = rawItems(sections, findSection(sections, APPLICATION_PROPERTIES));
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
