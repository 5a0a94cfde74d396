import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Standins, startStandins } from '../../test/standins/start.ts';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
import type { ClaimedDelivery } from '../deliveries/channel.ts';
import { insertNotices } from '../inbox/append.ts';
import { cardJson } from '../kit/card.ts';
import { sealingKey } from '../kit/sealing.ts';
import { mobileChannel, mobileEndpoints } from './channel.ts';
import { findDevice, putDevice } from './devices.ts';
import { makeVapidKeys } from './drivers/vapid.ts';
import { ensureHub, type HubCredentials } from './hubs.ts';
import { parseInstallation } from './installation.ts';
import { HubLanes, type LaneSignal } from './lanes.ts';

const db = useDatabase();
const key = sealingKey('a secret of this test');
const subject = 'mailto:ops@example.com';
const signals: LaneSignal[] = [];
let standins: Standins;
let lanes: HubLanes;

beforeAll(async () => {
  standins = await startStandins();
  const { ca } = standins.certificate;
  const at = ({ port }: { port: number }) => ({ host: '127.0.0.1', port, ca });
  const credentials: HubCredentials = {
    apns: { ...standins.apns.credentials, environment: 'sandbox', endpoint: at(standins.apns.service) },
    fcmv1: { ...standins.fcm.account, endpoint: at(standins.fcm.service) },
    wns: {
      ...standins.wns.credentials,
      tokenUrl: standins.wns.tokenUrl,
      allowedHosts: [`127.0.0.1:${standins.wns.service.port}`],
      ca,
    },
    browser: { ...makeVapidKeys(), subject, allowPrivate: true, ca },
  };
  await ensureHub(db.database, key, { name: 'main', credentials, subject }, new Date());
  await ensureHub(db.database, key, { name: 'bare', credentials: {}, subject }, new Date());
});
beforeEach(() => {
  signals.length = 0;
  lanes = new HubLanes({ database: db.database, key, emit: (signal) => void signals.push(signal) });
  return () => lanes.stop();
});
afterAll(() => standins.stop());

const put = (id: string, userId: string, platform: string, pushChannel: unknown, hub = 'main') => {
  const installation = parseInstallation({ installationId: id, userId, platform, pushChannel });
  return putDevice(db.database, { hub, kind: 'installation', installation }, new Date());
};

/** A notice for `recipientId` and its delivery to each endpoint. */
async function plan(recipientId: string, endpoints: readonly string[], title = 'Hello'): Promise<ClaimedDelivery[]> {
  const id = `ntc_${recipientId}_${title}`;
  const card = { title, body: 'A line' };
  const event = { topic: 'hr', partition: 0, sequence: 1, eventId: 'e1', notification: 'n', category: 'hr' };
  const notice = { id, recipientId, ...event, urgency: 'normal' as const, card, createdAt: new Date() };
  await db.database.transaction((tx) => insertNotices(tx, [{ notice, card: cardJson(card), toInbox: false }]));
  const now = new Date();
  const common = { noticeId: id, recipientId, channel: 'mobile', urgency: 'normal' } as const;
  return endpoints.map((endpoint, i) => ({
    ...common,
    id: `dlv_${id}_${i}`,
    endpoint,
    attempt: 1,
    failures: 0,
    plannedFor: now,
    dueAt: now,
  }));
}

const channel = () => mobileChannel({ database: db.database, lanes });

test('a notice reaches every device of a person, each in its platform’s form', async () => {
  await put('a-phone', 'ada', 'apns', 'aa'.repeat(32));
  await put('a-tablet', 'ada', 'fcmv1', 'tablet');
  await put('a-desk', 'ada', 'wns', standins.wns.channel('desk'));
  const browser = standins.webpush.subscribe('a-browser');
  const { endpoint, keys } = browser;
  await put('a-web', 'ada', 'browser', { endpoint, ...keys });
  const places = (await mobileEndpoints(db.database, ['ada', 'nobody'])).get('ada')!;
  expect(places).toEqual(['main/a-desk', 'main/a-phone', 'main/a-tablet', 'main/a-web']);
  const batch = await plan('ada', places);
  const outcomes = await channel().deliver(batch);
  expect(outcomes.map(({ kind }) => kind)).toEqual(['delivered', 'delivered', 'delivered', 'delivered']);
  expect(standins.apns.pushes.items.at(-1)).toMatchObject({
    token: 'aa'.repeat(32),
    headers: { 'apns-collapse-id': batch[0]!.noticeId },
    payload: { aps: { alert: { title: 'Hello', body: 'A line' } }, notice: batch[0]!.noticeId },
  });
  expect(JSON.stringify(standins.fcm.messages.items.at(-1))).toContain('Hello');
  expect(standins.webpush.shown('a-browser')).toMatchObject([{ text: expect.stringContaining('Hello') }]);
});

test('of a confidential notice no word reaches a push service, only that something waits and under which id', async () => {
  await put('c-phone', 'cy', 'apns', 'cc'.repeat(32));
  await put('c-tablet', 'cy', 'fcmv1', 'tablet-of-cy');
  await put('c-desk', 'cy', 'wns', standins.wns.channel('desk-of-cy'));
  const places = (await mobileEndpoints(db.database, ['cy'])).get('cy')!;
  const batch = await plan('cy', places, 'Your salary rises');
  const concealed = (notification: string) => (notification === 'n' ? 'Something waits for you' : undefined);
  const outcomes = await mobileChannel({ database: db.database, lanes, concealed }).deliver(batch);
  expect(outcomes.map(({ kind }) => kind)).toEqual(['delivered', 'delivered', 'delivered']);
  const push = standins.apns.pushes.items.at(-1)!;
  expect(push.payload).toMatchObject({
    aps: { alert: { title: 'Something waits for you' } },
    notice: batch[0]!.noticeId,
  });
  for (const said of [push.payload, standins.fcm.messages.items.at(-1), standins.wns.pushes.items.at(-1)]) {
    expect(JSON.stringify(said)).toContain('Something waits for you');
    expect(JSON.stringify(said)).not.toMatch(/A line|"hr"/);
  }
});

test('an address that its service calls dead is pruned; the rest of the batch is delivered', async () => {
  await put('b-dead', 'bob', 'apns', `dead${'00'.repeat(30)}`);
  await put('b-alive', 'bob', 'apns', 'bb'.repeat(32));
  const batch = await plan('bob', ['main/b-dead', 'main/b-alive', 'main/b-none']);
  const outcomes = await channel().deliver(batch);
  expect(outcomes).toMatchObject([
    { kind: 'gone', cause: 'Unregistered' },
    { kind: 'delivered' },
    { kind: 'gone', cause: 'device_removed' },
  ]);
  expect(await findDevice(db.database, 'main', 'b-dead', new Date())).toMatchObject({ gone: true });
  expect(await mobileEndpoints(db.database, ['bob'])).toEqual(new Map([['bob', ['main/b-alive']]]));
});

test('a service that is away makes its own devices wait and nobody else’s', async () => {
  await put('c-phone', 'cleo', 'apns', 'cc'.repeat(32));
  await put('c-away', 'cleo', 'fcmv1', '503-token');
  await put('c-bare', 'cleo', 'fcmv1', 'token', 'bare');
  const outcomes = await channel().deliver(await plan('cleo', ['main/c-phone', 'main/c-away', 'bare/c-bare']));
  expect(outcomes).toMatchObject([
    { kind: 'delivered' },
    { kind: 'retry', cause: 'UNAVAILABLE', retryAfterMs: 11_000 },
    { kind: 'refused', cause: 'no_credentials' },
  ]);
});

test('wrong credentials sound the alarm and burn no device; right ones work without a restart', async () => {
  const { ca } = standins.certificate;
  const { port } = standins.apns.service;
  const endpoint = { host: '127.0.0.1', port, ca };
  const apns = { ...standins.apns.credentials, environment: 'sandbox', endpoint } as const;
  const set = (keyId: string) =>
    ensureHub(db.database, key, { name: 'rotating', credentials: { apns: { ...apns, keyId } }, subject }, new Date());
  await set('WRONGKEY12');
  await put('d-phone', 'dora', 'apns', 'dd'.repeat(32), 'rotating');
  const [first] = await channel().deliver(await plan('dora', ['rotating/d-phone'], 'First'));
  expect(first).toMatchObject({ kind: 'retry', cause: 'apns_down:InvalidProviderToken' });
  expect(signals).toContainEqual({
    name: 'push.lane-stopped',
    hub: 'rotating',
    platform: 'apns',
    cause: 'InvalidProviderToken',
  });
  expect(await findDevice(db.database, 'rotating', 'd-phone', new Date())).toMatchObject({ gone: false });
  await set(standins.apns.credentials.keyId);
  const batch = await plan('dora', ['rotating/d-phone'], 'Second');
  await eventually(async () => expect(await channel().deliver(batch)).toMatchObject([{ kind: 'delivered' }]), 10_000);
});
