// Sending messages as a broker's client does, for programs that do not speak in events.
import { type Static, Type } from 'typebox';
import type { Broker } from '../../../topics/broker.ts';
import type { App } from '../app.ts';
import { onQueue, QueueParams } from '../entity-paths.ts';
import { onTopic } from '../identity.ts';
import { messageFromJson, OutgoingSchema } from '../message-json.ts';
import { responses, Time, TopicParams } from '../schemas.ts';

const SendBody = Type.Object(
  { messages: Type.Array(OutgoingSchema, { minItems: 1, maxItems: 4096 }) },
  { additionalProperties: false, examples: [{ messages: [{ subject: 'joined', body: { employee: 'Ada' } }] }] },
);
const Sent = Type.Object({
  accepted: Type.Integer(),
  messages: Type.Array(
    Type.Object({ sequence: Type.Integer(), partition: Type.Integer(), duplicate: Type.Boolean(), enqueuedAt: Time() }),
  ),
});
const BODY_LIMIT = 8 * 1024 * 1024;

export function sendRoutes(app: App, { broker }: { readonly broker: Broker }): void {
  const send = async (name: string, { messages }: Static<typeof SendBody>) => {
    const receipts = await broker.publish(name, messages.map(messageFromJson));
    return {
      accepted: receipts.length,
      messages: receipts.map((each) => ({ ...each, enqueuedAt: each.enqueuedAt.toISOString() })),
    };
  };
  app.post(
    '/v1/topics/:topic/messages',
    {
      bodyLimit: BODY_LIMIT,
      config: { access: onTopic('send') },
      schema: { ...schemaOf('Topic'), params: TopicParams },
    },
    async ({ params, body }, reply) => reply.code(202).send(await send(params.topic, body)),
  );
  app.post(
    '/v1/queues/:queue/messages',
    {
      bodyLimit: BODY_LIMIT,
      config: { access: onQueue('send') },
      schema: { ...schemaOf('Queue'), params: QueueParams },
    },
    async ({ params, body }, reply) => reply.code(202).send(await send(params.queue, body)),
  );
}

function schemaOf(what: string) {
  return {
    operationId: `sendTo${what}`,
    summary: 'Send messages',
    description: 'All or none; answers when they are durable.',
    tags: ['messages'],
    body: SendBody,
    response: responses({ 202: Sent }),
  };
}
