// Commands for pushes: send, see what became of it, cancel.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { segment } from './client.ts';
import {
  type Argument,
  type Call,
  type Command,
  listOption,
  pairsOption,
  stringOption,
  UsageError,
} from './command.ts';
import { hubOption, hubPath } from './devices.ts';
import { parseJson } from './entities.ts';

type Row = Record<string, unknown>;
type Send = {
  readonly id: string;
  readonly state: string;
  readonly outcomes: Readonly<Record<string, Readonly<Record<string, number>>>>;
};

const push: Argument = { name: 'push', sentence: 'Its id, as `push send` prints it.' };
const underWay = ['Enqueued', 'Processing'];

export const pushCommands: readonly Command[] = [
  {
    words: 'push send',
    summary: 'Push something to the devices of a hub',
    details:
      'A title, and if you like a body, goes to every platform in its own form. A payload of one platform goes there as it is. Properties fill the templates of the devices.',
    args: [{ name: 'title', optional: true, sentence: 'What people read first.' }],
    options: {
      ...hubOption,
      body: { type: 'string', shows: 'text', sentence: 'What people read then.' },
      link: { type: 'string', shows: 'url', sentence: 'What a click opens.' },
      platform: { type: 'string', shows: 'name', sentence: 'Only apns, fcmv1, wns or browser.' },
      payload: {
        type: 'string',
        shows: 'payload',
        sentence: "Instead of a title: the platform's own payload; @file reads a file.",
      },
      header: {
        type: 'string',
        shows: 'name=value',
        multiple: true,
        sentence: 'A header for the push service; repeatable.',
      },
      properties: { type: 'string', shows: 'json', sentence: 'Instead of a title: properties for templates.' },
      tags: {
        type: 'string',
        shows: 'expression',
        sentence: 'Only devices that it means, such as "beta && !quiet"; else everybody.',
      },
      to: {
        type: 'string',
        shows: 'address',
        multiple: true,
        sentence: 'An address of the platform, instead of devices; repeatable.',
      },
      at: { type: 'string', shows: 'time', sentence: 'When, in ISO 8601; now without it.' },
      wait: { type: 'boolean', sentence: 'Wait until it is done, and say what it came to.' },
    },
    examples: [
      'carillon push send "Lunch is ready" --tags "berlin && !vegan" --wait',
      `carillon push send --platform apns --payload '{"aps":{"alert":"Hello"}}' --to 740f4707bebc...`,
      `carillon push send --properties '{"message":"Hello"}' --tags user:ada`,
    ],
    run: send,
  },
  {
    words: 'push status',
    summary: 'Show what became of a push',
    args: [push],
    options: hubOption,
    run: async (call) => show(call, [await find(call, call.args.push!)]),
  },
  {
    words: 'push list',
    summary: 'List pushes, the newest first',
    options: {
      ...hubOption,
      limit: { type: 'string', shows: 'number', sentence: 'How many to show at most.' },
      cursor: { type: 'string', shows: 'cursor', sentence: 'Where the page before this one ended.' },
    },
    run: async (call) => {
      const query = { limit: stringOption(call, 'limit'), cursor: stringOption(call, 'cursor') };
      const page = await (await call.client()).call<{ items: Row[] }>('GET', `${hubPath(call)}/sends`, { query });
      call.out.list(page, ['id', 'state', 'platform', 'tags', 'outcomes', 'enqueuedAt', 'endedAt']);
    },
  },
  {
    words: 'push cancel',
    summary: 'Cancel a push that is still to come',
    args: [push],
    options: hubOption,
    run: async (call) => {
      await (await call.client()).call('DELETE', `${hubPath(call)}/sends/${segment(call.args.push!)}`);
      call.out.result({ cancelled: true }, () => 'cancelled');
    },
  },
];

async function send(call: Call): Promise<void> {
  const body = await bodyOf(call);
  const { sends } = await (await call.client()).call<{ sends: string[] }>('POST', `${hubPath(call)}/sends`, { body });
  if (call.options.wait !== true) return call.out.result({ sends }, () => sends.join('\n'));
  const found: Send[] = [];
  for (const id of sends) {
    let one = await find(call, id);
    while (underWay.includes(one.state)) {
      await sleep(150);
      one = await find(call, id);
    }
    found.push(one);
  }
  show(call, found);
}

async function bodyOf(call: Call): Promise<Row> {
  const payload = stringOption(call, 'payload');
  const properties = stringOption(call, 'properties');
  const chosen = [call.args.title, payload, properties].filter((given) => given !== undefined);
  if (chosen.length !== 1) throw new UsageError('Give one of <title>, --payload and --properties.');
  const headers = pairsOption(call, 'header');
  const to = listOption(call, 'to');
  const fields = {
    title: call.args.title,
    body: payload?.startsWith('@') ? await readFile(payload.slice(1), 'utf8') : (payload ?? stringOption(call, 'body')),
    link: stringOption(call, 'link'),
    platform: stringOption(call, 'platform'),
    headers: headers.length === 0 ? undefined : Object.fromEntries(headers),
    properties: properties === undefined ? undefined : parseJson(properties),
    tags: stringOption(call, 'tags'),
    to: to.length === 0 ? undefined : to,
    at: stringOption(call, 'at'),
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

async function find(call: Call, id: string): Promise<Send> {
  return (await call.client()).call<Send>('GET', `${hubPath(call)}/sends/${segment(id)}`);
}

function show(call: Call, sends: readonly Send[]): void {
  call.out.result(sends.length === 1 ? sends[0] : sends, () => sends.map(words).join('\n'));
}

/** `nh_...  Completed  apns: 3 Success, 1 ExpiredChannel` */
function words({ id, state, outcomes }: Send): string {
  const each = Object.entries(outcomes).map(
    ([platform, counts]) =>
      `${platform}: ${Object.entries(counts)
        .map(([name, count]) => `${count} ${name}`)
        .join(', ')}`,
  );
  return [id, state, ...each].join('  ');
}
