import { crc32 } from 'node:zlib';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ApnsStandin } from '../../test/standins/apns.ts';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
import { addManyDevices } from '../../test/support/many-devices.ts';
import { makeCertificate } from '../kit/certificate.ts';
import { sealingKey } from '../kit/sealing.ts';
import { putDevice } from './devices.ts';
import { ensureHub, type HubCredentials } from './hubs.ts';
import { parseInstallation } from './installation.ts';
import { HubLanes } from './lanes.ts';
import { claimLeg, type Leg, settleChunk } from './legs.ts';
import { HubSender, type SenderSignal } from './sender.ts';
import { cancelSend, enqueueSend, findSend, type SendJob } from './sends.ts';

const db = useDatabase();
const key = sealingKey('a secret of this test');
const certificate = makeCertificate();
const failures: SenderSignal[] = [];
const start = new Date('2026-11-22T10:00:00Z');
const later = (ms: number) => new Date(start.getTime() + ms);
const token = (n: number) => String(n).padStart(64, 'a');
let apns: ApnsStandin;
let lanes: HubLanes;
let senders: HubSender[] = [];

const job: SendJob = {
  message: { kind: 'native', platform: 'apns', body: '{"aps":{"alert":"all"}}', headers: {} },
};

beforeAll(async () => {
  apns = await ApnsStandin.start({ certificate });
  lanes = new HubLanes({ database: db.database, key, emit: () => {} });
});
afterEach(async () => {
  await Promise.all(senders.map((sender) => sender.stop()));
  senders = [];
  expect(failures.splice(0)).toEqual([]);
});
afterAll(async () => {
  await lanes.stop();
  await apns.stop();
});

async function makeHub(name: string, devices: number): Promise<void> {
  const endpoint = { host: '127.0.0.1', port: apns.service.port, ca: certificate.ca };
  const credentials = { apns: { ...apns.credentials, environment: 'sandbox' as const, endpoint } };
  await ensureHub(db.database, key, { name, credentials, subject: 'mailto:a@b.c' }, start);
  for (let n = 0; n < devices; n += 1) {
    const id = `d${String(n).padStart(3, '0')}`;
    const installation = parseInstallation({ installationId: id, platform: 'apns', pushChannel: token(n) });
    await putDevice(db.database, { hub: name, kind: 'installation', installation }, start);
  }
}

/** A clock that goes on from `from`: what is tried again comes due. */
function goingOn(from: Date): () => Date {
  const began = performance.now();
  return () => new Date(from.getTime() + performance.now() - began);
}

function startSender(now = goingOn(start)): HubSender {
  const emit = (signal: SenderSignal) => void failures.push(signal);
  const sender = HubSender.start({ database: db.database, lanes, now, emit });
  senders.push(sender);
  return sender;
}

const ended = (hub: string, id: string) =>
  eventually(async () => {
    const send = await findSend(db.database, hub, id);
    expect(send!.endedAt).toBeDefined();
    return send!;
  });
const reachedTokens = () => apns.pushes.items.map(({ token: each }) => each).sort();

test('a node that takes over goes on after the last chunk that was settled, and a late one writes nothing', async () => {
  await makeHub('takeover', 6);
  const id = await enqueueSend(db.database, 'takeover', job, start);
  const dead = (await claimLeg(db.database, start)) as Leg;
  expect(dead).toMatchObject({ send: id, platform: 'apns', reached: '' });
  const [third] = await db.database.query<{ number: number }>(
    "select number from device where hub = 'takeover' and id = 'd002'",
  );
  const half = {
    chunk: 0,
    reached: String(third!.number),
    walked: false,
    outcomes: { apns: { Success: 3 } },
    codes: new Uint8Array([1, 1, 1]),
    devices: new Uint8Array(12),
    failures: [],
  };
  expect(await settleChunk(db.database, dead, half, start)).toBe(true);
  // Its answer may have been lost: again is no harm.
  expect(await settleChunk(db.database, dead, half, start)).toBe(true);
  expect(await claimLeg(db.database, later(5_000))).toBeUndefined();
  const before = apns.pushes.total;
  startSender(goingOn(later(120_000)));
  expect(await ended('takeover', id)).toMatchObject({ state: 'Completed', outcomes: { apns: { Success: 6 } } });
  expect(apns.pushes.total - before).toBe(3);
  expect(reachedTokens()).toEqual([token(3), token(4), token(5)]);
  expect(await settleChunk(db.database, dead, { ...half, chunk: 1, reached: '1' }, later(1))).toBe(false);
});

test('the same request id is the same send', async () => {
  await makeHub('repeated', 0);
  const enqueue = (requestId: string) => enqueueSend(db.database, 'repeated', job, start, { requestId });
  const ids = await Promise.all([enqueue('r1'), enqueue('r1'), enqueue('r2')]);
  expect(ids[0]).toBe(ids[1]);
  expect(ids[2]).not.toBe(ids[0]);
  startSender();
  expect(await ended('repeated', ids[2]!)).toMatchObject({ state: 'NoTargetFound' });
});

test('what is scheduled waits for its time, unless it is cancelled', async () => {
  await makeHub('scheduled', 1);
  const options = { dueAt: later(10_000) };
  const id = await enqueueSend(db.database, 'scheduled', job, start, options);
  const cancelled = await enqueueSend(db.database, 'scheduled', job, start, options);
  expect(await claimLeg(db.database, later(9_000))).toBeUndefined();
  expect(await cancelSend(db.database, 'scheduled', cancelled, start)).toBe(true);
  expect(await cancelSend(db.database, 'scheduled', cancelled, start)).toBe(false);
  startSender(goingOn(later(11_000)));
  expect(await ended('scheduled', id)).toMatchObject({ state: 'Completed', outcomes: { apns: { Success: 1 } } });
  expect(await findSend(db.database, 'scheduled', cancelled)).toMatchObject({ state: 'Canceled' });
});

test('a passing trouble of the push service is waited out; an address that comes twice is pushed to once', async () => {
  await makeHub('trouble', 1);
  const twin = parseInstallation({ installationId: 'twin', platform: 'apns', pushChannel: token(0) });
  await putDevice(db.database, { hub: 'trouble', kind: 'installation', installation: twin }, start);
  apns.service.fail({ kind: 'answer', answer: { status: 503, body: '{"reason":"ServiceUnavailable"}' }, times: 1 });
  const id = await enqueueSend(db.database, 'trouble', job, start);
  startSender();
  expect(await ended('trouble', id)).toMatchObject({ outcomes: { apns: { Success: 1, Skipped: 1 } } });
});

const template = (properties: Record<string, unknown> = {}): SendJob => ({ message: { kind: 'template', properties } });
const body = JSON.stringify({ aps: { alert: '$(name)' } });
const rowsOf = (table: string, id: string) =>
  db.database.query<Record<string, unknown>>(`select * from ${table} where send = $1 order by platform`, [id]);

test('a template send to more than a chunk goes in legs, and its chunks tell what each device came to', async () => {
  await makeHub('legs', 0);
  await addManyDevices(db.database, { hub: 'legs', platform: 'apns', count: 1_100, body });
  await addManyDevices(db.database, { hub: 'legs', platform: 'wns', count: 3, body: '<toast>$(name)</toast>' });
  const id = await enqueueSend(db.database, 'legs', template(), start);
  const before = apns.pushes.total;
  startSender();
  const outcomes = { apns: { Success: 1_100 }, wns: { InvalidCredentials: 3 } };
  expect(await ended('legs', id)).toMatchObject({ state: 'Completed', outcomes });
  expect(apns.pushes.total - before).toBe(1_100);
  const legs = await rowsOf('hub_send_leg', id);
  expect(legs.map(({ platform }) => platform)).toEqual(['apns', 'browser', 'fcmv1', 'wns']);
  const chunks = (await rowsOf('hub_send_chunk', id)).filter(({ platform }) => platform === 'apns');
  chunks.sort((a, b) => Number(a.chunk) - Number(b.chunk));
  expect(Buffer.concat(chunks.map(({ outcomes: codes }) => codes as Buffer))).toEqual(Buffer.alloc(1_100, 1));
  const marks = Buffer.concat(chunks.map(({ devices }) => devices as Buffer));
  const ids = await db.database.query<{ id: string }>(
    "select id from device where hub = 'legs' and platform = 'apns' order by number",
  );
  expect(ids.map((_, i) => marks.readUInt32BE(i * 4))).toEqual(ids.map((each) => crc32(each.id)));
  const [shown] = apns.pushes.items.slice(-1);
  expect(shown!.headers['apns-collapse-id']).toContain(id);
});

test('a device in trouble holds up nobody: the others are done while it waits for its next try', async () => {
  await makeHub('one-in-trouble', 3);
  const trouble = parseInstallation({
    installationId: 'd001x',
    platform: 'apns',
    pushChannel: `5030${token(1).slice(4)}`,
  });
  const dead = parseInstallation({
    installationId: 'd001y',
    platform: 'apns',
    pushChannel: `dead${token(1).slice(4)}`,
  });
  for (const installation of [trouble, dead])
    await putDevice(db.database, { hub: 'one-in-trouble', kind: 'installation', installation }, start);
  const id = await enqueueSend(db.database, 'one-in-trouble', job, start);
  startSender();
  await eventually(async () => {
    const send = await findSend(db.database, 'one-in-trouble', id);
    expect(send).toMatchObject({ state: 'Processing', outcomes: { apns: { Success: 3, ExpiredChannel: 1 } } });
  });
  const failures = await rowsOf('hub_send_failure', id);
  expect(failures.map(({ device_id, cause, due_at }) => [device_id, cause, due_at === null])).toEqual([
    ['d001x', 'ServiceUnavailable', false],
    ['d001y', 'Unregistered', true],
  ]);
});

test('refusals of one kind are counted, and a few of them kept as examples', async () => {
  await makeHub('refusals', 0);
  // Until a push has got through, this is also Apple's word for tokens of its other environment: nobody is pruned.
  const to = Array.from({ length: 60 }, (_, n) => `badd${token(n).slice(4)}`);
  const id = await enqueueSend(db.database, 'refusals', { ...job, to }, start);
  startSender();
  expect(await ended('refusals', id)).toMatchObject({ outcomes: { apns: { BadChannel: 60 } } });
  expect(await rowsOf('hub_send_failure', id)).toHaveLength(20);
});

test('a lane that is stopped burns no device: the send waits, and goes on once the credentials are right', async () => {
  const credentials = { apns: { ...apns.credentials, environment: 'sandbox' as const } };
  await makeHub('stopped', 0);
  const endpoint = { host: '127.0.0.1', port: apns.service.port, ca: certificate.ca };
  const wrong = { apns: { ...credentials.apns, teamId: 'NOBODY1234', endpoint } };
  const ensure = (given: HubCredentials) =>
    ensureHub(db.database, key, { name: 'stopped', credentials: given, subject: 'mailto:a@b.c' }, start);
  await ensure(wrong);
  await addManyDevices(db.database, { hub: 'stopped', platform: 'apns', count: 1_200, body });
  const id = await enqueueSend(db.database, 'stopped', template(), start);
  const before = apns.service.requests;
  let now = start;
  startSender(() => now);
  await eventually(async () => {
    const [leg] = (await rowsOf('hub_send_leg', id)).filter(({ platform }) => platform === 'apns');
    expect(leg).toMatchObject({ leased_until: null, ended_at: null });
    expect((leg!.due_at as Date).getTime()).toBeGreaterThan(start.getTime());
  });
  expect(apns.service.requests - before).toBeLessThan(10);
  expect(await findSend(db.database, 'stopped', id)).toMatchObject({ state: 'Processing', outcomes: {} });
  await ensure({ apns: { ...credentials.apns, endpoint } });
  // The lanes look for new credentials every two seconds; until then each try says when the next one is.
  await eventually(async () => {
    const [leg] = (await rowsOf('hub_send_leg', id)).filter(({ platform }) => platform === 'apns');
    if (leg!.leased_until === null && (leg!.due_at as Date) > now) now = leg!.due_at as Date;
    const send = await findSend(db.database, 'stopped', id);
    expect(send).toMatchObject({ state: 'Completed', outcomes: { apns: { Success: 1_200 } } });
  }, 25_000);
});

test('a send to addresses goes chunk by chunk too, and names the place of what failed', async () => {
  await makeHub('addresses', 0);
  const to = Array.from({ length: 1_100 }, (_, n) => (n === 777 ? `dead${token(n).slice(4)}` : token(n)));
  const id = await enqueueSend(db.database, 'addresses', { ...job, to }, start);
  startSender();
  expect(await ended('addresses', id)).toMatchObject({ outcomes: { apns: { Success: 1_099, ExpiredChannel: 1 } } });
  const failures = await rowsOf('hub_send_failure', id);
  expect(failures.map(({ part, cause }) => [part, cause])).toEqual([['777', 'Unregistered']]);
});
