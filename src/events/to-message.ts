// An event as a message of the log and back, both pure. The properties are those of the CloudEvents AMQP binding in its
// binary mode (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md), so that a
// Service Bus client which knows CloudEvents reads what came in over HTTP, and the other way round.

import { derivedId } from '../kit/ids.ts';
import { Refusal } from '../kit/refusal.ts';
import type { Message, OutgoingMessage, PropertyValue } from '../topics/message.ts';
import { plainBody } from './body-formats.ts';
import { type Attributes, type CloudEvent, defaultLimits, type ExtensionValue, makeEvent } from './cloudevent.ts';
import { bytesData, decodeEvents } from './decode.ts';

const PREFIX = 'cloudEvents:';
/** What clients write whose property names may not hold a colon (JMS); the binding allows both. */
const OTHER_PREFIX = 'cloudEvents_';
/** The limit of a message id, from Service Bus. */
const LONGEST_ID = 128;

/** A message that is no event. `cause` says why, in words for the trace. */
export type Unreadable = { readonly kind: 'unreadable'; readonly cause: string };
export type Readable = { readonly kind: 'event'; readonly event: CloudEvent };

/**
 * The message id that makes a repeated event a duplicate: `source#id`, or a hash of both where that would be too long
 * or could be read in two ways.
 */
export function messageIdOf(source: string, id: string): string {
  const plain = `${source}#${id}`;
  return plain.length <= LONGEST_ID && plain.indexOf('#') === plain.lastIndexOf('#')
    ? plain
    : derivedId('evt', source, id);
}

export function toMessage(event: CloudEvent): OutgoingMessage {
  return {
    messageId: messageIdOf(event.source, event.id),
    ...(event.subject === undefined ? {} : { subject: event.subject }),
    ...(event.datacontenttype === undefined ? {} : { contentType: event.datacontenttype }),
    ...brokerFields(event.extensions),
    properties: propertiesOf(event),
    body: event.raw ?? encodeData(event.data),
  };
}

/** Extensions that are message fields as well: `partitionkey` of the specification, and those a broker needs. */
function brokerFields(extensions: CloudEvent['extensions']): Partial<OutgoingMessage> {
  const { partitionkey, sessionid, correlationid, replyto } = extensions;
  return {
    ...(partitionkey === undefined ? {} : { partitionKey: String(partitionkey).slice(0, LONGEST_ID) }),
    ...(sessionid === undefined ? {} : { sessionId: String(sessionid).slice(0, LONGEST_ID) }),
    ...(correlationid === undefined ? {} : { correlationId: String(correlationid).slice(0, LONGEST_ID) }),
    ...(replyto === undefined ? {} : { replyTo: String(replyto) }),
  };
}

function propertiesOf(event: CloudEvent): Record<string, PropertyValue> {
  const properties: Record<string, PropertyValue> = {
    [`${PREFIX}specversion`]: '1.0',
    [`${PREFIX}id`]: event.id,
    [`${PREFIX}source`]: event.source,
    [`${PREFIX}type`]: event.type,
    [`${PREFIX}time`]: event.time,
  };
  if (event.subject !== undefined) properties[`${PREFIX}subject`] = event.subject;
  if (event.dataschema !== undefined) properties[`${PREFIX}dataschema`] = event.dataschema;
  for (const name in event.extensions) properties[PREFIX + name] = event.extensions[name]!;
  return properties;
}

function encodeData(data: unknown): Uint8Array {
  if (data === undefined) return new Uint8Array();
  if (data instanceof Uint8Array) return data;
  return Buffer.from(JSON.stringify(data));
}

/**
 * The event that a message carries. One without CloudEvents properties, as other clients send it, becomes an event of
 * the type in its property `type`, else its subject, else `message`, from the source `topic/<name>`.
 */
export function fromMessage(message: Message): Readable | Unreadable {
  try {
    return { kind: 'event', event: read({ ...message, body: plainBody(message) }) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { kind: 'unreadable', cause: error.message };
  }
}

function read(message: Message): CloudEvent {
  if (/^application\/cloudevents\+json/i.test(message.contentType ?? ''))
    return decodeEvents({ 'content-type': message.contentType }, message.body, message.enqueuedAt).events[0]!;
  const attributes = attributesOf(message);
  if (attributes === undefined) return plainEvent(message);
  return makeEvent(withContentType(attributes, message), dataOf(message), message.enqueuedAt);
}

function attributesOf(message: Message): Record<string, unknown> | undefined {
  const attributes: Record<string, unknown> = Object.create(null);
  let found = false;
  for (const name in message.properties) {
    if (!name.startsWith(PREFIX) && !name.startsWith(OTHER_PREFIX)) continue;
    found = true;
    attributes[name.slice(PREFIX.length)] = attributeValue(message.properties[name]!);
  }
  return found ? attributes : undefined;
}

function attributeValue(value: PropertyValue): ExtensionValue | null {
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return typeof value === 'bigint' ? Number(value) : value;
}

function withContentType(attributes: Attributes, message: Message): Attributes {
  return message.contentType === undefined ? attributes : { ...attributes, datacontenttype: message.contentType };
}

function dataOf(message: Message): Pick<CloudEvent, 'data' | 'raw'> {
  if (message.body.length === 0) return { data: undefined };
  return bytesData(message.body, message.contentType, defaultLimits);
}

function plainEvent(message: Message): CloudEvent {
  const type = message.properties?.type;
  return {
    id: message.messageId,
    source: `topic/${message.topic}`,
    type: typeof type === 'string' && type !== '' ? type : message.subject || 'message',
    time: message.enqueuedAt,
    ...(message.subject === undefined ? {} : { subject: message.subject }),
    ...(message.contentType === undefined ? {} : { datacontenttype: message.contentType }),
    extensions: {},
    ...(message.contentType === undefined ? guessedData(message.body) : dataOf(message)),
  };
}

/** A body without a content type: JSON if it reads as JSON (what most clients send), else text, else bytes. */
function guessedData(body: Uint8Array): Pick<CloudEvent, 'data' | 'raw'> {
  if (body.length === 0) return { data: undefined };
  for (const contentType of ['application/json', 'text/plain']) {
    try {
      return bytesData(body, contentType, defaultLimits);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error; // a refusal means: not of this type, try the next
    }
  }
  return { data: body, raw: body };
}
