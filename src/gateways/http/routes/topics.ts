// Topics, as the people who run them see them. What the settings mean and may be, topics/entities/settings.ts says.
import { type TProperties, Type } from 'typebox';
import { isAllowed } from '../../../access/rights.ts';
import { Refusal } from '../../../kit/refusal.ts';
import type { Broker } from '../../../topics/broker.ts';
import type { TopicEntry } from '../../../topics/entities/catalogue.ts';
import type { TopicSettings } from '../../../topics/entities/settings.ts';
import type { App } from '../app.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { onTopic } from '../identity.ts';
import { Nullable, PageOf, PageQuery, responses, Time, TopicParams } from '../schemas.ts';

export const Status = Type.Enum(['active', 'disabled', 'sendDisabled', 'receiveDisabled']);
const Millis = (description: string) => Type.Integer({ minimum: 0, description: `${description} In milliseconds.` });

export const topicSettings = {
  defaultTimeToLiveMs: Nullable(Millis('How long a message lives that says nothing itself; null for ever.')),
  duplicateDetection: Type.Boolean({ description: 'Take a message id (an event’s source and id) once.' }),
  duplicateDetectionWindowMs: Millis('For how long an id is remembered.'),
  maxMessageBytes: Type.Integer({ minimum: 1024 }),
  maxSizeBytes: Nullable(Type.Integer({ minimum: 1 })),
  autoDeleteOnIdleMs: Nullable(Millis('Delete the topic when nobody has used it for so long.')),
  retentionMs: Millis('How long messages stay readable when every subscription is done with them.'),
  status: Status,
  userMetadata: Type.String({ maxLength: 1024 }),
} satisfies TProperties;

export const Partitions = Type.Optional(
  Type.Integer({ minimum: 1, maximum: 256, description: 'How many it has. Only when it is made.' }),
);

/** Counted in the database, so not in lists. */
export const scheduled = Type.Optional(
  Type.Integer({ description: 'Messages whose time has not come; not in lists.' }),
);

export const TopicView = Type.Object({
  name: Type.String(),
  partitions: Type.Integer(),
  ...topicSettings,
  subscriptions: Type.Array(Type.String(), { description: 'Their names.' }),
  scheduled,
  createdAt: Time(),
  updatedAt: Time(),
});

export const TopicInput = Type.Object(
  { ...optional(topicSettings), partitions: Partitions },
  { additionalProperties: false, examples: [{ retentionMs: 86_400_000, duplicateDetectionWindowMs: 600_000 }] },
);

export function optional(properties: TProperties): TProperties {
  return Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, Type.Optional(schema)]));
}

export type TopicDeps = { readonly broker: Broker };

export function topicRoutes(app: App, { broker }: TopicDeps): void {
  app.get('/v1/topics', { config: { access: 'known' }, schema: listSchema }, async ({ query, identity }) => {
    const page = broker.listTopics({ after: decodeCursor('topics', query.cursor), limit: query.limit, kind: 'topic' });
    const items = page.items.filter(({ name }) => isAllowed(identity!, 'listen', `topic:${name}`));
    return { items: items.map(topicView), next: encodeCursor('topics', page.next) };
  });
  app.get('/v1/topics/:topic', { config: { access: onTopic('listen') }, schema: getSchema }, async ({ params }) => ({
    ...topicView(topicOf(broker, params.topic)),
    scheduled: await broker.countScheduled(params.topic),
  }));
  app.put(
    '/v1/topics/:topic',
    { config: { access: onTopic('manage') }, schema: putSchema },
    async ({ params, body }, reply) => {
      const { partitions, ...settings } = body as Partial<TopicSettings> & { partitions?: number }; // as TopicInput says
      const known = broker.listTopics({ after: '', limit: Number.MAX_SAFE_INTEGER }).items.find(sameName(params.topic));
      if (!known) {
        const given = { duplicateDetection: true, ...settings };
        return reply.code(201).send(topicView(await broker.createTopic(params.topic, { settings: given, partitions })));
      }
      refuseOtherKind(known, 'topic');
      return reply.send(topicView(await broker.updateTopic(params.topic, { settings, partitions })));
    },
  );
  app.delete(
    '/v1/topics/:topic',
    { config: { access: onTopic('manage') }, schema: deleteSchema },
    async ({ params }, reply) => {
      await broker.deleteTopic(topicOf(broker, params.topic).name);
      return reply.code(204).send(null);
    },
  );
}

/** Refuses queues: they have their own paths. */
export function topicOf(broker: Broker, name: string): TopicEntry {
  const entry = broker.topic(name);
  if (entry.kind !== 'topic') throw new Refusal('topic_not_found', `"${entry.name}" is a queue; see /v1/queues.`);
  return entry;
}

/** Topics and queues share their names: who wants to make the one finds the other there. */
export function refuseOtherKind({ name, kind }: TopicEntry, wanted: TopicEntry['kind']): void {
  if (kind === wanted) return;
  throw new Refusal(
    'already_exists',
    `"${name}" is a ${kind} already (/v1/${kind}s); a ${wanted} needs another name.`,
    {
      kind,
    },
  );
}

export function sameName(name: string): (entry: { readonly name: string }) => boolean {
  return (entry) => entry.name.toLowerCase() === name.toLowerCase();
}

export function topicView({ name, partitions, settings, subscriptions, createdAt, updatedAt }: TopicEntry) {
  return {
    name,
    partitions,
    ...settings,
    subscriptions: subscriptions.map((subscription) => subscription.name),
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  };
}

const listSchema = {
  operationId: 'listTopics',
  summary: 'List topics',
  description: 'By name; those that the key may listen to.',
  tags: ['topics'],
  querystring: Type.Object(PageQuery),
  response: responses({ 200: PageOf(TopicView) }),
};
const getSchema = {
  operationId: 'getTopic',
  summary: 'Read a topic',
  tags: ['topics'],
  params: TopicParams,
  response: responses({ 200: TopicView }),
};
const putSchema = {
  operationId: 'putTopic',
  summary: 'Make a topic, or change its settings',
  description: 'What is left out keeps its value; a new topic gets defaults, with duplicate detection on.',
  tags: ['topics'],
  params: TopicParams,
  body: TopicInput,
  response: responses({ 200: TopicView, 201: TopicView }, 409),
};
const deleteSchema = {
  operationId: 'deleteTopic',
  summary: 'Delete a topic with everything in it',
  tags: ['topics'],
  params: TopicParams,
  response: responses({ 204: Type.Null({ description: 'The topic is gone.' }) }),
};
