import { afterEach, beforeEach, expect, test } from 'vitest';
import { FcmStandin } from '../../../test/standins/fcm.ts';
import { freePort } from '../../../test/support/free-port.ts';
import { makeCertificate } from '../../kit/certificate.ts';
import { fanOut, outcomeCode } from '../fan-out.ts';
import { Targets } from '../targets.ts';
import type { PushSignal } from './driver.ts';
import { FcmDriver, type FcmOptions } from './fcm.ts';
import { movableClock, pushOnce } from './testing.ts';

const certificate = makeCertificate();
const message = JSON.stringify({ message: { notification: { title: 'Hello', body: 'World' }, data: { a: '1' } } });

let clock: ReturnType<typeof movableClock>;
let fcm: FcmStandin;
let driver: FcmDriver;
let signals: PushSignal[];

beforeEach(async () => {
  clock = movableClock();
  fcm = await FcmStandin.start({ certificate, now: clock.now });
  signals = [];
  driver = start();
});

afterEach(async () => {
  await driver.close(0);
  await fcm.stop();
});

function start(more: Partial<FcmOptions> = {}): FcmDriver {
  const endpoint = { host: '127.0.0.1', port: fcm.service.port, ca: certificate.ca };
  const emit = (signal: PushSignal): number => signals.push(signal);
  return new FcmDriver({ credentials: fcm.account, endpoint, emit, now: clock.now, ...more });
}

test('a message arrives with its token and the options it was sent with', async () => {
  const outcome = await pushOnce(driver, 'device-1', message, { urgency: 'high', ttlSeconds: 60, collapseId: 'order' });
  expect(outcome).toEqual({ kind: 'delivered' });
  expect(fcm.messages.items[0]).toEqual({
    token: 'device-1',
    notification: { title: 'Hello', body: 'World' },
    data: { a: '1' },
    android: { priority: 'HIGH', ttl: '60s', notification: { tag: 'order' } },
    apns: { headers: { 'apns-collapse-id': 'order' } },
  });
});

test('a token service that cannot be reached does not hold whoever waits for room', async () => {
  const token_uri = `https://127.0.0.1:${await freePort()}/token`;
  await using own = new AsyncDisposableStack();
  const away = own.adopt(start({ credentials: { ...fcm.account, token_uri } }), (each) => each.close(0));
  const { codes, down } = await fanOut(away, away.plan({}), new Targets([{ address: 'device-1', payload: message }]));
  expect([[...codes], down]).toMatchObject([[0], { kind: 'down', cause: 'no_token', alarm: false }]);
});

test('overrides of the caller win, and a target in the payload is not another recipient', async () => {
  const own = JSON.stringify({
    message: {
      topic: 'all',
      android: { priority: 'NORMAL', direct_boot_ok: true },
      webpush: { headers: { TTL: '1' } },
    },
  });
  await pushOnce(driver, 'device-"2"', own, { urgency: 'high', collapseId: 'a' }, { collapseId: 'b' });
  expect(fcm.messages.items[0]).toEqual({
    token: 'device-"2"',
    android: { priority: 'NORMAL', direct_boot_ok: true },
    webpush: { headers: { TTL: '1' } },
  });
  await pushOnce(driver, 'device-3', '{}');
  expect(fcm.messages.items[1]).toEqual({ token: 'device-3' });
});

test.each([
  ['dead-1', { kind: 'gone', cause: 'UNREGISTERED' }],
  ['bad-1', { kind: 'gone', cause: 'INVALID_TOKEN' }],
  ['other-1', { kind: 'gone', cause: 'SENDER_ID_MISMATCH' }],
  ['apns-1', { kind: 'refused', cause: 'THIRD_PARTY_AUTH_ERROR' }],
  ['quota-1', { kind: 'retry', cause: 'QUOTA_EXCEEDED', retryAfterMs: 7000 }],
  ['500-1', { kind: 'retry', cause: 'INTERNAL' }],
  ['503-1', { kind: 'retry', cause: 'UNAVAILABLE', retryAfterMs: 11_000 }],
])('a device %s comes out as %o', async (token, outcome) => {
  expect(await pushOnce(driver, token, message)).toMatchObject(outcome);
});

test('what is shown replaces itself, and a collapse key is the caller’s to give', async () => {
  const own = JSON.stringify({
    message: { notification: { title: 'a' }, android: { collapse_key: 'k', notification: { tag: 't' } } },
  });
  await pushOnce(driver, 'device-1', message, { collapseId: 'a' }, { collapseId: 'b' });
  await pushOnce(driver, 'device-2', own, { collapseId: 'a' });
  expect(fcm.messages.items.map(({ android }) => android)).toEqual([
    { notification: { tag: 'b' } },
    { collapse_key: 'k', notification: { tag: 't' } },
  ]);
});

test('a quota that is used up pauses the lane for as long as Firebase says; one busy device does not', async () => {
  for (let i = 0; i < 6; i += 1) {
    expect(await pushOnce(driver, 'quota-1', message)).toMatchObject({ kind: 'retry' });
    expect(await pushOnce(driver, 'device-1', message)).toMatchObject({ kind: 'delivered' });
  }
  for (let i = 0; i < 3; i += 1) await pushOnce(driver, `quota-${i}`, message);
  const asked = fcm.service.requests;
  const down = { kind: 'down', cause: 'QUOTA_EXCEEDED', alarm: false, retryAfterMs: 7_000 };
  expect(await pushOnce(driver, 'device-1', message)).toEqual(down);
  expect(fcm.service.requests).toBe(asked);
  expect(signals.at(-1)).toEqual({ name: 'push.lane-paused', platform: 'fcmv1', cause: 'QUOTA_EXCEEDED', ms: 7_000 });
  clock.pass(7_001);
  expect(await pushOnce(driver, 'device-1', message)).toMatchObject({ kind: 'delivered' });
});

test('a project without such a path is nobody’s device', async () => {
  const elsewhere = start({ credentials: { ...fcm.account, project_id: 'another' } });
  expect(await pushOnce(elsewhere, 'device-1', message)).toMatchObject({ kind: 'refused', cause: 'NOT_FOUND' });
  await elsewhere.close();
});

test('a malformed message is the message’s fault, not the device’s', async () => {
  const numbers = JSON.stringify({ message: { data: { n: 1 } } });
  expect(await pushOnce(driver, 'device-1', numbers)).toMatchObject({ kind: 'refused', cause: 'INVALID_ARGUMENT' });
  for (const payload of ['no json', 'null', '"text"', '7'])
    expect(await pushOnce(driver, 'device-1', payload)).toMatchObject({ kind: 'refused', cause: 'INVALID_PAYLOAD' });
});

test('one access token serves all, is renewed before it ends, and at once when it is revoked', async () => {
  const burst = (): Promise<string[]> =>
    Promise.all(Array.from({ length: 200 }, async (_, i) => (await pushOnce(driver, `device-${i}`, message)).kind));
  expect(new Set(await burst())).toEqual(new Set(['delivered']));
  expect(fcm.tokensIssued).toBe(1);
  clock.pass(56 * 60_000);
  expect(new Set(await burst())).toEqual(new Set(['delivered']));
  await expect.poll(() => fcm.tokensIssued).toBe(2);
  fcm.revokeTokens();
  expect(new Set(await burst())).toEqual(new Set(['delivered']));
  expect(fcm.tokensIssued).toBe(3);
});

test('a key that Google refuses stops the lane with an alarm; a token service that is away does not', async () => {
  const other = await FcmStandin.start({ certificate });
  const wrong = start({ credentials: { ...fcm.account, private_key: other.account.private_key } });
  expect(await pushOnce(wrong, 'device-1', message)).toMatchObject({ kind: 'down', cause: 'credentials', alarm: true });
  expect(signals).toEqual([{ name: 'push.lane-stopped', platform: 'fcmv1', cause: 'credentials' }]);
  await other.stop();
  const away = start({ credentials: { ...fcm.account, token_uri: other.account.token_uri } });
  expect(await pushOnce(away, 'device-1', message)).toMatchObject({ kind: 'down', cause: 'no_token', alarm: false });
  await Promise.all([wrong.close(), away.close()]);
});

test('never more than a hundred streams run at once, and a full window waits for room', async () => {
  const targets = Array.from({ length: 3_000 }, (_, i) => ({ address: `device-${i}`, payload: message }));
  const { codes } = await fanOut(driver, driver.plan({}), new Targets(targets));
  expect(codes.every((code) => code === outcomeCode.delivered)).toBe(true);
  expect(fcm.messages.total).toBe(3000);
});
