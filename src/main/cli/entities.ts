// Commands for what a server holds: topics, subscriptions, recipients, keys, dead letters.
import { segment } from './client.ts';
import {
  type Argument,
  type Call,
  type Command,
  type Option,
  pairsOption,
  stringOption,
  UsageError,
} from './command.ts';

type Row = Record<string, unknown>;
type Page<R = Row> = { readonly items: readonly R[]; readonly next?: string | null };

const topic: Argument = { name: 'topic', sentence: 'The name of the topic.' };
const subscription: Argument = { name: 'subscription', sentence: 'The name of the subscription.' };
const recipient: Argument = { name: 'recipient', sentence: 'The id of the recipient.' };
const key: Argument = { name: 'key', sentence: 'The id of the key, as `key list` shows it.' };

export const paging: Readonly<Record<string, Option>> = {
  limit: { type: 'string', shows: 'number', sentence: 'How many to show at most.' },
  cursor: { type: 'string', shows: 'cursor', sentence: 'Where the page before this one ended.' },
};
const settings: Readonly<Record<string, Option>> = {
  settings: { type: 'string', shows: 'json', sentence: 'Settings as a JSON object, as the API takes them.' },
};

export const topicCommands: readonly Command[] = [
  lister('topic list', 'List topics', '/v1/topics', ['name', 'messages', 'subscriptions']),
  shower('topic show', 'Show a topic', [topic], topicPath),
  putter('topic create', 'Make a topic, or change its settings', [topic], topicPath),
  deleter('topic delete', 'Delete a topic with everything in it', [topic], topicPath),
];

export const subscriptionCommands: readonly Command[] = [
  {
    words: 'subscription list',
    summary: 'List the subscriptions of a topic',
    args: [topic],
    options: paging,
    run: async (call) => {
      const page = await getPage(call, `${topicPath(call)}/subscriptions`);
      call.out.list(page, ['name', 'active', 'deadLettered', 'scheduled', 'status']);
    },
  },
  shower('subscription show', 'Show a subscription', [topic, subscription], subscriptionPath),
  putter('subscription create', 'Make a subscription, or change its settings', [topic, subscription], subscriptionPath),
  deleter('subscription delete', 'Delete a subscription', [topic, subscription], subscriptionPath),
];

export const recipientCommands: readonly Command[] = [
  {
    words: 'recipient list',
    summary: 'List recipients',
    options: { ...paging, prefix: { type: 'string', shows: 'text', sentence: 'Only ids that begin with this.' } },
    run: async (call) =>
      call.out.list(await getPage(call, '/v1/recipients', { prefix: stringOption(call, 'prefix') }), [
        'id',
        'displayName',
        'email',
        'createdAt',
      ]),
  },
  shower('recipient show', 'Show a recipient', [recipient], recipientPath),
  {
    words: 'recipient put',
    summary: 'Make a recipient, or replace what is known of them',
    args: [recipient],
    options: {
      name: { type: 'string', shows: 'text', sentence: 'The name that people read.' },
      email: { type: 'string', shows: 'address', sentence: 'Where mail goes.' },
      locale: { type: 'string', shows: 'tag', sentence: 'Such as en-GB.' },
      'time-zone': { type: 'string', shows: 'zone', sentence: 'Such as Europe/London.' },
      attribute: {
        type: 'string',
        shows: 'name=value',
        multiple: true,
        sentence: 'What audiences ask for; repeatable.',
      },
    },
    examples: ['carillon recipient put ada --name "Ada Lovelace" --email ada@example.org --attribute team=engines'],
    run: async (call) =>
      call.out.fields(await (await call.client()).call('PUT', recipientPath(call), { body: recipientOf(call) })),
  },
  deleter('recipient delete', 'Forget a recipient with preferences and inbox', [recipient], recipientPath),
  shower('recipient preferences', 'Show what a recipient wants', [recipient], preferencesPath),
  {
    words: 'recipient prefer',
    summary: 'Replace what a recipient wants',
    args: [recipient, { name: 'json', sentence: 'The preferences as a JSON object.' }],
    examples: [`carillon recipient prefer ada '{"SendNotificationToMobileDevice":false}'`],
    run: async (call) =>
      call.out.fields(
        await (await call.client()).call('PUT', preferencesPath(call), { body: parseJson(call.args.json!) }),
      ),
  },
  {
    words: 'recipient trace',
    summary: 'Show what reached a recipient lately, what did not, and why',
    args: [recipient],
    options: { limit: paging.limit! },
    run: async (call) => {
      const query = { limit: stringOption(call, 'limit') };
      const trace = await (await call.client()).call<{ steps: Row[] }>('GET', `${recipientPath(call)}/trace`, {
        query,
      });
      call.out.list({ items: trace.steps, ...(call.out.json ? trace : {}) }, TRACE_COLUMNS.concat('topic', 'sequence'));
    },
  },
];

export const TRACE_COLUMNS: readonly string[] = [
  'at',
  'step',
  'outcome',
  'notification',
  'recipient',
  'channel',
  'detail',
];

export const keyCommands: readonly Command[] = [
  lister('key list', 'List keys', '/v1/keys', ['id', 'name', 'grants', 'preset', 'createdAt', 'expiresAt']),
  {
    words: 'key create',
    summary: 'Make a key; its secret is shown this once',
    args: [{ name: 'name', sentence: 'What the key is for.' }],
    options: {
      grant: {
        type: 'string',
        shows: '"right entity"',
        multiple: true,
        sentence: 'A right: send, listen or manage, then topic:NAME, recipient:ID, hub:NAME or *; repeatable.',
      },
      'expires-at': { type: 'string', shows: 'time', sentence: 'When the key ends, in ISO 8601.' },
    },
    examples: ['carillon key create "hr backend" --grant "send topic:hr"'],
    run: async (call) => {
      const expiresAt = stringOption(call, 'expires-at');
      const body = { name: call.args.name, grants: call.options.grant ?? [], ...(expiresAt ? { expiresAt } : {}) };
      call.out.fields(await (await call.client()).call('POST', '/v1/keys', { body }));
    },
  },
  {
    words: 'key rotate',
    summary: 'Give a key a new secret; the older one works until the next rotation',
    args: [key],
    run: async (call) => call.out.fields(await (await call.client()).call('POST', `${keyPath(call)}/rotate`)),
  },
  deleter('key revoke', 'End a key at once', [key], keyPath),
];

export const deadLetterCommands: readonly Command[] = [
  {
    words: 'dead-letter list',
    summary: 'List the deliveries that were given up, newest first',
    options: {
      ...paging,
      channel: { type: 'string', shows: 'channel', sentence: 'Only those of this channel.' },
      cause: { type: 'string', shows: 'code', sentence: 'Only those of this cause.' },
    },
    run: async (call) => {
      const query = { state: 'dead', channel: stringOption(call, 'channel'), cause: stringOption(call, 'cause') };
      const columns = ['id', 'channel', 'recipientId', 'cause', 'attempts', 'diedAt', 'detail'];
      call.out.list(await getPage(call, '/v1/deliveries', query), columns);
    },
  },
  {
    words: 'dead-letter causes',
    summary: 'Count them by cause',
    run: async (call) =>
      call.out.list(await (await call.client()).call('GET', '/v1/deliveries/causes'), [
        'channel',
        'reason',
        'cause',
        'count',
      ]),
  },
  {
    words: 'dead-letter redrive',
    summary: 'Put them back to work: one by id, or by cause, or all',
    args: [{ name: 'id', optional: true, sentence: 'The id of one delivery.' }],
    options: {
      cause: { type: 'string', shows: 'code', sentence: 'All of this cause.' },
      all: { type: 'boolean', sentence: 'All of them.' },
      channel: { type: 'string', shows: 'channel', sentence: 'With --cause or --all: only those of this channel.' },
    },
    run: async (call) => {
      const body = redriveBody(call);
      const result = await (await call.client()).call<{ redriven: number }>('POST', '/v1/deliveries/redrive', { body });
      call.out.result(result, () => `${result.redriven} put back to work`);
    },
  },
];

function redriveBody(call: Call): Row {
  const cause = stringOption(call, 'cause');
  const channel = stringOption(call, 'channel');
  const chosen = [call.args.id, cause, call.options.all].filter((given) => given !== undefined);
  if (chosen.length !== 1) throw new UsageError('Give one of <id>, --cause and --all.');
  if (call.args.id) return { ids: [call.args.id] };
  return { ...(cause ? { cause } : { all: true }), ...(channel ? { channel } : {}) };
}

function recipientOf(call: Call): Row {
  const pairs = pairsOption(call, 'attribute');
  const fields = {
    displayName: stringOption(call, 'name'),
    email: stringOption(call, 'email'),
    locale: stringOption(call, 'locale'),
    timeZone: stringOption(call, 'time-zone'),
  };
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(given), ...(pairs.length > 0 ? { attributes: Object.fromEntries(pairs) } : {}) };
}

function lister(words: string, summary: string, path: string, columns: readonly string[]): Command {
  const run = async (call: Call) => call.out.list(await getPage(call, path), columns);
  return { words, summary, options: paging, run };
}

function shower(words: string, summary: string, args: readonly Argument[], path: (call: Call) => string): Command {
  const run = async (call: Call) => call.out.fields(await (await call.client()).call('GET', path(call)));
  return { words, summary, args, run };
}

function putter(words: string, summary: string, args: readonly Argument[], path: (call: Call) => string): Command {
  const run = async (call: Call) => {
    const body = parseJson(stringOption(call, 'settings') ?? '{}');
    call.out.fields(await (await call.client()).call('PUT', path(call), { body }));
  };
  return { words, summary, args, options: settings, run };
}

function deleter(words: string, summary: string, args: readonly Argument[], path: (call: Call) => string): Command {
  const run = async (call: Call) => {
    await (await call.client()).call('DELETE', path(call));
    call.out.result({ deleted: true }, () => 'done');
  };
  return { words, summary, args, run };
}

/** The page of a list that the options of `paging` say. */
export async function getPage<R = Row>(
  call: Call,
  path: string,
  more: Record<string, string | undefined> = {},
): Promise<Page<R>> {
  const query = { ...more, limit: stringOption(call, 'limit'), cursor: stringOption(call, 'cursor') };
  return (await call.client()).call<Page<R>>('GET', path, { query });
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`This is not JSON: ${(error as Error).message}`);
  }
}

function topicPath({ args }: Call): string {
  return `/v1/topics/${segment(args.topic!)}`;
}

function subscriptionPath(call: Call): string {
  return `${topicPath(call)}/subscriptions/${segment(call.args.subscription!)}`;
}

function recipientPath({ args }: Call): string {
  return `/v1/recipients/${segment(args.recipient!)}`;
}

function preferencesPath(call: Call): string {
  return `${recipientPath(call)}/preferences`;
}

function keyPath({ args }: Call): string {
  return `/v1/keys/${segment(args.key!)}`;
}
