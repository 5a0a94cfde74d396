import { afterEach, beforeEach, expect, test } from 'vitest';
import { ApnsStandin } from '../../../test/standins/apns.ts';
import { makeCertificate } from '../../kit/certificate.ts';
import { ApnsDriver, type ApnsOptions } from './apns.ts';
import { ApnsChannels } from './apns-channels.ts';
import type { PushSignal } from './driver.ts';
import { apnsPayload } from './payloads.ts';
import { movableClock, pushOnce, pushOne } from './testing.ts';

const certificate = makeCertificate();
const alert = JSON.stringify({ aps: { alert: { title: 'Hello', body: 'World' } } });
const device = (prefix = 'ab'): string => prefix.padEnd(64, '0');
const minutes = 60_000;

let clock: ReturnType<typeof movableClock>;
let apns: ApnsStandin;
let driver: ApnsDriver;
let signals: PushSignal[];

beforeEach(async () => {
  clock = movableClock();
  apns = await ApnsStandin.start({ certificate, now: clock.now });
  signals = [];
  driver = start();
});

afterEach(async () => {
  await driver.close(0);
  await apns.stop();
});

function start(more: Partial<ApnsOptions> = {}): ApnsDriver {
  const endpoint = { host: '127.0.0.1', port: apns.service.port, ca: certificate.ca };
  const emit = (signal: PushSignal): number => signals.push(signal);
  return new ApnsDriver({
    credentials: apns.credentials,
    environment: 'sandbox',
    endpoint,
    emit,
    now: clock.now,
    proven: true,
    ...more,
  });
}

/** The next push, on a connection that is already trusted, is answered so. */
async function answerOnce(status: number, reason: string): Promise<void> {
  await pushOnce(driver, device(), alert);
  apns.service.fail({ kind: 'answer', answer: { status, body: JSON.stringify({ reason }) }, times: 1 });
}

test('an alert arrives with its headers and is told by its id', async () => {
  const id = '123e4567-e89b-42d3-a456-426614174000';
  const options = { urgency: 'high', ttlSeconds: 60, collapseId: 'order-17' } as const;
  expect(await pushOnce(driver, device(), alert, options, { id })).toEqual({ kind: 'delivered' });
  expect(apns.pushes.items[0]).toEqual({
    token: device(),
    channel: undefined,
    payload: JSON.parse(alert),
    headers: {
      'apns-id': id,
      'apns-topic': 'com.example.app',
      'apns-push-type': 'alert',
      'apns-priority': '10',
      'apns-expiration': String(clock.now() / 1000 + 60),
      'apns-collapse-id': 'order-17',
    },
  });
});

test.each([
  ['dead', { kind: 'gone', cause: 'Unregistered' }],
  ['e0e0', { kind: 'gone', cause: 'ExpiredToken' }],
  ['badd', { kind: 'gone', cause: 'BadDeviceToken' }],
  ['0bad', { kind: 'gone', cause: 'DeviceTokenNotForTopic' }],
  ['f00d', { kind: 'retry', cause: 'TooManyRequests', retryAfterMs: undefined }],
  ['5050', { kind: 'retry', cause: 'InternalServerError' }],
  ['5030', { kind: 'retry', cause: 'ServiceUnavailable' }],
])('a device %s... comes out as %o', async (prefix, outcome) => {
  expect(await pushOnce(driver, device(prefix), alert)).toMatchObject(outcome);
});

test.each([
  ...[
    'BadCollapseId',
    'BadExpirationDate',
    'BadMessageId',
    'BadPriority',
    'BadTopic',
    'DuplicateHeaders',
    'IdleTimeout',
  ],
  ...['InvalidPushType', 'MissingDeviceToken', 'MissingTopic', 'PayloadEmpty', 'TopicDisallowed'],
])('400 %s is the message’s fault: not tried again, no device blamed', async (reason) => {
  await answerOnce(400, reason);
  expect(await pushOnce(driver, device(), alert)).toEqual({ kind: 'refused', cause: reason });
  expect(await pushOnce(driver, device(), alert)).toMatchObject({ kind: 'delivered' });
});

test.each([
  ...['InvalidProviderToken', 'MissingProviderToken', 'BadCertificate', 'BadCertificateEnvironment', 'Forbidden'],
  ...['UnrelatedKeyIdInToken', 'BadEnvironmentKeyIdInToken', 'BadEnvironmentKeyInToken'],
])('403 %s stops the lane with an alarm', async (reason) => {
  await answerOnce(403, reason);
  expect(await pushOnce(driver, device(), alert)).toMatchObject({ kind: 'down', cause: reason, alarm: true });
  expect(signals).toEqual([{ name: 'push.lane-stopped', platform: 'apns', cause: reason }]);
  expect(await pushOnce(driver, device(), alert)).toMatchObject({ kind: 'down', cause: reason });
});

test.each([
  [404, 'BadPath', { kind: 'refused', cause: 'BadPath' }],
  [405, 'MethodNotAllowed', { kind: 'refused', cause: 'MethodNotAllowed' }],
  [413, 'PayloadTooLarge', { kind: 'refused', cause: 'PayloadTooLarge' }],
  [503, 'Shutdown', { kind: 'retry', cause: 'Shutdown' }],
] as const)('%i %s comes out as %o', async (status, reason, outcome) => {
  await answerOnce(status, reason);
  expect(await pushOnce(driver, device(), alert)).toMatchObject(outcome);
});

test('too many tokens: everything waits, and the token stays', async () => {
  await answerOnce(429, 'TooManyProviderTokenUpdates');
  const down = { kind: 'down', cause: 'TooManyProviderTokenUpdates', alarm: false };
  expect(await pushOnce(driver, device(), alert)).toMatchObject(down);
  const asked = apns.service.requests;
  expect(await pushOnce(driver, device(), alert)).toMatchObject(down);
  expect(apns.service.requests).toBe(asked);
  clock.pass(61_000);
  expect(await pushOnce(driver, device(), alert)).toMatchObject({ kind: 'delivered' });
});

test('a device that died says when, so that a later registration stays', async () => {
  const since = clock.now() - 5 * minutes;
  apns.unregisteredAt.set(device('dead'), since);
  expect(await pushOnce(driver, device('dead'), alert)).toMatchObject({ kind: 'gone', since: new Date(since) });
});

test('an unknown device of an environment that never took a push is not pruned, and somebody is told', async () => {
  const fresh = start({ proven: false });
  for (let i = 0; i < 3; i += 1)
    expect(await pushOnce(fresh, device('badd'), alert)).toMatchObject({ kind: 'refused' });
  expect(signals).toEqual([{ name: 'push.wrong-environment', platform: 'apns', cause: 'BadDeviceToken' }]);
  await pushOnce(fresh, device(), alert);
  expect(await pushOnce(fresh, device('badd'), alert)).toEqual({ kind: 'gone', cause: 'BadDeviceToken' });
  await fresh.close();
});

test('wrong credentials stop the lane once, spare the devices, and a probe opens it again', async () => {
  const wrong = start({ credentials: { ...apns.credentials, teamId: 'NOBODY1234' } });
  const outcome = await pushOnce(wrong, device(), alert);
  expect(outcome).toMatchObject({ kind: 'down', cause: 'InvalidProviderToken', alarm: true });
  const before = apns.service.requests;
  for (let i = 0; i < 20; i += 1) expect((await pushOnce(wrong, device(), alert)).kind).toBe('down');
  expect(apns.service.requests).toBe(before);
  expect(signals).toEqual([{ name: 'push.lane-stopped', platform: 'apns', cause: 'InvalidProviderToken' }]);
  Object.assign(apns.credentials, { teamId: 'NOBODY1234' });
  clock.pass(61_000);
  expect((await pushOnce(wrong, device(), alert)).kind).toBe('delivered');
  expect(signals.at(-1)).toEqual({ name: 'push.lane-resumed', platform: 'apns' });
  await wrong.close();
});

test('the provider token is shared by every process of its time slot and never older than Apple takes', async () => {
  const sibling = start();
  for (let passed = 0; passed < 180; passed += 5) {
    expect((await pushOnce(driver, device(), alert)).kind).toBe('delivered');
    expect((await pushOnce(sibling, device(), alert)).kind).toBe('delivered');
    clock.pass(5 * minutes);
  }
  expect(signals).toEqual([]);
  await sibling.close();
});

test('a token that Apple calls expired is renewed once and the push goes out', async () => {
  await pushOnce(driver, device(), alert);
  clock.pass(25 * minutes);
  apns.service.fail({ kind: 'answer', answer: { status: 403, body: '{"reason":"ExpiredProviderToken"}' }, times: 1 });
  expect((await pushOnce(driver, device(), alert)).kind).toBe('delivered');
  apns.service.fail({ kind: 'answer', answer: { status: 403, body: '{"reason":"ExpiredProviderToken"}' }, times: 1 });
  expect(await pushOnce(driver, device(), alert)).toMatchObject({ kind: 'down', alarm: true });
});

test('a payload over the limit never leaves', async () => {
  const outcome = await pushOnce(driver, device(), JSON.stringify({ aps: { alert: 'é'.repeat(2100) } }));
  expect(outcome).toEqual({ kind: 'refused', cause: 'PayloadTooLarge' });
  expect(apns.service.requests).toBe(0);
  expect((await pushOnce(driver, device(), 'x'.repeat(5000), { headers: { 'apns-push-type': 'voip' } })).kind).toBe(
    'delivered',
  );
});

test('each push type has its topic and priority; Live Activities and background pass', async () => {
  const activity = JSON.stringify({
    aps: { timestamp: 1, event: 'update', 'content-state': { eta: 4 }, 'interruption-level': 'time-sensitive' },
  });
  expect((await pushOnce(driver, device(), activity, { headers: { 'apns-push-type': 'liveactivity' } })).kind).toBe(
    'delivered',
  );
  const background = JSON.stringify({ aps: { 'content-available': 1 } });
  expect((await pushOnce(driver, device(), background, { headers: { 'apns-push-type': 'background' } })).kind).toBe(
    'delivered',
  );
  expect(apns.pushes.items.map(({ headers }) => [headers['apns-topic'], headers['apns-priority']])).toEqual([
    ['com.example.app.push-type.liveactivity', '10'],
    ['com.example.app', '5'],
  ]);
  expect(() => driver.plan({ headers: { 'apns-push-type': 'shout' } })).toThrow(/no APNs push type/);
  expect(() => driver.plan({ headers: { 'apns-topic': 'a\r\nb' } })).toThrow(/printable/);
});

test('interruption levels reach the device, by urgency or as the notification says', async () => {
  const content = { noticeId: 'ntc_1', card: { title: 'Hello' } };
  const levels = [
    { ...content, urgency: 'low' as const },
    content,
    { ...content, urgency: 'high' as const },
    { ...content, interruption: 'critical' as const },
  ].map((each) => apnsPayload(each));
  for (const { payload, headers } of levels) await pushOnce(driver, device(), payload, { headers });
  const shown = apns.pushes.items.map(({ payload }) => (payload as { aps: Record<string, unknown> }).aps);
  expect(shown.map((aps) => aps['interruption-level'])).toEqual(['passive', 'active', 'time-sensitive', 'critical']);
});

test('a time to live becomes a date of expiry; nothing is stored for 0', async () => {
  await pushOnce(driver, device(), alert, { ttlSeconds: 60 });
  await pushOnce(driver, device(), alert, { ttlSeconds: 0 });
  const expirations = apns.pushes.items.map(({ headers }) => headers['apns-expiration']);
  expect(expirations).toEqual([String(Math.floor(clock.now() / 1000) + 60), '0']);
});

test('a collapse id of the whole plan is left out where nothing is shown', async () => {
  await pushOnce(driver, device(), alert, { collapseId: 'c' });
  const activity = { collapseId: 'c', headers: { 'apns-push-type': 'liveactivity' } };
  await pushOnce(driver, device(), alert, activity);
  expect(apns.pushes.items.map(({ headers }) => headers['apns-collapse-id'])).toEqual(['c', undefined]);
});

test('a collapse id of any length and script is one that Apple takes, and equal ids collapse', async () => {
  for (const collapseId of ['ä'.repeat(50), 'ä'.repeat(50), 'x'.repeat(65)])
    expect((await pushOnce(driver, device(), alert, {}, { collapseId })).kind).toBe('delivered');
  expect(apns.shown.get(device())?.size).toBe(2);
});

test('a broadcast channel is made, used by one push for all, listed and removed', async () => {
  const channels = new ApnsChannels({
    credentials: apns.credentials,
    environment: 'sandbox',
    endpoint: { host: '127.0.0.1', port: apns.service.port, ca: certificate.ca },
    now: clock.now,
  });
  const channel = await channels.create(true);
  expect(await channels.list()).toEqual([channel]);
  expect(await channels.read(channel)).toMatchObject({ 'push-type': 'LiveActivity' });
  const plan = driver.plan({ ttlSeconds: 60, headers: { 'apns-push-type': 'liveactivity' } });
  expect(await driver.broadcast(plan, channel, alert)).toEqual({ kind: 'delivered' });
  expect(apns.pushes.items[0]).toMatchObject({ channel, token: undefined });
  await channels.remove(channel);
  await expect(channels.read(channel)).rejects.toThrow('ChannelNotRegistered');
  await channels.close();
});

test('faults of the service are waited out, not blamed on devices', async () => {
  await pushOnce(driver, device(), alert);
  apns.service.fail({
    kind: 'answer',
    answer: { status: 503, headers: { 'retry-after': '17' }, body: '{"reason":"Shutdown"}' },
    times: 1,
  });
  expect(await pushOnce(driver, device(), alert)).toEqual({ kind: 'retry', cause: 'Shutdown', retryAfterMs: 17_000 });
  apns.service.fail({ kind: 'cut', times: 1 });
  expect(await pushOnce(driver, device(), alert)).toMatchObject({ kind: 'retry', uncertain: true });
  apns.service.fail({ kind: 'reset', code: 7, times: 2 });
  expect((await pushOnce(driver, device(), alert)).kind).toBe('delivered');
  apns.service.goaway(0, '{"reason":"Shutdown"}');
  expect((await pushOnce(driver, device(), alert)).kind).toBe('delivered');
  apns.service.fail({
    kind: 'answer',
    answer: { status: 429, body: '{"reason":"TooManyProviderTokenUpdates"}' },
    times: 1,
  });
  expect(await pushOnce(driver, device(), alert)).toMatchObject({ kind: 'down', alarm: false });
});

test('two thousand devices at once, a tenth of them dead, each with its own outcome', async () => {
  const plan = driver.plan({});
  const outcomes = await Promise.all(
    Array.from({ length: 2000 }, async (_, i) => {
      const address = device((i % 10 === 0 ? 'dead' : 'cafe') + i.toString(16).padStart(6, '0'));
      return (await pushOne(driver, plan, { address, payload: alert })).kind;
    }),
  );
  expect(outcomes.filter((kind) => kind === 'gone')).toHaveLength(200);
  expect(outcomes.filter((kind) => kind === 'delivered')).toHaveLength(1800);
});
