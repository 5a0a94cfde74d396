// Messages in JSON, as consumer programs send and receive them. `body` is any JSON: a string stands for text, anything
// else for JSON. What is neither is `bodyBase64`.
import { type Static, Type } from 'typebox';
import { isJsonType } from '../../events/cloudevent.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { Message, OutgoingMessage } from '../../topics/message.ts';
import { PropertiesSchema, propertiesFromJson, propertiesToJson } from './property-json.ts';
import { Time } from './schemas.ts';

const Short = Type.String({ minLength: 1, maxLength: 128 });
const Long = Type.String({ maxLength: 1024 });

const fields = {
  messageId: Type.Optional(Short),
  sessionId: Type.Optional(Short),
  partitionKey: Type.Optional(Short),
  correlationId: Type.Optional(Long),
  replyTo: Type.Optional(Long),
  replyToSessionId: Type.Optional(Short),
  to: Type.Optional(Long),
  subject: Type.Optional(Long),
  contentType: Type.Optional(Type.String({ maxLength: 256 })),
  timeToLiveMs: Type.Optional(Type.Integer({ minimum: 1 })),
  properties: Type.Optional(PropertiesSchema),
  body: Type.Optional(Type.Unknown({ description: 'Text, or any other JSON.' })),
  bodyBase64: Type.Optional(Type.String({ description: 'Bytes, instead of `body`.' })),
};

const ScheduledAt = Type.Optional(Time('Kept aside until then; the answer’s sequence number cancels it.'));

export const OutgoingSchema = Type.Object(
  { ...fields, scheduledAt: ScheduledAt },
  {
    additionalProperties: false,
    examples: [{ subject: 'joined', properties: { level: 3 }, body: { employee: 'Ada' } }],
  },
);

const logged = {
  ...fields,
  messageId: Type.String(),
  bodyFormat: Type.Optional(Type.String({ description: 'How `bodyBase64` is encoded, where it is no plain content.' })),
  sequence: Type.Integer(),
  partition: Type.Integer(),
  enqueuedAt: Time(),
  scheduledAt: Type.Optional(Time()),
  expiresAt: Type.Optional(Time()),
  deliveryCount: Type.Integer({ description: 'Earlier deliveries in vain.' }),
  deadLetterReason: Type.Optional(Type.String()),
  deadLetterDescription: Type.Optional(Type.String()),
  deadLetterSource: Type.Optional(Type.String()),
};

export const ReceivedSchema = Type.Object({
  ...logged,
  lockToken: Type.Optional(Type.String({ description: 'Settle by it.' })),
  lockedUntil: Type.Optional(Time()),
});

export const PeekedSchema = Type.Object({ ...logged, state: Type.Enum(['active', 'deferred', 'scheduled']) });

export function messageFromJson(given: Static<typeof OutgoingSchema>): OutgoingMessage {
  const { body, bodyBase64, properties, contentType, scheduledAt, ...rest } = given;
  if (body !== undefined && bodyBase64 !== undefined)
    throw new Refusal('bad_request', 'The request is not valid: bodyBase64 cannot stand beside body.', {
      errors: [{ field: 'bodyBase64', problem: 'cannot stand beside body' }],
    });
  const isText = typeof body === 'string' && !isJsonType(contentType ?? '');
  const type = contentType ?? (body === undefined || isText ? undefined : 'application/json');
  return {
    ...rest,
    ...(scheduledAt === undefined ? {} : { scheduledAt: timeOf(scheduledAt) }),
    ...(type === undefined ? {} : { contentType: type }),
    // The schema says that the properties are JSON properties.
    ...(properties === undefined ? {} : { properties: propertiesFromJson(properties as Record<string, unknown>) }),
    body: bodyBase64 === undefined ? encode(body, isText) : Buffer.from(bodyBase64, 'base64'),
  };
}

function timeOf(text: string): Date {
  const time = new Date(text);
  if (!Number.isNaN(time.getTime())) return time;
  throw new Refusal('bad_request', 'The request is not valid: scheduledAt is no time.', {
    errors: [{ field: 'scheduledAt', problem: 'is no time' }],
  });
}

function encode(body: unknown, isText: boolean): Uint8Array {
  if (body === undefined) return new Uint8Array();
  return Buffer.from(isText ? String(body) : JSON.stringify(body));
}

/** What is not known of the message is left out. */
export function messageToJson(message: Message) {
  const { topic: _topic, body: _body, hops: _hops, originalSequence: _original, ...known } = message;
  const { properties, enqueuedAt, expiresAt, scheduledAt, messageId, sequence, partition, deliveryCount } = message;
  const texts = Object.entries(known).filter(([name, value]) => PLAIN.has(name) && value !== undefined);
  return {
    ...(Object.fromEntries(texts) as Static<typeof OutgoingSchema>), // PLAIN names fields of it
    messageId,
    sequence,
    partition,
    deliveryCount,
    enqueuedAt: enqueuedAt.toISOString(),
    ...(expiresAt === undefined ? {} : { expiresAt: expiresAt.toISOString() }),
    ...(scheduledAt === undefined ? {} : { scheduledAt: scheduledAt.toISOString() }),
    ...(properties === undefined ? {} : { properties: propertiesToJson(properties) }),
    ...bodyOf(message),
  };
}

const PLAIN = new Set([
  'sessionId',
  'partitionKey',
  'correlationId',
  'replyTo',
  'replyToSessionId',
  'to',
  'subject',
  'contentType',
  'timeToLiveMs',
  'deadLetterReason',
  'deadLetterDescription',
  'deadLetterSource',
]);

function bodyOf({ body, bodyFormat, contentType = '' }: Message) {
  if (bodyFormat !== undefined) return { bodyBase64: Buffer.from(body).toString('base64'), bodyFormat };
  if (body.length === 0) return {};
  try {
    const text = strictUtf8.decode(body);
    return { body: isJsonType(contentType) ? (JSON.parse(text) as unknown) : text };
  } catch {
    return { bodyBase64: Buffer.from(body).toString('base64') }; // neither text nor the JSON that it says it is
  }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
