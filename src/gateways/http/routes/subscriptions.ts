// Subscriptions of a topic, and their rules.
import { type TProperties, Type } from 'typebox';
import { Refusal } from '../../../kit/refusal.ts';
import type { Broker } from '../../../topics/broker.ts';
import type { SubscriptionEntry } from '../../../topics/entities/catalogue.ts';
import type { SubscriptionSettings } from '../../../topics/entities/settings.ts';
import type { App } from '../app.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { SubscriptionParams } from '../entity-paths.ts';
import type { EventStreams } from '../event-stream.ts';
import { onTopic } from '../identity.ts';
import { Progress } from '../progress.ts';
import { type RuleInput, RuleInputSchema, RuleSchema, ruleFromJson, ruleToJson } from '../rule-json.ts';
import { Nullable, PageOf, PageQuery, responses, Time, TopicParams } from '../schemas.ts';
import { optional, Status, sameName, type TopicDeps, topicOf } from './topics.ts';
import { FromSchema, replayFrom, wantsStream } from './upkeep.ts';

const Millis = Type.Integer({ minimum: 0, description: 'In milliseconds.' });

export const subscriptionSettings = {
  lockDurationMs: Type.Integer({ description: 'How long a received message is locked, in milliseconds.' }),
  maxDeliveryCount: Type.Integer({ description: 'After so many deliveries in vain a message is dead-lettered.' }),
  requiresSession: Type.Boolean({ description: 'Whether it is received by session. Only when it is made.' }),
  defaultTimeToLiveMs: Nullable(Millis),
  deadLetterOnExpiry: Type.Boolean(),
  deadLetterOnFilterError: Type.Boolean(),
  forwardTo: Nullable(Type.String({ maxLength: 260 })),
  forwardDeadLettersTo: Nullable(Type.String({ maxLength: 260 })),
  autoDeleteOnIdleMs: Nullable(Millis),
  status: Status,
  userMetadata: Type.String({ maxLength: 1024 }),
} satisfies TProperties;

export const counts = {
  active: Type.Integer({ description: 'Waiting or locked.' }),
  locked: Type.Integer(),
  deferred: Type.Integer(),
  deadLettered: Type.Integer(),
  transferDeadLettered: Type.Integer({ description: 'Could not be forwarded.' }),
} satisfies TProperties;

const SubscriptionView = Type.Object({
  name: Type.String(),
  ...subscriptionSettings,
  ...counts,
  rules: Type.Array(Type.String(), { description: 'The names of the first hundred.' }),
  ruleCount: Type.Integer(),
  createdAt: Time(),
  updatedAt: Time(),
});

const SubscriptionInput = Type.Object(
  {
    ...optional(subscriptionSettings),
    from: Type.Optional(FromSchema),
    rules: Type.Optional(
      Type.Record(Type.String(), RuleInputSchema, {
        description: 'By name. Given, they replace all others; a new subscription without them takes everything.',
      }),
    ),
  },
  {
    additionalProperties: false,
    examples: [{ maxDeliveryCount: 5, rules: { joined: { filter: "[cloudEvents:type] = 'hr.employee.joined'" } } }],
  },
);

/** Of rules that a subscription shows by name; the rest is listed by itself. */
const MOST_NAMES = 100;

const RuleParams = Type.Object({
  ...SubscriptionParams.properties,
  rule: Type.String({ maxLength: 50, examples: ['joined'] }),
});

export function subscriptionRoutes(app: App, { broker }: TopicDeps, streams: EventStreams): void {
  const path = '/v1/topics/:topic/subscriptions';
  app.get(path, { config: { access: onTopic('listen') }, schema: listSchema }, async ({ params, query }) => {
    const after = decodeCursor('subscriptions', query.cursor) ?? '';
    const all = topicOf(broker, params.topic).subscriptions.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const rest = all.filter(({ name }) => name > after);
    const items = await Promise.all(rest.slice(0, query.limit).map((entry) => view(broker, params.topic, entry)));
    return { items, next: encodeCursor('subscriptions', rest.length > query.limit ? items.at(-1)?.name : undefined) };
  });
  const one = `${path}/:subscription`;
  app.get(one, { config: { access: onTopic('listen') }, schema: getSchema }, ({ params }) =>
    view(broker, params.topic, broker.subscription(params.topic, params.subscription)),
  );
  app.put(one, { config: { access: onTopic('manage') }, schema: putSchema }, async ({ params, body }, reply) => {
    const given = body as SubscriptionGiven; // as SubscriptionInput says
    const isNew = !topicOf(broker, params.topic).subscriptions.some(sameName(params.subscription));
    await (isNew ? create : update)(broker, params, given);
    const entry = broker.subscription(params.topic, params.subscription);
    return reply.code(isNew ? 201 : 200).send(await view(broker, params.topic, entry));
  });
  app.delete(one, { config: { access: onTopic('manage') }, schema: deleteSchema }, async ({ params }, reply) => {
    await broker.deleteSubscription(params.topic, params.subscription);
    return reply.code(204).send(null);
  });
  ruleRoutes(app, broker, streams, `${one}/rules`);
}

type Place = { readonly topic: string; readonly subscription: string };

type SubscriptionGiven = Partial<SubscriptionSettings> & {
  readonly rules?: Readonly<Record<string, RuleInput>>;
  readonly from?: Parameters<typeof replayFrom>[0];
};

async function create(broker: Broker, { topic, subscription }: Place, { rules, from, ...settings }: SubscriptionGiven) {
  await broker.createSubscription(topic, subscription, settings, rules && rulesOf(rules), from && replayFrom(from));
}

async function update(broker: Broker, { topic, subscription }: Place, { rules, from, ...settings }: SubscriptionGiven) {
  if (from)
    throw new Refusal('conflict', `The subscription ${subscription} is there already; let it read again by /replay.`);
  await broker.updateSubscription(topic, subscription, settings, rules && rulesOf(rules));
}

function rulesOf(rules: Readonly<Record<string, RuleInput>>) {
  return Object.entries(rules).map(([name, rule]) => ruleFromJson(name, rule));
}

function ruleRoutes(app: App, broker: Broker, streams: EventStreams, path: string): void {
  app.get(path, { config: { access: onTopic('listen') }, schema: listRulesSchema }, async ({ params, query }) => {
    const after = decodeCursor('rules', query.cursor) ?? '';
    const { rules } = broker.subscription(params.topic, params.subscription);
    const rest = rules.filter(({ name }) => name > after).sort((a, b) => (a.name < b.name ? -1 : 1));
    const items = rest.slice(0, query.limit).map(ruleToJson);
    return { items, next: encodeCursor('rules', rest.length > query.limit ? items.at(-1)?.name : undefined) };
  });
  app.post(path, { config: { access: onTopic('manage') }, schema: addRulesSchema }, async (request, reply) => {
    const { topic, subscription } = request.params;
    const rules = rulesOf(request.body.rules as Readonly<Record<string, RuleInput>>); // as RuleInputSchema says
    if (!wantsStream(request)) return { added: await broker.addRules(topic, subscription, rules) };
    broker.subscription(topic, subscription); // refuses what is not there while an ordinary answer is still possible
    const progress = new Progress((tell) => broker.addRules(topic, subscription, rules, tell), 'added');
    return streams.serve(request, reply, progress);
  });
  app.get(`${path}/:rule`, { config: { access: onTopic('listen') }, schema: getRuleSchema }, async ({ params }) => {
    const { topic, subscription, rule } = params;
    const found = broker.subscription(topic, subscription).rules.find(sameName(rule));
    if (!found) throw new Refusal('not_found', `The subscription has no rule "${rule}".`);
    return ruleToJson(found);
  });
  app.put(
    `${path}/:rule`,
    { config: { access: onTopic('manage') }, schema: putRuleSchema },
    async ({ params, body }, reply) => {
      const { topic, subscription } = params;
      const rule = ruleFromJson(params.rule, body as RuleInput); // as RuleInputSchema says
      const { rules } = broker.subscription(topic, subscription);
      const isNew = !rules.some(sameName(params.rule));
      if (isNew) await broker.addRule(topic, subscription, rule);
      else
        await broker.replaceRules(topic, subscription, [...rules.filter((each) => !sameName(params.rule)(each)), rule]);
      return reply.code(isNew ? 201 : 200).send(ruleToJson(rule));
    },
  );
  app.delete(
    `${path}/:rule`,
    { config: { access: onTopic('manage') }, schema: deleteRuleSchema },
    async ({ params }, reply) => {
      const { topic, subscription, rule } = params;
      if (!broker.subscription(topic, subscription).rules.some(sameName(rule)))
        throw new Refusal('not_found', `The subscription has no rule "${rule}".`);
      await broker.removeRule(topic, subscription, rule);
      return reply.code(204).send(null);
    },
  );
}

async function view(broker: Broker, topic: string, entry: SubscriptionEntry) {
  const { name, settings, rules, createdAt, updatedAt } = entry;
  return {
    name,
    ...settings,
    ...(await broker.counts(topic, name)),
    rules: rules.slice(0, MOST_NAMES).map((rule) => rule.name),
    ruleCount: rules.length,
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  };
}

const tags = ['topics'];
const listSchema = {
  operationId: 'listSubscriptions',
  summary: 'List the subscriptions of a topic',
  tags,
  params: TopicParams,
  querystring: Type.Object(PageQuery),
  response: responses({ 200: PageOf(SubscriptionView) }),
};
const getSchema = {
  operationId: 'getSubscription',
  summary: 'Read a subscription',
  tags,
  params: SubscriptionParams,
  response: responses({ 200: SubscriptionView }),
};
const putSchema = {
  operationId: 'putSubscription',
  summary: 'Make a subscription, or change its settings',
  description:
    'What is left out keeps its value. A new subscription with `from` also gets what the log has since then.',
  tags,
  params: SubscriptionParams,
  body: SubscriptionInput,
  response: responses({ 200: SubscriptionView, 201: SubscriptionView }, 409),
};
const deleteSchema = {
  operationId: 'deleteSubscription',
  summary: 'Delete a subscription',
  tags,
  params: SubscriptionParams,
  response: responses({ 204: Type.Null({ description: 'The subscription is gone.' }) }),
};
const listRulesSchema = {
  operationId: 'listRules',
  summary: 'List the rules of a subscription',
  tags,
  params: SubscriptionParams,
  querystring: Type.Object(PageQuery),
  response: responses({ 200: PageOf(RuleSchema) }),
};
const addRulesSchema = {
  operationId: 'addRules',
  summary: 'Add many rules',
  description:
    'Nothing is added if one of them is not valid or there already. With `Accept: text/event-stream` it answers events `progress` while it works, and `done` or `failed` in the end.',
  tags,
  params: SubscriptionParams,
  body: Type.Object({ rules: Type.Record(Type.String(), RuleInputSchema) }, { additionalProperties: false }),
  response: responses({ 200: Type.Object({ added: Type.Integer() }) }, 409),
};
const getRuleSchema = {
  operationId: 'getRule',
  summary: 'Read a rule',
  tags,
  params: RuleParams,
  response: responses({ 200: RuleSchema }),
};
const putRuleSchema = {
  operationId: 'putRule',
  summary: 'Make or replace a rule',
  description: 'A message goes to the subscription if any of its rules matches.',
  tags,
  params: RuleParams,
  body: RuleInputSchema,
  response: responses({ 200: RuleSchema, 201: RuleSchema }, 409),
};
const deleteRuleSchema = {
  operationId: 'deleteRule',
  summary: 'Delete a rule',
  tags,
  params: RuleParams,
  response: responses({ 204: Type.Null({ description: 'The rule is gone.' }) }),
};
