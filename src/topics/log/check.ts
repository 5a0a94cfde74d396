// What a message must be before it may enter the queue to the log.
import { Refusal } from '../../kit/refusal.ts';
import type { TopicEntry } from '../entities/catalogue.ts';
import { noLimits, type TopicLimits } from '../entities/limits.ts';
import type { OutgoingMessage, PropertyValue } from '../message.ts';

const SHORT = ['messageId', 'sessionId', 'partitionKey'] as const;
const LONG = ['correlationId', 'replyTo', 'replyToSessionId', 'to', 'subject', 'contentType'] as const;

/** Refuses what the topic does not take. */
export function checkMessages(
  topic: TopicEntry,
  messages: readonly OutgoingMessage[],
  limits: TopicLimits = noLimits,
): void {
  const { status, maxMessageBytes } = topic.settings;
  if (status === 'disabled' || status === 'sendDisabled') {
    throw new Refusal('entity_disabled', `"${topic.name}" does not accept messages now.`);
  }
  const sessions = topic.kind === 'queue' && topic.subscriptions[0]?.settings.requiresSession;
  for (const message of messages) {
    checkMessage(message, maxMessageBytes);
    if (message.properties) checkProperties(message.properties, limits);
    if (message.intoPartition !== undefined) checkPartition(topic, message.intoPartition);
    if (sessions && message.sessionId === undefined) {
      throw new Refusal('bad_request', `"${topic.name}" requires sessions: every message needs a session id.`);
    }
  }
}

/** Refuses the number of a partition that the topic does not have. */
export function checkPartition(topic: TopicEntry, part: number): void {
  if (Number.isInteger(part) && part >= 0 && part < topic.partitions) return;
  const words = `The specified partition is invalid: "${topic.name}" has the partitions 0 to ${topic.partitions - 1}.`;
  throw new Refusal('bad_request', words, { condition: 'com.microsoft:argument-out-of-range' });
}

function checkMessage(message: OutgoingMessage, maxBytes: number): void {
  for (const field of SHORT) {
    const value = message[field];
    if (value !== undefined && (value.length > 128 || (value.length === 0 && field === 'partitionKey'))) {
      throw new Refusal('bad_request', `${field} has ${field === 'partitionKey' ? 1 : 0} to 128 characters.`, {
        field,
      });
    }
  }
  const { sessionId, partitionKey, timeToLiveMs } = message;
  if (sessionId !== undefined) checkSessionId(sessionId);
  if (sessionId !== undefined && partitionKey !== undefined && sessionId !== partitionKey) {
    throw new Refusal('bad_request', 'A message with a session id has that as its partition key, or none.');
  }
  if (timeToLiveMs !== undefined && !(Number.isSafeInteger(timeToLiveMs) && timeToLiveMs > 0)) {
    throw new Refusal('bad_request', 'timeToLiveMs is a positive whole number of milliseconds.');
  }
  if (sizeOf(message, bytesAtMost) <= maxBytes) return;
  const size = sizeOf(message, bytesOf);
  if (size > maxBytes) throw tooLarge('The message has', size, maxBytes);
}

/** A session is any text, the empty one too; its state is kept under it, and the database holds no zero in a text. */
export function checkSessionId(id: string): void {
  if (id.length <= 128 && !id.includes('\0')) return;
  const words = 'A session id has at most 128 characters, and none of them is U+0000.';
  throw new Refusal('bad_request', words, { field: 'sessionId' });
}

function checkProperties(properties: Readonly<Record<string, PropertyValue>>, limits: TopicLimits): void {
  const { propertyBytes, propertiesBytes } = limits;
  if (propertiesSize(properties, bytesAtMost) <= Math.min(propertyBytes, propertiesBytes)) return;
  let total = 0;
  for (const [name, value] of Object.entries(properties)) {
    const size = bytesOf(name) + valueSize(value, bytesOf);
    if (size > propertyBytes) throw tooLarge(`The property "${name.slice(0, 100)}" has`, size, propertyBytes);
    total += size;
  }
  if (total > propertiesBytes) throw tooLarge('The properties of the message have', total, propertiesBytes);
}

function tooLarge(what: string, size: number, limit: number): Refusal {
  return new Refusal('too_large', `${what} ${size} bytes; the limit is ${limit}.`, { size, limit });
}

/** Bytes of a text, in UTF-8. */
type Measure = (text: string) => number;

const bytesOf: Measure = (text) => Buffer.byteLength(text);
/** Three for each UTF-16 unit. Costs a tenth, and nearly every message has room by it. */
const bytesAtMost: Measure = (text) => 3 * text.length;

/** Bytes of content and fields. */
function sizeOf(message: OutgoingMessage, measure: Measure): number {
  let size = message.body.length;
  for (const field of SHORT) size += measure(message[field] ?? '');
  for (const field of LONG) size += measure(message[field] ?? '');
  return size + propertiesSize(message.properties ?? {}, measure);
}

function propertiesSize(properties: Readonly<Record<string, PropertyValue>>, measure: Measure): number {
  let size = 0;
  for (const [name, value] of Object.entries(properties)) size += measure(name) + valueSize(value, measure);
  return size;
}

function valueSize(value: PropertyValue, measure: Measure): number {
  if (typeof value === 'string') return measure(value);
  return value instanceof Uint8Array ? value.length : 8;
}
