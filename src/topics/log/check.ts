// What a message must be before it may enter the queue to the log.
import { Refusal } from '../../kit/refusal.ts';
import type { TopicEntry } from '../entities/catalogue.ts';
import { noLimits, type TopicLimits } from '../entities/limits.ts';
import type { OutgoingMessage, PropertyValue } from '../message.ts';

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
  // Field by field, not in a loop over their names: that looks each field of each message up anew.
  checkShort('messageId', message.messageId, 0);
  checkShort('partitionKey', message.partitionKey, 1);
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

function checkShort(field: string, value: string | undefined, least: number): void {
  if (value === undefined || (value.length <= 128 && value.length >= least)) return;
  throw new Refusal('bad_request', `${field} has ${least} to 128 characters.`, { field });
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
  const { messageId, sessionId, partitionKey, correlationId, replyTo, replyToSessionId, to } = message;
  const { subject, contentType, properties } = message;
  const measured = (text: string | undefined) => (text === undefined ? 0 : measure(text));
  let size = message.body.length + measured(messageId) + measured(sessionId) + measured(partitionKey);
  size += measured(correlationId) + measured(replyTo) + measured(replyToSessionId) + measured(to);
  size += measured(subject) + measured(contentType);
  return properties ? size + propertiesSize(properties, measure) : size;
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
