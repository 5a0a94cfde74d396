// Topics, queues, subscriptions and rules of a Service Bus namespace, by its official client.
import type {
  CreateQueueOptions,
  CreateSubscriptionOptions,
  CreateTopicOptions,
  RuleProperties,
  SqlRuleAction,
  SqlRuleFilter,
} from '@azure/service-bus';
import { type Call, UsageError } from './command.ts';
import { changesGiven, settingsGiven } from './entity-settings.ts';
import { wholeOption } from './message-options.ts';
import type { Namespace, Run } from './namespace.ts';
import { filterForBus, readRule } from './rule-options.ts';

type Row = Record<string, unknown>;

// The settings that --settings may have: the client library passes over a name that it does not know.
const SHARED_SETTINGS = [
  'autoDeleteOnIdle',
  'defaultMessageTimeToLive',
  'enableBatchedOperations',
  'status',
  'userMetadata',
] as const;
const HOLDING_SETTINGS = [
  'authorizationRules',
  'duplicateDetectionHistoryTimeWindow',
  'enableExpress',
  'enablePartitioning',
  'maxMessageSizeInKilobytes',
  'maxSizeInMegabytes',
  'requiresDuplicateDetection',
] as const;
const RECEIVING_SETTINGS = [
  'deadLetteringOnMessageExpiration',
  'forwardDeadLetteredMessagesTo',
  'forwardTo',
  'lockDuration',
  'maxDeliveryCount',
  'requiresSession',
] as const;
const TOPIC_SETTINGS = [
  ...SHARED_SETTINGS,
  ...HOLDING_SETTINGS,
  'supportOrdering',
] as const satisfies readonly (keyof CreateTopicOptions)[];
const QUEUE_SETTINGS = [
  ...SHARED_SETTINGS,
  ...HOLDING_SETTINGS,
  ...RECEIVING_SETTINGS,
] as const satisfies readonly (keyof CreateQueueOptions)[];
const SUBSCRIPTION_CHANGES = [
  ...SHARED_SETTINGS,
  ...RECEIVING_SETTINGS,
  'deadLetteringOnFilterEvaluationExceptions',
] as const satisfies readonly (keyof CreateSubscriptionOptions)[];
const SUBSCRIPTION_SETTINGS = [
  ...SUBSCRIPTION_CHANGES,
  'defaultRuleOptions',
] as const satisfies readonly (keyof CreateSubscriptionOptions)[];

const IS_THERE = 409;
const RULE_OF_NEW =
  'defaultRuleOptions is for a new subscription, and this one is there: carillon rule changes its rules.';

export const entityRuns: Readonly<Record<string, Run>> = {
  'topic list': (call, { admin }) =>
    list(call, admin.listTopicsRuntimeProperties(), [
      'name',
      'subscriptionCount',
      'scheduledMessageCount',
      'createdAt',
    ]),
  'topic show': async (call, { admin }) => {
    const { topic } = namesOf(call);
    show(call, { ...(await admin.getTopic(topic)), ...(await admin.getTopicRuntimeProperties(topic)) });
  },
  'topic create': async (call, { admin }) => {
    const { topic } = namesOf(call);
    const given = settingsGiven(call, 'bus', TOPIC_SETTINGS);
    await makeOrChange(call, given, {
      make: () => admin.createTopic(topic, given),
      find: () => admin.getTopic(topic),
      change: (known) => admin.updateTopic(known),
    });
  },
  'topic update': async (call, { admin }) => {
    const given = changesGiven(call, 'bus', TOPIC_SETTINGS);
    show(call, await admin.updateTopic(merge(await admin.getTopic(namesOf(call).topic), given)));
  },
  'topic delete': async (call, { admin }) => done(call, await admin.deleteTopic(namesOf(call).topic)),
  'queue list': (call, { admin }) =>
    list(call, admin.listQueuesRuntimeProperties(), [
      'name',
      'activeMessageCount',
      'deadLetterMessageCount',
      'scheduledMessageCount',
      'createdAt',
    ]),
  'queue show': async (call, { admin }) => {
    const { queue } = namesOf(call);
    show(call, { ...(await admin.getQueue(queue)), ...(await admin.getQueueRuntimeProperties(queue)) });
  },
  'queue create': async (call, { admin }) => {
    const { queue } = namesOf(call);
    const given = settingsGiven(call, 'bus', QUEUE_SETTINGS);
    await makeOrChange(call, given, {
      make: () => admin.createQueue(queue, given),
      find: () => admin.getQueue(queue),
      change: (known) => admin.updateQueue(known),
    });
  },
  'queue update': async (call, { admin }) => {
    const given = changesGiven(call, 'bus', QUEUE_SETTINGS);
    show(call, await admin.updateQueue(merge(await admin.getQueue(namesOf(call).queue), given)));
  },
  'queue delete': async (call, { admin }) => done(call, await admin.deleteQueue(namesOf(call).queue)),
  'subscription list': (call, { admin }) =>
    list(call, admin.listSubscriptionsRuntimeProperties(namesOf(call).topic), [
      'subscriptionName',
      'activeMessageCount',
      'deadLetterMessageCount',
      'accessedAt',
    ]),
  'subscription show': async (call, { admin }) => {
    const { topic, subscription } = namesOf(call);
    const counts = await admin.getSubscriptionRuntimeProperties(topic, subscription);
    show(call, { ...(await admin.getSubscription(topic, subscription)), ...counts });
  },
  'subscription create': async (call, { admin }) => {
    const { topic, subscription } = namesOf(call);
    const given = settingsGiven(call, 'bus', SUBSCRIPTION_SETTINGS);
    await makeOrChange(call, given, {
      make: () => admin.createSubscription(topic, subscription, given),
      find: () => admin.getSubscription(topic, subscription),
      change: (known) => {
        if (Object.hasOwn(given, 'defaultRuleOptions')) throw new UsageError(RULE_OF_NEW);
        return admin.updateSubscription(known);
      },
    });
  },
  'subscription update': async (call, { admin }) => {
    const given = changesGiven(call, 'bus', SUBSCRIPTION_CHANGES);
    const { topic, subscription } = namesOf(call);
    show(call, await admin.updateSubscription(merge(await admin.getSubscription(topic, subscription), given)));
  },
  'subscription delete': async (call, { admin }) => {
    const { topic, subscription } = namesOf(call);
    done(call, await admin.deleteSubscription(topic, subscription));
  },
  'rule list': async (call, { admin }) => {
    const { topic, subscription } = namesOf(call);
    await list(call, admin.listRules(topic, subscription), ['name', 'filter', 'action'], ruleInWords);
  },
  'rule show': async (call, { admin }) => {
    const { topic, subscription, rule } = namesOf(call);
    showRule(call, await admin.getRule(topic, subscription, rule));
  },
  'rule create': createRule,
  'rule update': updateRule,
  'rule delete': async (call, { admin }) => {
    const { topic, subscription, rule } = namesOf(call);
    done(call, await admin.deleteRule(topic, subscription, rule));
  },
};

/** The command line has asked for those that the command needs. */
function namesOf({ args }: Call): Record<'topic' | 'queue' | 'subscription' | 'rule', string> {
  return args as ReturnType<typeof namesOf>;
}

type Ways<T> = {
  readonly make: () => Promise<T>;
  readonly find: () => Promise<T>;
  readonly change: (known: T) => Promise<T>;
};

/** As a PUT over HTTP: what is there already keeps what is not given. */
async function makeOrChange<T extends object>(call: Call, given: Row, { make, find, change }: Ways<T>): Promise<void> {
  const made = await make().catch(async (refused: Error & { readonly statusCode?: unknown }) => {
    if (refused.statusCode !== IS_THERE) throw refused;
    const known = await find().catch(() => {
      throw refused; // The name belongs to something else.
    });
    return change(merge(known, given));
  });
  show(call, made);
}

/** `known` with what is given; an empty text takes a setting away, as `--forward-to none`. */
function merge<T extends object>(known: T, given: Row): T {
  return Object.fromEntries(Object.entries({ ...known, ...given }).filter(([, value]) => value !== '')) as T; // T's fields
}

function show(call: Call, value: object): void {
  const { _response, ...fields } = value as Row;
  call.out.fields(fields);
}

function done(call: Call, _answer: unknown): void {
  call.out.result({ deleted: true }, () => 'done');
}

async function list<T extends object>(
  call: Call,
  all: AsyncIterable<T>,
  columns: readonly string[],
  inWords: (item: T) => object = (item) => item,
): Promise<void> {
  const limit = wholeOption(call, 'limit', Number.POSITIVE_INFINITY);
  const items: T[] = [];
  for await (const { _response, ...each } of all as AsyncIterable<Row>) if (items.push(each as T) >= limit) break;
  call.out.list({ items: items.map((each) => ({ ...(call.out.json ? each : inWords(each)) })) }, columns);
}

function ruleInWords({ name, filter, action }: RuleProperties): Row {
  const { sqlExpression, sqlParameters, applicationProperties, ...fields } = filter as SqlRuleFilter & Row; // or the other kind
  const equal = Object.entries({ ...fields, ...(applicationProperties as Row | undefined) });
  const pairs = equal
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  const sql = `${sqlExpression}${sqlParameters ? `  ${JSON.stringify(sqlParameters)}` : ''}`;
  return { name, filter: sqlExpression === undefined ? pairs.join(', ') : sql, action: action?.sqlExpression };
}

function showRule(call: Call, rule: RuleProperties & { readonly _response?: unknown }): void {
  show(call, call.out.json ? rule : ruleInWords(rule));
}

async function createRule(call: Call, { admin }: Namespace): Promise<void> {
  const { topic, subscription, rule } = namesOf(call);
  const { filter = { type: 'true' }, action } = readRule(call);
  const change: SqlRuleAction = action === undefined ? {} : { sqlExpression: action };
  showRule(call, await admin.createRule(topic, subscription, rule, filterForBus(filter), change));
}

async function updateRule(call: Call, { admin }: Namespace): Promise<void> {
  const { topic, subscription, rule } = namesOf(call);
  const { filter, action } = readRule(call);
  if (filter === undefined && action === undefined) throw new UsageError('Give a filter, or --action.');
  const before = await admin.getRule(topic, subscription, rule);
  const change = action === 'none' ? {} : action === undefined ? before.action : { sqlExpression: action };
  const changed = {
    ...before,
    filter: filter ? filterForBus(filter) : before.filter,
    action: change,
  };
  showRule(call, await admin.updateRule(topic, subscription, changed));
}
