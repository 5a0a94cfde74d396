// Queues: a name, with the settings of a topic and those of its one subscription in one.
import { Type } from 'typebox';
import { isAllowed } from '../../../access/rights.ts';
import { Refusal } from '../../../kit/refusal.ts';
import type { Broker } from '../../../topics/broker.ts';
import type { NewQueue } from '../../../topics/entities/admin.ts';
import type { TopicEntry } from '../../../topics/entities/catalogue.ts';
import type { App } from '../app.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { onQueue, QueueParams } from '../entity-paths.ts';
import { PageOf, PageQuery, responses, Time } from '../schemas.ts';
import { counts, subscriptionSettings } from './subscriptions.ts';
import { optional, Partitions, refuseOtherKind, sameName, scheduled, type TopicDeps, topicSettings } from './topics.ts';

/** Of the settings that both have, a queue uses the topic's. */
const OF_SUBSCRIPTION = [
  'lockDurationMs',
  'maxDeliveryCount',
  'requiresSession',
  'deadLetterOnExpiry',
  'forwardTo',
  'forwardDeadLettersTo',
] as const;

const ownSettings = Object.fromEntries(OF_SUBSCRIPTION.map((name) => [name, subscriptionSettings[name]]));

const QueueView = Type.Object({
  name: Type.String(),
  partitions: Type.Integer(),
  ...topicSettings,
  ...ownSettings,
  ...counts,
  scheduled,
  createdAt: Time(),
  updatedAt: Time(),
});
const QueueInput = Type.Object(
  {
    ...optional({ ...topicSettings, ...ownSettings }),
    partitions: Partitions,
  },
  { additionalProperties: false, examples: [{ lockDurationMs: 30_000, maxDeliveryCount: 5 }] },
);

export function queueRoutes(app: App, { broker }: TopicDeps): void {
  app.get('/v1/queues', { config: { access: 'known' }, schema: listSchema }, async ({ query, identity }) => {
    const page = broker.listTopics({ after: decodeCursor('queues', query.cursor), limit: query.limit, kind: 'queue' });
    const shown = page.items.filter(({ name }) => isAllowed(identity!, 'listen', `topic:${name}`));
    return {
      items: await Promise.all(shown.map((entry) => view(broker, entry))),
      next: encodeCursor('queues', page.next),
    };
  });
  app.get('/v1/queues/:queue', { config: { access: onQueue('listen') }, schema: getSchema }, async ({ params }) => ({
    ...(await view(broker, queueOf(broker, params.queue))),
    scheduled: await broker.countScheduled(params.queue),
  }));
  app.put(
    '/v1/queues/:queue',
    { config: { access: onQueue('manage') }, schema: putSchema },
    async ({ params, body }, reply) => {
      const known = broker.listTopics({ limit: Number.MAX_SAFE_INTEGER }).items.find(sameName(params.queue));
      const isNew = known === undefined;
      if (known) refuseOtherKind(known, 'queue');
      const given = split(body);
      const entry = await (isNew ? broker.createQueue(params.queue, given) : broker.updateQueue(params.queue, given));
      return reply.code(isNew ? 201 : 200).send(await view(broker, entry));
    },
  );
  app.delete(
    '/v1/queues/:queue',
    { config: { access: onQueue('manage') }, schema: deleteSchema },
    async ({ params }, reply) => {
      await broker.deleteTopic(queueOf(broker, params.queue).name);
      return reply.code(204).send(null);
    },
  );
}

function queueOf(broker: Broker, name: string): TopicEntry {
  const entry = broker.topic(name);
  if (entry.kind !== 'queue') throw new Refusal('topic_not_found', `"${entry.name}" is a topic; see /v1/topics.`);
  return entry;
}

/** `body` fits QueueInput, so each part has the settings of its type. */
function split(body: Readonly<Record<string, unknown>>): NewQueue {
  const { partitions, ...rest } = body as { partitions?: number };
  const isOwn = ([name]: [string, unknown]) => (OF_SUBSCRIPTION as readonly string[]).includes(name);
  const queue = Object.fromEntries(Object.entries(rest).filter(isOwn));
  const settings = Object.fromEntries(Object.entries(rest).filter((entry) => !isOwn(entry)));
  return { settings, queue, partitions };
}

async function view(broker: Broker, { name, partitions, settings, subscriptions, createdAt, updatedAt }: TopicEntry) {
  const own = subscriptions[0]!.settings; // a queue always has its one subscription
  return {
    name,
    partitions,
    ...settings,
    ...Object.fromEntries(OF_SUBSCRIPTION.map((setting) => [setting, own[setting]])),
    ...(await broker.counts(name)),
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  };
}

const tags = ['topics'];
const listSchema = {
  operationId: 'listQueues',
  summary: 'List queues',
  description: 'By name; those that the key may listen to.',
  tags,
  querystring: Type.Object(PageQuery),
  response: responses({ 200: PageOf(QueueView) }),
};
const getSchema = {
  operationId: 'getQueue',
  summary: 'Read a queue',
  tags,
  params: QueueParams,
  response: responses({ 200: QueueView }),
};
const putSchema = {
  operationId: 'putQueue',
  summary: 'Make a queue, or change its settings',
  description: 'What is left out keeps its value. Rights on a queue are rights on `topic:NAME`.',
  tags,
  params: QueueParams,
  body: QueueInput,
  response: responses({ 200: QueueView, 201: QueueView }, 409),
};
const deleteSchema = {
  operationId: 'deleteQueue',
  summary: 'Delete a queue with everything in it',
  tags,
  params: QueueParams,
  response: responses({ 204: Type.Null({ description: 'The queue is gone.' }) }),
};
