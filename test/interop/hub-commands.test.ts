// The commands for hubs, devices and pushes against a whole server, with the stand-ins that `carillon standins` runs.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { ADMIN_KEY, ServerProcess } from '../support/server-process.ts';

let server: ServerProcess;
let folder: string;
let standins: ChildProcess;
let shown = '';
const phone = 'ab'.repeat(32);

beforeAll(async () => {
  server = await ServerProcess.start();
  folder = await mkdtemp(join(tmpdir(), 'carillon-hub-commands-'));
  standins = start(['standins', '--connect', 'main', '--folder', join(folder, 'standins'), '--json']);
  standins.stdout!.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
  });
  await eventually(() => expect(shown).toContain('"connected":"main"'), 30_000);
});
afterAll(async () => {
  const ended = new Promise((resolve) => standins.once('exit', resolve));
  standins.kill('SIGTERM');
  await ended;
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

function start(args: readonly string[]): ChildProcess {
  const found = { CARILLON_DATA_DIR: server.dataDir, CARILLON_ADMIN_KEY: ADMIN_KEY };
  return spawn(process.execPath, ['bin/carillon.js', ...args], {
    env: { PATH: process.env.PATH, HOME: folder, ...found },
  });
}

async function carillon(...args: string[]) {
  const child = start(args);
  child.stdin!.end();
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [said, complaint] = await Promise.all([text(child.stdout!), text(child.stderr!)]);
  return { status: await closed, said, complaint };
}

async function done(...args: string[]): Promise<string> {
  const { status, said, complaint } = await carillon(...args);
  expect({ args, status, complaint }).toEqual({ args, status: 0, complaint: '' });
  return said;
}

async function json<T = Record<string, unknown>>(...args: string[]): Promise<T> {
  return JSON.parse(await done(...args, '--json')) as T;
}

it('makes a device, pushes to it, says what its service answered, and forgets it', async () => {
  await done(
    'device',
    'put',
    'phone-1',
    '--platform',
    'apns',
    '--address',
    phone,
    '--recipient',
    'ada',
    '--tag',
    'beta',
    '--label',
    'Work phone',
  );
  const subscription = join(folder, 'standins', 'browser-subscription.json');
  await done('device', 'put', 'tab-1', '--platform', 'browser', '--address', `@${subscription}`, '--tag', 'beta');
  expect(await json('device', 'show', 'phone-1')).toMatchObject({
    recipientId: 'ada',
    tags: ['beta'],
    label: 'Work phone',
  });
  expect(await done('device', 'list', '--recipient', 'ada')).toMatch(/^phone-1 +apns +ada +Work phone +beta +true/m);
  expect(await done('device', 'test', 'phone-1', '--title', 'Hear me')).toBe('Success\n');
  const sent = await done('push', 'send', 'Lunch is ready', '--body', 'Come', '--tags', 'beta && !quiet', '--wait');
  expect(sent).toMatch(/Completed {2}apns: 1 Success/);
  expect(sent).toMatch(/Completed {2}browser: 1 Success/);
  await eventually(() => expect(shown).toMatch(/"platform":"browser".*Lunch is ready/));
  expect(shown).toMatch(/"platform":"apns".*Hear me/);
  await done('device', 'delete', 'tab-1');
  expect((await carillon('device', 'show', 'tab-1')).status).toBe(1);
});

it('sends a payload to an address, fills templates, and sends later unless it is cancelled', async () => {
  const direct = await json<{ outcomes: object }>(
    'push',
    'send',
    '--platform',
    'apns',
    '--payload',
    '{"aps":{"alert":"direct"}}',
    '--to',
    phone,
    '--wait',
  );
  expect(direct.outcomes).toEqual({ apns: { Success: 1 } });
  await done(
    'device',
    'put',
    'phone-2',
    '--platform',
    'fcmv1',
    '--address',
    'token-2',
    '--template',
    'a={"message":{"data":{"m":"$(m)"}}}',
  );
  expect(
    await done('push', 'send', '--properties', '{"m":"hi"}', '--tags', '$InstallationId:{phone-2}', '--wait'),
  ).toMatch(/fcmv1: 1 Success/);
  const at = new Date(Date.now() + 3_600_000).toISOString();
  const id = (await done('push', 'send', 'Later', '--platform', 'apns', '--at', at)).trim();
  expect(await done('push', 'status', id)).toContain('Scheduled');
  await done('push', 'cancel', id);
  expect(await done('push', 'list', '--limit', '1')).toMatch(new RegExp(`^${id} +Canceled`, 'm'));
  expect(await carillon('push', 'cancel', id)).toMatchObject({
    status: 1,
    complaint: expect.stringContaining('Canceled'),
  });
  const wrong = await carillon('push', 'send', 'x', '--tags', 'a &&');
  expect([wrong.status, wrong.complaint]).toEqual([1, expect.stringContaining('tag expression')]);
  expect((await carillon('push', 'send')).status).toBe(2);
});

it('exports devices, goes on where an export broke off, and imports them elsewhere', async () => {
  await done('hub', 'put', 'other', '--device-days', '30');
  const file = join(folder, 'devices.jsonl');
  const lines = Array.from({ length: 1_200 }, (_, i) =>
    JSON.stringify({ id: `d-${i}`, platform: 'fcmv1', address: `t-${i}`, tags: ['bulk'], label: `No ${i}` }),
  );
  await writeFile(file, [...lines, '{"platform":"fcmv1"}', 'nonsense', ''].join('\n'));
  const first = await carillon('device', 'import', file, '--hub', 'other');
  expect(first.status).toBe(1);
  expect(first.said).toMatch(
    /^1200 of 1202 lines done\nin vain \(line, reason\):\n1201,"The line has no address\."\n1202,"The line is no JSON object/,
  );
  const out = join(folder, 'out.jsonl');
  await done('device', 'export', '--hub', 'other', '--file', out);
  const exported = (await readFile(out, 'utf8')).trimEnd().split('\n');
  expect(new Set(exported.map((line) => (JSON.parse(line) as { id: string }).id)).size).toBe(1_200);
  await writeFile(out, `${exported.slice(0, 700).join('\n')}\n`);
  await done('device', 'export', '--hub', 'other', '--file', out, '--resume');
  expect((await readFile(out, 'utf8')).trimEnd().split('\n')).toEqual(exported);
  // The same file again is not uploaded again; its devices are changed, not doubled.
  const again = await json<{ lines: number; failed: number }>(
    'device',
    'import',
    out,
    '--hub',
    'other',
    '--mode',
    'update',
  );
  expect(again).toMatchObject({ state: 'Completed', lines: 1_200, failed: 0 });
  const known = await carillon('device', 'import', out, '--hub', 'other', '--mode', 'create', '--json');
  expect([known.status, JSON.parse(known.said)]).toEqual([1, expect.objectContaining({ failed: 1_200 })]);
  expect(await json('device', 'import', out, '--hub', 'other', '--mode', 'delete')).toMatchObject({ failed: 0 });
  expect(await done('device', 'list', '--hub', 'other')).toBe('(none)\n');
  const folderGiven = await carillon('device', 'import', folder, '--hub', 'other');
  expect([folderGiven.status, folderGiven.complaint]).toEqual([2, expect.stringContaining('is a folder')]);
  expect(await done('device', 'jobs', '--hub', 'other')).toMatch(/import +delete +Completed +1200 +0 +1200/);
  await done('hub', 'delete', 'other');
});

it('goes on looking at an import that is not done, instead of beginning it again', async () => {
  await done('hub', 'put', 'large');
  const file = join(folder, 'large.jsonl');
  const lines = Array.from({ length: 15_000 }, (_, i) =>
    JSON.stringify({ id: `d-${i}`, platform: 'fcmv1', address: `l-${i}` }),
  );
  await writeFile(file, lines.join('\n'));
  const create = ['device', 'import', file, '--hub', 'large', '--mode', 'create'];
  const begun = await json<{ id: string }>(...create, '--no-wait');
  expect(await json(...create)).toMatchObject({ id: begun.id, state: 'Completed', lines: 15_000, failed: 0 });
  await done('hub', 'delete', 'large');
});

it('makes a broadcast channel of Apple, pushes to it, and removes it', async () => {
  const id = (await done('hub', 'channels', 'create', 'main', '--stores-newest')).trim();
  expect(await done('hub', 'channels', 'main')).toContain(id);
  const body = '{"aps":{"event":"update","content-state":{}}}';
  expect(await done('hub', 'channels', 'push', 'main', id, '--payload', body)).toBe('Success\n');
  await done('hub', 'channels', 'delete', 'main', id);
  const gone = await carillon('hub', 'channels', 'push', 'main', id, '--payload', body, '--header', 'apns-priority=5');
  expect([gone.status, gone.complaint]).toEqual([1, expect.stringContaining('no such channel')]);
  expect((await carillon('hub', 'channels', 'push', 'main', id)).status).toBe(2);
});

it('rotates credentials and keys without a restart', async () => {
  expect(await done('hub', 'list')).toMatch(/^main +apns, fcmv1, wns, browser/m);
  const apns = JSON.parse(await readFile(join(folder, 'standins', 'apns.json'), 'utf8')) as { privateKey: string };
  const key = join(folder, 'key.p8');
  await writeFile(key, apns.privateKey);
  const file = join(folder, 'standins', 'apns.json');
  await done(
    'hub',
    'credentials',
    'set',
    'main',
    'apns',
    '--file',
    file,
    '--private-key',
    key,
    '--set',
    'keyId=WRONGKEY01',
  );
  await eventually(async () => expect(await done('device', 'test', 'phone-1')).toBe('InvalidCredentials\n'), 10_000);
  const stopped = await done('hub', 'show', 'main');
  expect(stopped).toMatch(/^apns +1 +0 +stopped since \S+: InvalidProviderToken/m);
  expect(stopped).toContain('`carillon hub credentials set main apns --private-key');
  expect(await json('hub', 'show', 'main')).toMatchObject({
    name: 'main',
    status: { lanes: expect.arrayContaining([expect.objectContaining({ platform: 'apns', state: 'stopped' })]) },
  });
  await done('hub', 'credentials', 'set', 'main', 'apns', '--file', file);
  await eventually(async () => expect(await done('device', 'test', 'phone-1')).toBe('Success\n'), 10_000);
  const bad = await carillon('hub', 'credentials', 'set', 'main', 'apns', '--set', 'keyId=K');
  expect([bad.status, bad.complaint]).toEqual([1, expect.stringContaining('apns needs teamId')]);
  expect(await done('hub', 'show', 'main')).not.toContain('PRIVATE KEY');
  await done('hub', 'credentials', 'delete', 'main', 'wns');
  expect(await done('hub', 'list')).toMatch(/^main +apns, fcmv1, browser/m);
  const before = await json<{ items: { name: string; connectionString: string }[] }>('hub', 'keys', 'main');
  expect(before.items.map(({ name }) => name)).toEqual(expect.arrayContaining(['DefaultFullSharedAccessSignature']));
  const rotated = await done('hub', 'keys', 'rotate', 'main', 'DefaultListenSharedAccessSignature');
  expect(rotated).toMatch(/^Endpoint=sb:\/\/127\.0\.0\.1:\d+\/;SharedAccessKeyName=DefaultListen/);
  expect(before.items.map(({ connectionString }) => connectionString)).not.toContain(rotated.trim());
  expect(await done('hub', 'keys', 'put', 'main', 'app', '--right', 'Listen')).toContain('SharedAccessKeyName=app;');
  await done('hub', 'keys', 'delete', 'main', 'app');
  expect(await done('hub', 'keys', 'main')).not.toMatch(/^app /m);
});

it('lets one be the people of Teams and Slack, on a page', async () => {
  const { teams } = JSON.parse(await readFile(join(folder, 'standins', 'assistant.json'), 'utf8'));
  const secrets = await readFile(join(folder, 'standins', 'assistant.env'), 'utf8');
  expect(secrets).toMatch(/^CARILLON_TEAMS_SECRET=.+\nCARILLON_SLACK_TOKEN=.+\nCARILLON_SLACK_SIGNING_SECRET=/);
  expect(JSON.stringify(teams)).not.toContain(secrets.split('\n')[0]!.split('=')[1]);
  const [, page] = /"People +(http:\S+) /.exec(shown)!;
  const form = (path: string, fields: Record<string, string>, headers = {}) =>
    fetch(page + path, { method: 'POST', body: new URLSearchParams(fields), headers });
  await form('/add', { email: 'eve<b>@example.org' });
  const seen = await (await fetch(page!)).text();
  expect(seen).toContain('eve&lt;b>@example.org');
  expect(seen).toContain('action="/teams/P1/say"');
  expect((await form('/add', { email: 'x@y' }, { origin: 'http://evil.example' })).status).toBe(403);
});
