import { expect, test } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
import { sealingKey } from '../kit/sealing.ts';
import { pruneDevices } from './dead-devices.ts';
import { listDevices } from './device-list.ts';
import { putDevice } from './devices.ts';
import { feedbackBlocks } from './feedback.ts';
import { fileInfo, listFiles, readFile, writeFile, writePart } from './files.ts';
import { ensureHub } from './hubs.ts';
import { parseInstallation } from './installation.ts';
import { HubJobs, type LineForm } from './job-worker.ts';
import { claimJob, findJob, jobFile, type NewJob, submitJob } from './jobs.ts';
import { partsOf } from './parts.ts';
import { forgetHubHistory } from './retention.ts';
import { cancelSend, enqueueSend, findSend } from './sends.ts';

const { database } = useDatabase();
const now = () => new Date();
const form: LineForm = {
  read: (line, deletion) => {
    const [id, token] = line.split(' ');
    if (deletion) return { id: id! };
    const installation = parseInstallation({ installationId: id, platform: 'fcmv1', pushChannel: token });
    return { device: { kind: 'installation', installation } };
  },
  write: ({ id }) => id,
};
const forms = { device: form, registration: form };

async function makeHub(name: string): Promise<string> {
  const key = sealingKey('jobs');
  await ensureHub(database, key, { name, credentials: {}, subject: 'mailto:a@example.org' }, now());
  return name;
}

async function* bytes(text: string, size = 1_000): AsyncGenerator<Buffer> {
  const whole = Buffer.from(text);
  for (let at = 0; at < whole.length; at += size) yield whole.subarray(at, at + size);
}

async function textOf(hub: string, path: string): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of readFile(database, hub, path)) parts.push(part);
  return Buffer.concat(parts).toString();
}

async function finished(job: NewJob) {
  const signals: unknown[] = [];
  const { id } = await submitJob(database, job, now());
  await using worker = HubJobs.start({ database, forms, now, emit: (signal) => signals.push(signal) });
  worker.wake();
  // Waited for here: at the return the worker ends.
  return await eventually(async () => {
    const found = await findJob(database, job.hub, id);
    expect({ state: found!.state, signals }).toMatchObject({ state: expect.stringMatching(/Completed|Failed/) });
    return found!;
  }, 20_000);
}

test('files are cut at ends of lines, whatever the chunks they come in', async () => {
  const lines = Array.from({ length: 500 }, (_, i) => `line ${i} ${'x'.repeat(i % 90)}\n`);
  const text = [...lines, 'the last'].join('');
  for (const size of [1, 7, 100, 100_000]) {
    const parts: string[] = [];
    for await (const { content, last } of partsOf(bytes(text, size), 2_000)) {
      parts.push(content.toString());
      expect(last || content.at(-1) === 10).toBe(true);
    }
    expect(parts.join('')).toBe(text);
    if (size < 2_000) expect(parts.length).toBeGreaterThan(5);
  }
});

test('a part that comes again does no harm, one that comes too early is refused', async () => {
  const file = { hub: await makeHub('parts'), path: 'a' };
  const part = (number: number, text: string, last = false) =>
    writePart(database, file, { part: number, content: Buffer.from(text), last }, now());
  await expect(part(2, 'x\n')).rejects.toThrow('The next part of "a" is 1');
  await part(1, 'a\nb\n');
  await part(1, 'a\nb\n');
  await part(2, 'c', true);
  await expect(part(3, 'd')).rejects.toThrow('whole already');
  expect(await fileInfo(database, 'parts', 'a')).toMatchObject({ bytes: 5, lines: 3, parts: 2, whole: true });
  expect(await textOf('parts', 'a')).toBe('a\nb\nc');
});

test('an import goes on after the part that another worker wrote down last, and counts every line once', async () => {
  const hub = await makeHub('resume');
  const lines = Array.from({ length: 3_000 }, (_, i) => (i % 100 === 99 ? 'no-token' : `d${i} t${i}`));
  const text = lines.map((line) => `${line}\n`).join('');
  let number = 0;
  for await (const { content, last } of partsOf(bytes(text), 8_000)) {
    number += 1;
    await writePart(database, { hub, path: 'in' }, { part: number, content, last }, now());
  }
  const job = { hub, type: 'ImportUpsertRegistrations', form: 'device', inputPath: 'in' } as const;
  const { id } = await submitJob(database, job, now());
  // A node stops in the middle: it lets go of the job after the part that it is at.
  let seen = 0;
  let first: HubJobs | undefined;
  const interrupting: LineForm = {
    ...form,
    read: (line, deletion) => {
      seen += 1;
      if (seen === 1_000) void first!.stop();
      return form.read(line, deletion);
    },
  };
  first = HubJobs.start({ database, now, emit: () => undefined, forms: { device: interrupting, registration: form } });
  await eventually(() => expect(seen).toBeGreaterThanOrEqual(1_000), 10_000);
  await first.stop();
  const half = await findJob(database, hub, id);
  expect(half).toMatchObject({ state: 'Running' });
  expect(half!.lines).toBeLessThan(3_000);
  await using second = HubJobs.start({ database, forms, now, emit: () => undefined });
  second.wake();
  await eventually(async () => expect(await findJob(database, hub, id)).toMatchObject({ state: 'Completed' }), 10_000);
  expect(await findJob(database, hub, id)).toMatchObject({ lines: 3_000, failed: 30, total: 3_000, attempt: 2 });
  const output = (await textOf(hub, `${id}/Output.txt`)).trimEnd().split('\n');
  expect(output).toHaveLength(2_970);
  expect(new Set(output).size).toBe(2_970);
  expect((await textOf(hub, `${id}/Failed.txt`)).split('\n')[0]).toMatch(/^100,"pushChannel/);
  expect(await listDevices(database, { hub }, { limit: 5_000 }, now())).toHaveLength(2_970);
});

test('a worker whose lease lapsed writes nothing more', async () => {
  const hub = await makeHub('fenced');
  await writeFile(database, { hub, path: 'in' }, bytes('a t\n'), now);
  await submitJob(database, { hub, type: 'ImportCreateRegistrations', form: 'device', inputPath: 'in' }, now());
  const claimed = (await claimJob(database, now()))!;
  expect(await claimJob(database, now())).toBeUndefined();
  const later = () => new Date(Date.now() + 61_000);
  expect(await claimJob(database, later())).toMatchObject({ id: claimed.id, attempt: 2 });
  const { writeJobProgress } = await import('./jobs.ts');
  expect(await writeJobProgress(database, claimed, { ...claimed, state: 'Running', failure: '' }, now())).toBe(false);
});

test('an import of a file that is not there, or not whole, fails and says so', async () => {
  const hub = await makeHub('missing');
  const job = { hub, type: 'ImportCreateRegistrations', form: 'device', inputPath: 'in' } as const;
  expect(await finished(job)).toMatchObject({ state: 'Failed', failure: 'There is no file "in".' });
  await writePart(database, { hub, path: 'in' }, { part: 1, content: Buffer.from('a t\n'), last: false }, now());
  expect(await finished(job)).toMatchObject({
    state: 'Failed',
    failure: expect.stringContaining('not uploaded to its end'),
  });
});

test('an export writes every device once, however many pages it takes', async () => {
  const hub = await makeHub('export');
  const text = Array.from({ length: 4_500 }, (_, i) => `e${i} t${i}\n`).join('');
  await writeFile(database, { hub, path: 'in' }, bytes(text, 50_000), now);
  await finished({ hub, type: 'ImportCreateRegistrations', form: 'device', inputPath: 'in' });
  const job = await finished({ hub, type: 'ExportRegistrations', form: 'device' });
  expect(job).toMatchObject({ state: 'Completed', lines: 4_500, total: 4_500 });
  const ids = (await textOf(hub, jobFile(job, 'Output.txt'))).trimEnd().split('\n');
  expect(new Set(ids).size).toBe(4_500);
  expect((await finished({ hub: await makeHub('empty'), type: 'ExportRegistrations', form: 'device' })).lines).toBe(0);
});

test('what ended long ago is forgotten; what is to come, and its file, is not', async () => {
  const hub = await makeHub('history');
  const old = new Date(Date.now() - 40 * 86_400_000);
  const message = { kind: 'native', platform: 'apns', body: '{}', headers: {} } as const;
  const later = new Date(old.getTime() + 6 * 86_400_000);
  const cancelled = await enqueueSend(database, hub, { message }, old, { dueAt: later });
  await cancelSend(database, hub, cancelled, old);
  const waiting = await enqueueSend(database, hub, { message }, old, { dueAt: later });
  await writePart(database, { hub, path: 'old' }, { part: 1, content: Buffer.from('a'), last: true }, old);
  await writePart(database, { hub, path: 'wanted' }, { part: 1, content: Buffer.from('a'), last: true }, old);
  await submitJob(database, { hub, type: 'ImportCreateRegistrations', form: 'device', inputPath: 'wanted' }, old);
  const installation = parseInstallation({ installationId: 'x', platform: 'fcmv1', pushChannel: 't' });
  await putDevice(database, { hub, kind: 'installation', installation }, old);
  await pruneDevices(database, [{ hub, id: 'x', handle: 't', since: old }], old);
  expect(await feedbackBlocks(database, hub)).toHaveLength(1);
  await forgetHubHistory(database, { now: now(), keepDays: 30 });
  expect(await findSend(database, hub, cancelled)).toBeUndefined();
  expect(await findSend(database, hub, waiting)).toMatchObject({ state: 'Scheduled' });
  expect((await listFiles(database, hub)).map(({ path }) => path)).toEqual(['wanted']);
  expect(await feedbackBlocks(database, hub)).toEqual([]);
});
