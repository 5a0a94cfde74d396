// The log of a topic as events, whoever has read what, and the story of each event.
import { Type } from 'typebox';
import { type EventKey, traceOfEvent } from '../../../deliveries/read-trace.ts';
import { eventToJson } from '../../../events/to-json.ts';
import { fromMessage } from '../../../events/to-message.ts';
import type { Database } from '../../../kit/database.ts';
import { Refusal } from '../../../kit/refusal.ts';
import type { Broker } from '../../../topics/broker.ts';
import type { Message } from '../../../topics/message.ts';
import type { App } from '../app.ts';
import { decodeCursor, decodeNumberCursor, encodeCursor } from '../cursor.ts';
import { type Need, onTopic } from '../identity.ts';
import { Nullable, PageOf, PageQuery, responses, Time, TopicParams } from '../schemas.ts';
import { Steps, shownStep } from './trace.ts';

export type LogDeps = { readonly broker: Broker; readonly database: Database };

const Sequence = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

const EventJson = Type.Object(
  {
    specversion: Type.Optional(Type.String()),
    id: Type.String(),
    source: Type.Optional(Type.String()),
    type: Type.Optional(Type.String()),
  },
  { additionalProperties: true, description: 'The event in the CloudEvents JSON format.' },
);
const Logged = Type.Object({
  sequence: Sequence,
  partition: Type.Integer(),
  enqueuedAt: Time(),
  event: EventJson,
  problem: Type.Optional(Type.String({ description: 'Why the message could not be read as an event.' })),
});

const Trace = Type.Object({
  event: Nullable(Type.Intersect([EventJson, Type.Object({}, { additionalProperties: true })])),
  steps: Steps,
  next: Nullable(Type.String()),
});

/** The topic stands in the query here. */
const onQueriedTopic: Need = {
  right: 'listen',
  entity: ({ query }) => `topic:${(query as { topic?: string }).topic ?? ''}`,
};

export function logRoutes(app: App, { broker, database }: LogDeps): void {
  app.get(
    '/v1/topics/:topic/events',
    { config: { access: onTopic('listen') }, schema: listSchema },
    async ({ params, query }) => {
      const { limit, partition, from } = query;
      const resumed = decodeNumberCursor(from === undefined ? 'events' : 'events-from', query.cursor);
      const messages = await broker.browse(params.topic, {
        limit,
        ...(partition === undefined ? {} : { partition }),
        ...(from === undefined
          ? { before: resumed ?? query.before ?? Number.POSITIVE_INFINITY }
          : { from: resumed ?? from }),
      });
      return { items: messages.map(logged), next: nextOf(messages, limit, from !== undefined) };
    },
  );
  app.get(
    '/v1/topics/:topic/events/:sequence/trace',
    { config: { access: onTopic('listen') }, schema: traceSchema },
    ({ params, query }) => trace(broker, database, params.topic, { sequence: params.sequence }, query),
  );
  app.get('/v1/events/trace', { config: { access: onQueriedTopic }, schema: traceByIdSchema }, ({ query }) =>
    trace(broker, database, query.topic, { eventId: query.id }, query),
  );
}

type PageInput = { readonly limit: number; readonly cursor?: string };

async function trace(
  broker: Broker,
  database: Database,
  topicName: string,
  which: { readonly sequence: number } | { readonly eventId: string },
  { limit, cursor }: PageInput,
) {
  const topic = broker.topic(topicName).name;
  const key: EventKey = { topic, ...which };
  const page = await traceOfEvent(database, key, { limit, after: decodeCursor('event-trace', cursor) });
  const sequence = 'sequence' in which ? which.sequence : page.items[0]?.sequence;
  const message = sequence === undefined || sequence === null ? undefined : await messageAt(broker, topic, sequence);
  if (!message && page.items.length === 0 && cursor === undefined)
    throw new Refusal('not_found', `The topic ${topic} has no such event, or nothing is known of it yet.`);
  const event = message ? { ...logged(message).event, topic, ...placeOf(message) } : null;
  return { event, steps: page.items.map(shownStep), next: encodeCursor('event-trace', page.next) };
}

async function messageAt(broker: Broker, topic: string, sequence: number): Promise<Message | undefined> {
  const [message] = await broker.browse(topic, { from: sequence, limit: 1 });
  return message?.sequence === sequence ? message : undefined;
}

function logged(message: Message) {
  const read = fromMessage(message);
  if (read.kind === 'event') return { ...placeOf(message), event: { id: read.event.id, ...eventToJson(read.event) } };
  return { ...placeOf(message), event: { id: message.messageId }, problem: read.cause };
}

function placeOf({ sequence, partition, enqueuedAt }: Message) {
  return { sequence, partition, enqueuedAt: enqueuedAt.toISOString() };
}

function nextOf(messages: readonly Message[], limit: number, forwards: boolean): string | null {
  const last = messages.length === limit ? messages.at(-1) : undefined;
  if (!last) return null;
  return forwards ? encodeCursor('events-from', last.sequence + 1) : encodeCursor('events', last.sequence);
}

const listSchema = {
  operationId: 'listEvents',
  summary: 'Read the log of a topic',
  description:
    'Newest first; with `from` oldest first from that sequence number on. It takes nothing away from anybody.',
  tags: ['events'],
  params: TopicParams,
  querystring: Type.Object({
    before: Type.Optional(Sequence),
    from: Type.Optional(Sequence),
    partition: Type.Optional(Type.Integer({ minimum: 0, maximum: 255, description: 'Of several; 0 unless told.' })),
    ...PageQuery,
  }),
  response: responses({ 200: PageOf(Logged) }),
};
const traceSchema = {
  operationId: 'traceOfEvent',
  summary: 'Whom did this event reach, and why not the others?',
  tags: ['trace'],
  params: Type.Object({ ...TopicParams.properties, sequence: Sequence }),
  querystring: Type.Object({ ...PageQuery, limit: Type.Integer({ minimum: 1, maximum: 1000, default: 200 }) }),
  response: responses({ 200: Trace }),
};
const traceByIdSchema = {
  operationId: 'traceOfEventById',
  summary: 'The same by the id of the event',
  tags: ['trace'],
  response: traceSchema.response,
  querystring: Type.Object({
    topic: Type.String({ minLength: 1, maxLength: 260 }),
    id: Type.String({ minLength: 1, maxLength: 256 }),
    ...traceSchema.querystring.properties,
  }),
};
