import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ApnsStandin } from '../../test/standins/apns.ts';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
import { makeCertificate } from '../kit/certificate.ts';
import { sealingKey } from '../kit/sealing.ts';
import { putDevice } from './devices.ts';
import { ensureHub } from './hubs.ts';
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

function startSender(now = () => start): HubSender {
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
  const half = {
    chunk: 0,
    reached: 'd002',
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
  startSender(() => later(120_000));
  expect(await ended('takeover', id)).toMatchObject({ state: 'Completed', outcomes: { apns: { Success: 6 } } });
  expect(apns.pushes.total - before).toBe(3);
  expect(reachedTokens()).toEqual([token(3), token(4), token(5)]);
  expect(await settleChunk(db.database, dead, { ...half, chunk: 1, reached: 'd001' }, later(1))).toBe(false);
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
  startSender(() => later(11_000));
  expect(await ended('scheduled', id)).toMatchObject({ state: 'Completed', outcomes: { apns: { Success: 1 } } });
  expect(await findSend(db.database, 'scheduled', cancelled)).toMatchObject({ state: 'Canceled' });
});

test('a passing trouble of the push service is waited out; an address that comes twice is pushed to once', async () => {
  await makeHub('trouble', 1);
  const twin = parseInstallation({ installationId: 'twin', platform: 'apns', pushChannel: token(0) });
  await putDevice(db.database, { hub: 'trouble', kind: 'installation', installation: twin }, start);
  apns.service.fail({ kind: 'answer', answer: { status: 503, body: '{"reason":"ServiceUnavailable"}' }, times: 1 });
  const id = await enqueueSend(db.database, 'trouble', job, start);
  const began = performance.now();
  startSender(() => later(performance.now() - began));
  expect(await ended('trouble', id)).toMatchObject({ outcomes: { apns: { Success: 1, Skipped: 1 } } });
});
