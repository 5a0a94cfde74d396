// What is told of hubs: seen over the stand-in of Apple, with the whole way of a send between.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ApnsStandin } from '../../test/standins/apns.ts';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
import { freePort } from '../../test/support/free-port.ts';
import { addManyDevices } from '../../test/support/many-devices.ts';
import { makeCertificate } from '../kit/certificate.ts';
import { sealingKey } from '../kit/sealing.ts';
import { Signals } from '../kit/signals.ts';
import { putDevice } from './devices.ts';
import { createHub, type HubAdmin, setCredentials } from './hub-admin.ts';
import { HubWatch } from './hub-status.ts';
import type { HubCredentials } from './hubs.ts';
import { parseInstallation } from './installation.ts';
import { HubLanes } from './lanes.ts';
import { HubSender } from './sender.ts';
import { azureSendLimits, enqueueSend, findSend } from './sends.ts';
import { azureTagLimits } from './tags.ts';
import { testPush } from './test-push.ts';

const db = useDatabase();
const key = sealingKey('hub-status');
const certificate = makeCertificate();
const now = () => new Date();
const signals = new Signals();
let apns: ApnsStandin;
let lanes: HubLanes;
let watch: HubWatch;
let admin: HubAdmin;
let sender: HubSender | undefined;

beforeAll(async () => {
  apns = await ApnsStandin.start({ certificate });
  const { database } = db;
  lanes = new HubLanes({ database, key, emit: signals.emit });
  watch = new HubWatch({ database, key, now }, lanes);
  signals.listen(watch.listener);
  const limits = { tagLimits: azureTagLimits, sendLimits: azureSendLimits };
  admin = { database, key, subject: 'mailto:a@b.c', ...limits, now };
});
afterEach(() => sender?.stop());
afterAll(async () => {
  await lanes.stop();
  await apns.stop();
});

function credentials(more: object = {}): NonNullable<HubCredentials['apns']> {
  const endpoint = { host: '127.0.0.1', port: apns.service.port, ca: certificate.ca };
  return { ...apns.credentials, environment: 'sandbox', endpoint, ...more };
}

async function put(hub: string, id: string, pushChannel: string, platform = 'apns') {
  const installation = parseInstallation({ installationId: id, platform, pushChannel });
  return putDevice(db.database, { hub, kind: 'installation', installation }, now());
}
const push = async (hub: string, id: string, address = 'ab'.repeat(32)) =>
  testPush({ database: db.database, lanes, now }, await put(hub, id, address), { title: 'Hello' });
const laneOf = async (hub: string, platform = 'apns') =>
  (await watch.one(hub)).lanes.find((lane) => lane.platform === platform)!;

test('a lane is untried, then runs; what it pushed, pruned and refused is counted', async () => {
  await createHub(admin, 'counted', { credentials: { apns: credentials() } });
  expect(await laneOf('counted')).toMatchObject({ devices: 0, state: { kind: 'untried' }, lastFault: undefined });
  expect(await push('counted', 'alive')).toBe('Success');
  expect(await push('counted', 'dead', `dead${'ab'.repeat(30)}`)).toBe('ExpiredChannel');
  await eventually(async () => {
    const counts = { delivered: 1, pruned: 1, refused: 0, retried: 0 };
    expect(await laneOf('counted')).toMatchObject({
      devices: 2,
      dead: 1,
      state: { kind: 'running' },
      total: counts,
      lastHour: counts,
      lastFault: { outcome: 'ExpiredChannel', cause: 'Unregistered' },
      advice: undefined,
    });
  });
});

test('refused credentials stop the lane and say what to do; set anew, what waited goes out at once', async () => {
  await createHub(admin, 'stopped', { credentials: { apns: credentials({ keyId: 'WRONGKEY12' }) } });
  await put('stopped', 'phone', 'ac'.repeat(32));
  const message = { kind: 'native', platform: 'apns', body: '{"aps":{"alert":"Hi"}}', headers: {} } as const;
  const id = await enqueueSend(db.database, 'stopped', { message }, now());
  sender = HubSender.start({ database: db.database, lanes, now, emit: signals.emit });
  await eventually(async () =>
    expect(await laneOf('stopped')).toMatchObject({ state: { kind: 'stopped', cause: 'InvalidProviderToken' } }),
  );
  const lane = await laneOf('stopped');
  expect(lane.advice).toContain('carillon hub credentials set stopped apns');
  expect(lane.state).toMatchObject({ since: expect.any(Date), until: expect.any(Date) });
  expect(await watch.one('stopped')).toMatchObject({ underWay: 1, oldest: expect.any(Date) });

  await setCredentials(admin, 'stopped', 'apns', credentials());
  expect(await laneOf('stopped')).toMatchObject({ state: { kind: 'untried' }, advice: undefined });
  // Without being told, the send would wait a minute for the next probe.
  await eventually(
    async () => expect(await findSend(db.database, 'stopped', id)).toMatchObject({ state: 'Completed' }),
    15_000,
  );
  expect(await laneOf('stopped')).toMatchObject({ state: { kind: 'running' }, total: { delivered: 1 } });
  expect(await watch.one('stopped')).toMatchObject({ underWay: 0, oldest: undefined });
});

test('a service that cannot be reached is told apart from one that refuses, until something gets through', async () => {
  const endpoint = { host: '127.0.0.1', port: await freePort(), ca: certificate.ca };
  await createHub(admin, 'away', { credentials: { apns: credentials({ endpoint }) } });
  expect(await push('away', 'phone')).toBe('PnsUnreachable');
  const lane = await laneOf('away');
  expect(lane).toMatchObject({ state: { kind: 'failing', since: expect.any(Date) }, total: { delivered: 0 } });
  expect(lane.advice).toMatch(/Apple cannot be reached \(connect_failed:ECONNREFUSED\)/);
  await setCredentials(admin, 'away', 'apns', credentials());
  lanes.changed('away');
  expect(await push('away', 'phone')).toBe('Success');
  expect(await laneOf('away')).toMatchObject({ state: { kind: 'running' }, advice: undefined });
});

test('a token service that cannot be reached is told; other credentials of the hub leave the lane as it is', async () => {
  const tokenUrl = `https://127.0.0.1:${await freePort()}/token`;
  const wns = { packageSid: 'ms-app://s', secret: 'secret', tokenUrl };
  await createHub(admin, 'tokenless', { credentials: { wns, apns: credentials() } });
  const device = await put('tokenless', 'pc', 'https://db5p.notify.windows.com/?token=a', 'wns');
  expect(await push('tokenless', 'phone')).toBe('Success');
  expect(await testPush({ database: db.database, lanes, now }, device, { title: 'Hello' })).toBe('PnsUnavailable');
  expect(await laneOf('tokenless', 'wns')).toMatchObject({
    state: { kind: 'failing', cause: 'no_token' },
    advice: expect.stringContaining('token service'),
  });
  await setCredentials(admin, 'tokenless', 'wns', { ...wns, secret: 'other' });
  const lane = (await lanes.of('tokenless')).get('apns');
  lanes.changed('tokenless');
  expect((await lanes.of('tokenless')).get('apns')).toBe(lane);
  expect(await laneOf('tokenless')).toMatchObject({ state: { kind: 'running' } });
  expect(await laneOf('tokenless', 'wns')).toMatchObject({ state: { kind: 'untried' }, advice: undefined });
});

test('devices without credentials, and of platforms that are not pushed to, are told', async () => {
  await createHub(admin, 'bare');
  await put('bare', 'a', 'token-of-google', 'fcmv1');
  await put('bare', 'b', 'token-of-amazon', 'adm');
  const { lanes: told } = await watch.one('bare');
  expect(told.map(({ platform, devices, state }) => [platform, devices, state.kind])).toEqual([
    ['fcmv1', 1, 'no_credentials'],
    ['browser', 0, 'untried'],
    ['adm', 1, 'unsupported'],
  ]);
  expect(told[0]!.advice).toContain('docs/push-fcm.md');
});

test('a hub whose credentials another key sealed is named with its problem, and hides no other', async () => {
  await createHub({ ...admin, key: sealingKey('another') }, 'foreign');
  await createHub(admin, 'own');
  const all = await watch.all();
  expect(all.find(({ name }) => name === 'foreign')?.problem).toContain('CARILLON_LINK_KEY');
  expect(all.find(({ name }) => name === 'own')?.problem).toBeUndefined();
});

test('there is no status of a hub that there is not', async () => {
  await expect(watch.one('nowhere')).rejects.toMatchObject({ code: 'not_found' });
});

test('devices are counted in the index of their platforms, not in the table', async () => {
  await createHub(admin, 'many');
  await addManyDevices(db.database, { hub: 'many', platform: 'fcmv1', count: 5_000, body: '{}' });
  expect((await laneOf('many', 'fcmv1')).devices).toBe(5_000);
  const plan = await db.database.transaction(async (tx) => {
    // So few are quicker to read in the table; the question is whether the index has all that is asked.
    await tx.query('set local enable_seqscan = off');
    await tx.query('set local enable_bitmapscan = off');
    return tx.query("explain select platform, count(*)::int from device where hub = 'many' group by platform");
  });
  expect(JSON.stringify(plan)).toContain('Index Only Scan using device_walk');
});
