// Commands for topics, subscriptions, queues and rules over the HTTP API. The same commands against a namespace of Service
// Bus: namespace-entities.ts.
import { type Client, Refused, segment } from './client.ts';
import { type Argument, type Call, type Command, UsageError } from './command.ts';
import { deleter, getPage, lister, paging, shower } from './entities.ts';
import { changesGiven, settingOptions, settingsGiven } from './entity-settings.ts';
import { filterForApi, readRule, ruleOptions } from './rule-options.ts';

type Row = Record<string, unknown>;
type Kind = 'topic' | 'queue' | 'subscription';

const topic: Argument = { name: 'topic', sentence: 'The name of the topic.' };
const subscription: Argument = { name: 'subscription', sentence: 'The name of the subscription.' };
const queue: Argument = { name: 'queue', sentence: 'The name of the queue.' };
const rule: Argument = { name: 'rule', sentence: 'The name of the rule; a new subscription has $Default.' };

export const topicCommands: readonly Command[] = [
  lister('topic list', 'List topics', '/v1/topics', ['name', 'partitions', 'subscriptions', 'status']),
  shower('topic show', 'Show a topic', [topic], topicPath),
  creator('topic', [topic], topicPath),
  updater('topic', [topic], topicPath),
  deleter('topic delete', 'Delete a topic with everything in it', [topic], topicPath),
];

export const queueCommands: readonly Command[] = [
  lister('queue list', 'List queues', '/v1/queues', ['name', 'active', 'deadLettered', 'deferred', 'status']),
  shower('queue show', 'Show a queue, with how many messages it has', [queue], queuePath),
  creator('queue', [queue], queuePath),
  updater('queue', [queue], queuePath),
  deleter('queue delete', 'Delete a queue with everything in it', [queue], queuePath),
];

export const subscriptionCommands: readonly Command[] = [
  {
    words: 'subscription list',
    summary: 'List the subscriptions of a topic',
    args: [topic],
    options: paging,
    run: async (call) => {
      const page = await getPage(call, `${topicPath(call)}/subscriptions`);
      call.out.list(page, ['name', 'active', 'deadLettered', 'deferred', 'status']);
    },
  },
  shower('subscription show', 'Show a subscription', [topic, subscription], subscriptionPath),
  creator('subscription', [topic, subscription], subscriptionPath),
  updater('subscription', [topic, subscription], subscriptionPath),
  deleter('subscription delete', 'Delete a subscription', [topic, subscription], subscriptionPath),
];

export const ruleCommands: readonly Command[] = [
  {
    words: 'rule list',
    summary: 'List the rules of a subscription',
    details: 'A message goes to the subscription when any of them matches.',
    args: [topic, subscription],
    options: paging,
    run: async (call) => {
      const page = await getPage(call, `${subscriptionPath(call)}/rules`);
      const items = call.out.json ? page.items : page.items.map(inWords);
      call.out.list({ ...page, items }, ['name', 'filter', 'action', 'createdAt']);
    },
  },
  {
    words: 'rule show',
    summary: 'Show a rule',
    args: [topic, subscription, rule],
    run: async (call) => show(call, await (await call.client()).call('GET', rulePath(call))),
  },
  {
    words: 'rule create',
    summary: 'Give a subscription a rule',
    details:
      'Without a filter it takes everything. A new subscription has the rule $Default, which takes everything: delete it when others are to decide.',
    args: [topic, subscription, rule],
    options: ruleOptions,
    examples: [
      `carillon rule create hr audit managers --sql "level >= 7"`,
      `carillon rule create hr audit joined --correlation subject=joined --property site=berlin --action "SET urgent = 1"`,
      "carillon rule delete hr audit '$Default'",
    ],
    run: async (call) => {
      const { filter = { type: 'true' }, action } = readRule(call);
      const client = await call.client();
      if (await find(client, rulePath(call)))
        throw new Refused(409, { code: 'already_exists', detail: ruleIsThere(call) });
      const body = { filter: filterForApi(filter), action };
      show(call, await client.call('PUT', rulePath(call), { body }));
    },
  },
  {
    words: 'rule update',
    summary: 'Change the filter or the action of a rule',
    details: 'What is left out stays as it is; --action none takes the action away.',
    args: [topic, subscription, rule],
    options: ruleOptions,
    run: async (call) => {
      const { filter, action } = readRule(call);
      if (filter === undefined && action === undefined) throw new UsageError('Give a filter, or --action.');
      const client = await call.client();
      const before = await client.call<Row>('GET', rulePath(call));
      const kept = action ?? before.action;
      const body = {
        filter: filter ? filterForApi(filter) : before.filter,
        action: kept === 'none' ? undefined : kept,
      };
      show(call, await client.call('PUT', rulePath(call), { body }));
    },
  },
  deleter('rule delete', 'Take a rule away', [topic, subscription, rule], rulePath),
];

export function ruleIsThere({ args }: Pick<Call, 'args'>): string {
  return `The rule ${args.rule} is there already: carillon rule update changes it.`;
}

function show(call: Call, given: Row): void {
  call.out.fields(call.out.json ? given : inWords(given));
}

/** A rule as people read it: an SQL filter as its text, others as what must be equal. */
function inWords(given: Row): Row {
  return { ...given, filter: filterInWords(given.filter as Row) }; // the API says so
}

function filterInWords({ type, expression, parameters, properties, ...fields }: Row): string {
  if (type === 'sql') return `${String(expression)}${parameters ? `  ${JSON.stringify(parameters)}` : ''}`;
  if (type !== 'correlation') return type === 'true' ? '(everything)' : '(nothing)';
  const pairs = [...Object.entries(fields), ...Object.entries((properties as Row | undefined) ?? {})];
  return pairs.map(([name, value]) => `${name} = ${JSON.stringify(value)}`).join(', ');
}

function creator(kind: Kind, args: readonly Argument[], path: (call: Call) => string): Command {
  const run = async (call: Call) =>
    call.out.fields(await (await call.client()).call('PUT', path(call), { body: settingsGiven(call, 'api') }));
  const summary = `Make a ${kind}, or change its settings`;
  const details = 'If it is there, what is left out keeps its value.';
  return { words: `${kind} create`, summary, details, args, options: settingOptions(kind), run };
}

/** As `create`, but never makes what is not there. */
function updater(kind: Kind, args: readonly Argument[], path: (call: Call) => string): Command {
  const run = async (call: Call) => {
    const body = changesGiven(call, 'api');
    const client = await call.client();
    await client.call('GET', path(call));
    call.out.fields(await client.call('PUT', path(call), { body }));
  };
  const summary = `Change settings of a ${kind}`;
  const details = 'What is left out keeps its value.';
  return { words: `${kind} update`, summary, details, args, options: settingOptions(kind), run };
}

async function find(client: Client, path: string): Promise<boolean> {
  try {
    await client.call('GET', path);
    return true;
  } catch (error) {
    // Any other missing thing (the topic, the subscription) is told by what follows.
    if (error instanceof Refused && error.status === 404) return false;
    throw error;
  }
}

function topicPath({ args }: Call): string {
  return `/v1/topics/${segment(args.topic!)}`;
}

function queuePath({ args }: Call): string {
  return `/v1/queues/${segment(args.queue!)}`;
}

function subscriptionPath(call: Call): string {
  return `${topicPath(call)}/subscriptions/${segment(call.args.subscription!)}`;
}

function rulePath(call: Call): string {
  return `${subscriptionPath(call)}/rules/${segment(call.args.rule!)}`;
}
