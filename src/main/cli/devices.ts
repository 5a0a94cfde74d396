// Commands for devices: one at a time, and in bulk. Imports go on where they broke off: parts of the file that the server has
// are not sent again, and the job itself is the server's.
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { partsOf } from '../../hub/parts.ts';
import type { Client } from './client.ts';
import { segment } from './client.ts';
import {
  type Argument,
  type Call,
  type Command,
  listOption,
  type Option,
  pairsOption,
  stringOption,
  UsageError,
} from './command.ts';
import { parseJson } from './entities.ts';
import { printable } from './output.ts';

type Row = Record<string, unknown>;
type Page = { readonly items: readonly Row[]; readonly next?: string | null };
type Job = {
  readonly id: string;
  readonly state: string;
  readonly mode: string | null;
  readonly form: string;
  readonly file: string | null;
  readonly lines: number;
  readonly failed: number;
  readonly total: number;
  readonly failure: string | null;
  readonly failedFile: string | null;
};

export const hubOption: Readonly<Record<string, Option>> = {
  hub: { type: 'string', shows: 'name', sentence: 'The hub; main without it.' },
};
const device: Argument = { name: 'device', sentence: 'The id of the device.' };
const pageLines = 500;

export const deviceCommands: readonly Command[] = [
  {
    words: 'device list',
    summary: 'List devices',
    options: {
      ...hubOption,
      recipient: { type: 'string', shows: 'id', sentence: 'Only those of this recipient.' },
      tag: { type: 'string', shows: 'tag', sentence: 'Only those that carry this tag.' },
      platform: { type: 'string', shows: 'name', sentence: 'Only those of this platform, such as apns.' },
      limit: { type: 'string', shows: 'number', sentence: 'How many to show at most.' },
      cursor: { type: 'string', shows: 'cursor', sentence: 'Where the page before this one ended.' },
    },
    run: async (call) => {
      const names = ['recipient', 'tag', 'platform', 'limit', 'cursor'];
      const query = Object.fromEntries(names.map((name) => [name, stringOption(call, name)]));
      const page = await (await call.client()).call<Page>('GET', devicesPath(call), { query });
      call.out.list(page, ['id', 'platform', 'recipientId', 'label', 'tags', 'reachable', 'updatedAt']);
    },
  },
  {
    words: 'device show',
    summary: 'Show a device',
    args: [device],
    options: hubOption,
    run: async (call) => call.out.fields(await (await call.client()).call('GET', devicePath(call))),
  },
  {
    words: 'device put',
    summary: 'Make a device, or replace it',
    args: [device],
    options: {
      ...hubOption,
      platform: { type: 'string', shows: 'name', sentence: 'apns, fcmv1, wns or browser.' },
      address: {
        type: 'string',
        shows: 'address',
        sentence: 'Its token or channel URI; of a browser the JSON of its subscription; @file reads it from a file.',
      },
      recipient: { type: 'string', shows: 'id', sentence: 'Whose device it is.' },
      tag: { type: 'string', shows: 'tag', multiple: true, sentence: 'A tag; repeatable.' },
      label: { type: 'string', shows: 'text', sentence: 'What its owner calls it.' },
      template: { type: 'string', shows: 'name=body', multiple: true, sentence: 'A template; repeatable.' },
      'expires-at': { type: 'string', shows: 'time', sentence: 'When it ends, in ISO 8601.' },
    },
    examples: ['carillon device put phone-1 --platform fcmv1 --address fXd9... --recipient ada --tag beta'],
    run: async (call) => {
      const body = await deviceOf(call);
      call.out.fields(await (await call.client()).call('PUT', devicePath(call), { body }));
    },
  },
  {
    words: 'device delete',
    summary: 'Forget a device',
    args: [device],
    options: hubOption,
    run: async (call) => {
      await (await call.client()).call('DELETE', devicePath(call));
      call.out.result({ deleted: true }, () => 'done');
    },
  },
  {
    words: 'device test',
    summary: 'Push something to one device and say what its push service answers',
    args: [device],
    options: {
      ...hubOption,
      title: { type: 'string', shows: 'text', sentence: 'What it says; "It works" without it.' },
    },
    run: async (call) => {
      const title = stringOption(call, 'title');
      const path = `${devicePath(call)}/test`;
      const answer = await (await call.client()).call<{ outcome: string }>('POST', path, {
        body: title ? { title } : {},
      });
      call.out.result(answer, () => answer.outcome);
    },
  },
  {
    words: 'device export',
    summary: 'Write all devices of a hub to a file or to the output, one JSON document per line',
    options: {
      ...hubOption,
      file: { type: 'string', shows: 'file', sentence: 'Where to; the standard output without it.' },
      resume: { type: 'boolean', sentence: 'Go on after the last whole line of the file.' },
    },
    examples: ['carillon device export --file devices.jsonl'],
    run: exportDevices,
  },
  {
    words: 'device import',
    summary: 'Make, change or delete many devices from a file, as `device export` writes it',
    details:
      'The file is sent in parts and then read by the server as a job, which goes on over restarts. The same command again goes on where it broke off. Lines in vain are listed with their reasons; the others count, and the exit status is 1.',
    args: [{ name: 'file', sentence: 'One device per line.' }],
    options: {
      ...hubOption,
      mode: { type: 'string', shows: 'mode', sentence: 'upsert (the default), create, update or delete.' },
      form: { type: 'string', shows: 'form', sentence: "device (JSON, the default) or registration (Azure's XML)." },
      'no-wait': { type: 'boolean', sentence: 'Do not wait for the job.' },
    },
    examples: ['carillon device import devices.jsonl --hub main', 'carillon device import gone.jsonl --mode delete'],
    run: importDevices,
  },
  {
    words: 'device jobs',
    summary: 'List imports and exports, the newest first',
    options: hubOption,
    run: async (call) => {
      const page = await (await call.client()).call<Page>('GET', `${hubPath(call)}/jobs`);
      call.out.list(page, ['id', 'type', 'mode', 'state', 'lines', 'failed', 'total', 'updatedAt', 'failure']);
    },
  },
];

async function deviceOf(call: Call): Promise<Row> {
  const [platform, given] = [stringOption(call, 'platform'), stringOption(call, 'address')];
  if (platform === undefined || given === undefined) throw new UsageError('Give --platform and --address.');
  const address = given.startsWith('@') ? (await readFile(given.slice(1), 'utf8')).trim() : given;
  const templates = pairsOption(call, 'template', 'name=body').map(([name, body]) => [name, { body }] as const);
  const fields = {
    recipientId: stringOption(call, 'recipient'),
    label: stringOption(call, 'label'),
    expiresAt: stringOption(call, 'expires-at'),
  };
  return {
    platform,
    address: address.startsWith('{') ? parseJson(address) : address,
    ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)),
    tags: listOption(call, 'tag'),
    templates: Object.fromEntries(templates),
  };
}

async function exportDevices(call: Call): Promise<void> {
  const client = await call.client();
  const file = stringOption(call, 'file');
  const resume = call.options.resume === true;
  if (resume && file === undefined) throw new UsageError('--resume needs --file.');
  let after = resume ? await lastIdIn(file!) : undefined;
  const out = file === undefined ? process.stdout : createWriteStream(file, { flags: resume ? 'a' : 'w' });
  let count = 0;
  for (;;) {
    const page = await client.call<Page>('GET', devicesPath(call), { query: { after, limit: pageLines } });
    const text = page.items.map((item) => `${JSON.stringify(item)}\n`).join('');
    if (!out.write(text)) await new Promise<void>((resolve) => out.once('drain', resolve));
    count += page.items.length;
    if (file !== undefined && process.stderr.isTTY) process.stderr.write(`\r${count} devices`);
    if (!page.next) break;
    after = String(page.items.at(-1)!.id);
  }
  if (file === undefined) return;
  await new Promise<void>((resolve, reject) => out.once('error', reject).end(() => resolve()));
  if (process.stderr.isTTY) process.stderr.write('\n');
  call.out.result({ exported: count, file }, () => `${count} devices written to ${file}`);
}

/** Of the last whole line; the file may end in the middle of one, which is then cut off. */
async function lastIdIn(file: string): Promise<string | undefined> {
  const content = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const whole = content.slice(0, content.lastIndexOf('\n') + 1);
  if (whole.length < content.length) throw new UsageError(`The last line of ${file} is not whole: remove it first.`);
  const last = whole.trimEnd().split('\n').at(-1);
  return last ? String((parseJson(last) as Row).id) : undefined;
}

async function importDevices(call: Call): Promise<void> {
  const client = await call.client();
  const path = await upload(call, client);
  const mode = stringOption(call, 'mode') ?? 'upsert';
  const form = stringOption(call, 'form') ?? 'device';
  const jobs = `${hubPath(call)}/jobs`;
  // The same import again, while it is not done: whoever broke off the command goes on looking at it.
  const { items } = await client.call<{ items: Job[] }>('GET', jobs);
  const open = items.find((each) => isOpen(each) && each.file === path && each.mode === mode && each.form === form);
  let job = open ?? (await client.call<Job>('POST', jobs, { body: { type: 'import', file: path, mode, form } }));
  if (call.options['no-wait'] === true) return call.out.result(job, () => `job ${job.id}`);
  while (isOpen(job)) {
    await sleep(job.total > 50_000 ? 1_000 : 150);
    job = await client.call<Job>('GET', `${hubPath(call)}/jobs/${segment(job.id)}`);
    if (process.stderr.isTTY) process.stderr.write(`\r${job.lines} of ${job.total} lines`);
  }
  if (process.stderr.isTTY) process.stderr.write('\n');
  const reasons = job.failed === 0 ? '' : await (await client.open('GET', filePath(call, job.failedFile!))).text();
  if (job.state === 'Failed' || job.failed > 0) process.exitCode = 1;
  call.out.result({ ...job, reasons }, () =>
    [
      job.state === 'Failed'
        ? `The import failed: ${job.failure}`
        : `${job.lines - job.failed} of ${job.lines} lines done`,
      ...(reasons === '' ? [] : [`in vain (line, reason):\n${firstLines(reasons, 20)}`]),
    ].join('\n'),
  );
}

function isOpen({ state }: Job): boolean {
  return state === 'Started' || state === 'Running';
}

/** Named by its content, so that the same file goes on where it broke off. */
async function upload(call: Call, client: Client): Promise<string> {
  const file = call.args.file!;
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`${file} cannot be read (${error.code}).`);
  });
  if (found.isDirectory()) throw new UsageError(`${file} is a folder.`);
  const { size } = found;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  const path = `import-${hash.digest('hex').slice(0, 24)}`;
  const { items } = await client.call<{ items: { path: string; parts: number; whole: boolean }[] }>(
    'GET',
    `${hubPath(call)}/files`,
  );
  const there = items.find((each) => each.path === path);
  if (there?.whole) return path;
  let [part, sent] = [0, 0];
  for await (const { content, last } of partsOf(createReadStream(file))) {
    part += 1;
    sent += content.length;
    if (part <= (there?.parts ?? 0)) continue;
    await client.open('PUT', filePath(call, path), {
      raw: new Uint8Array(content),
      contentType: 'text/plain',
      query: { part, last: String(last) },
    });
    if (process.stderr.isTTY) process.stderr.write(`\r${Math.round((sent / size) * 100)} % uploaded`);
  }
  if (process.stderr.isTTY) process.stderr.write('\n');
  return path;
}

function firstLines(text: string, count: number): string {
  const lines = text.trimEnd().split('\n');
  const more = lines.length - count;
  return [...lines.slice(0, count).map(printable), ...(more > 0 ? [`... and ${more} more`] : [])].join('\n');
}

export function hubPath(call: Call): string {
  return `/v1/hubs/${segment(stringOption(call, 'hub') ?? 'main')}`;
}

function devicesPath(call: Call): string {
  return `${hubPath(call)}/devices`;
}

function devicePath(call: Call): string {
  return `${devicesPath(call)}/${segment(call.args.device!)}`;
}

function filePath(call: Call, path: string): string {
  return `${hubPath(call)}/files/${path.split('/').map(segment).join('/')}`;
}
