// Commands for what a server holds: recipients and keys; and what such commands have in common.
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

const recipient: Argument = { name: 'recipient', sentence: 'The id of the recipient.' };
const key: Argument = { name: 'key', sentence: 'The id of the key, as `key list` shows it.' };

export const paging: Readonly<Record<string, Option>> = {
  limit: { type: 'string', shows: 'number', sentence: 'How many to show at most.' },
  cursor: { type: 'string', shows: 'cursor', sentence: 'Where the page before this one ended.' },
};
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

export function lister(words: string, summary: string, path: string, columns: readonly string[]): Command {
  const run = async (call: Call) => call.out.list(await getPage(call, path), columns);
  return { words, summary, options: paging, run };
}

export function shower(
  words: string,
  summary: string,
  args: readonly Argument[],
  path: (call: Call) => string,
): Command {
  const run = async (call: Call) => call.out.fields(await (await call.client()).call('GET', path(call)));
  return { words, summary, args, run };
}

export function deleter(
  words: string,
  summary: string,
  args: readonly Argument[],
  path: (call: Call) => string,
): Command {
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

function recipientPath({ args }: Call): string {
  return `/v1/recipients/${segment(args.recipient!)}`;
}

function preferencesPath(call: Call): string {
  return `${recipientPath(call)}/preferences`;
}

function keyPath({ args }: Call): string {
  return `/v1/keys/${segment(args.key!)}`;
}
