import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Subscription, WebPushStandin } from '../../../test/standins/webpush.ts';
import { makeCertificate } from '../../kit/certificate.ts';
import { privateAddress } from './address-guard.ts';
import type { PushOptions, PushOutcome, PushSignal } from './driver.ts';
import { Encryption } from './encryption.ts';
import { movableClock, pushOnce, pushOne } from './testing.ts';
import { makeVapidKeys, Vapid } from './vapid.ts';
import { type WebPushAddress, WebPushDriver, type WebPushOptions } from './webpush.ts';

const certificate = makeCertificate();
const credentials = { ...makeVapidKeys(), subject: 'mailto:push@example.com' };

let clock: ReturnType<typeof movableClock>;
let service: WebPushStandin;
let driver: WebPushDriver;
let signals: PushSignal[];

beforeEach(async () => {
  clock = movableClock();
  service = await WebPushStandin.start({ certificate, now: clock.now });
  signals = [];
  driver = start();
});

afterEach(async () => {
  await driver.close(0);
  await service.stop();
});

function start(more: Partial<WebPushOptions> = {}): WebPushDriver {
  const emit = (signal: PushSignal): number => signals.push(signal);
  return new WebPushDriver({ credentials, allowPrivate: true, ca: certificate.ca, emit, now: clock.now, ...more });
}

const address = ({ endpoint, keys }: Subscription): WebPushAddress => ({ endpoint, ...keys });
const send = (to: Subscription, text = 'hello', options: PushOptions = {}): Promise<PushOutcome> =>
  pushOnce(driver, address(to), text, options);

test('a browser reads what was sent, and learns nothing else', async () => {
  const text = JSON.stringify({ title: 'Grüße', body: '🔔' });
  const outcome = await send(service.subscribe('ada'), text, {
    urgency: 'high',
    ttlSeconds: 60,
    collapseId: 'order-17',
  });
  expect(outcome).toEqual({ kind: 'delivered' });
  expect(service.pushes.items).toEqual([
    { name: 'ada', text, ttl: 60, urgency: 'high', topic: 'order-17', subject: credentials.subject },
  ]);
  expect((await send(service.subscribe('bob'), '')).kind).toBe('delivered');
  expect(service.pushes.items[1]?.text).toBeUndefined();
});

test.each([
  ['gone-1', { kind: 'gone', cause: '410' }],
  ['404-1', { kind: 'gone', cause: '404' }],
  ['full-1', { kind: 'retry', cause: '429', retryAfterMs: 13_000 }],
  ['500-1', { kind: 'retry', cause: '500' }],
  ['503-1', { kind: 'retry', cause: '503', retryAfterMs: 5000 }],
])('an endpoint %s comes out as %o', async (name, outcome) => {
  expect(await send(service.subscribe(name))).toMatchObject(outcome);
});

test.each([
  [201, { kind: 'delivered' }],
  [202, { kind: 'delivered' }],
  [400, { kind: 'refused', cause: '400' }],
  [413, { kind: 'refused', cause: 'PayloadTooLarge' }],
] as const)('%i comes out as %o', async (status, outcome) => {
  const subscription = service.subscribe('ada');
  service.service.fail({ kind: 'answer', answer: { status }, times: 1 });
  expect(await send(subscription)).toMatchObject(outcome);
});

test('an encryption that fails is tried again and costs no device its address', async () => {
  const encryption = new Encryption();
  let failures = 2;
  const seals = {
    seal: (...given: Parameters<Encryption['seal']>) => {
      if (failures-- > 0) throw new Error('out of memory');
      return encryption.seal(...given);
    },
    rest: () => encryption.rest(),
  };
  await driver.close(0);
  driver = start({ seals });
  const ada = service.subscribe('ada');
  for (let i = 0; i < 2; i += 1)
    expect(await send(ada)).toEqual({ kind: 'retry', cause: 'sealing_failed', retryAfterMs: undefined });
  expect(await send(ada)).toMatchObject({ kind: 'delivered' });
  const bad = { ...ada, keys: { ...ada.keys, p256dh: Buffer.alloc(65, 4).toString('base64url') } };
  expect(await send(bad)).toEqual({ kind: 'gone', cause: 'bad_keys' });
});

test('a service that wants no more for now is left alone as long as it says', async () => {
  for (let i = 0; i < 3; i += 1) expect(await send(service.subscribe(`full-${i}`))).toMatchObject({ kind: 'retry' });
  expect(await send(service.subscribe('ada'))).toMatchObject({ kind: 'down', alarm: false, retryAfterMs: 13_000 });
  clock.pass(13_001);
  expect(await send(service.subscribe('ada'))).toMatchObject({ kind: 'delivered' });
});

test('a push replaces an earlier one with the same id, of whatever length', async () => {
  const ada = service.subscribe('ada');
  const long = 'a very long id, longer than a topic may be';
  for (const collapseId of ['a', 'a', long, long]) await send(ada, collapseId, { collapseId });
  expect(service.shown('ada').map(({ text }) => text)).toEqual(['a', long]);
  const plan = driver.plan({ collapseId: 'plan' });
  await pushOne(driver, plan, { address: address(ada), payload: 'x', collapseId: 'own' });
  expect(service.pushes.items.at(-1)?.topic).toBe('own');
});

test('one VAPID token serves an origin for hours, and a new one comes in time', async () => {
  const ada = service.subscribe('ada');
  for (let hours = 0; hours < 30; hours += 1) {
    expect((await send(ada)).kind).toBe('delivered');
    clock.pass(3600_000);
  }
  const vapid = new Vapid(credentials, clock.now);
  expect(vapid.authorization('https://a.example')).toBe(vapid.authorization('https://a.example'));
  expect(() => new Vapid({ ...credentials, subject: 'me' })).toThrow(/subject/);
  expect(() => new Vapid({ ...credentials, privateKey: makeVapidKeys().privateKey })).toThrow(/key pair/);
});

test('every key pair that is made can be used, also one whose private number begins with zeros', () => {
  let short = 0;
  for (let n = 0; n < 20_000 && short < 2; n += 1) {
    const keys = makeVapidKeys();
    expect(() => new Vapid({ ...keys, subject: 'mailto:push@example.com' })).not.toThrow();
    if (Buffer.from(keys.privateKey, 'base64url')[0] === 0) short += 1;
  }
  expect(short).toBe(2);
});

test('a key that nobody knows stops that service’s lane with an alarm', async () => {
  const stranger = service.subscribe('ada', makeVapidKeys().publicKey);
  expect(await send(stranger)).toMatchObject({ kind: 'down', cause: 'vapid:403', alarm: true });
  const { host } = new URL(stranger.endpoint);
  expect(signals).toEqual([{ name: 'push.lane-stopped', platform: 'browser', cause: 'vapid:403', service: host }]);
  expect(driver.state()).toMatchObject({ kind: 'stopped', cause: 'vapid:403', service: host });
});

test('one subscription that was made with another key does not stop the others', async () => {
  const ada = service.subscribe('ada');
  expect((await send(ada)).kind).toBe('delivered');
  const stranger = service.subscribe('bob', makeVapidKeys().publicKey);
  expect(await send(stranger)).toMatchObject({ kind: 'refused', cause: 'vapid:403' });
  expect(signals).toEqual([]);
});

test('addresses inside our network are not connected to', async () => {
  const guarded = start({ allowPrivate: false });
  expect(await pushOnce(guarded, address(service.subscribe()), 'x')).toEqual({ kind: 'gone', cause: 'bad_address' });
  const local = { ...address(service.subscribe()), endpoint: `https://localhost:${service.service.port}/push/x` };
  expect(await pushOnce(guarded, local, 'x')).toEqual({ kind: 'gone', cause: 'bad_address' });
  expect(service.service.sessions).toBe(0);
  await guarded.close();
  for (const inside of [
    '127.0.0.1',
    '10.1.1.1',
    '172.31.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '::1',
    '::',
    'fd00::1',
    'fe80::1%eth0',
    '::ffff:10.0.0.1',
    '::ffff:7f00:1',
    '2002:7f00:1::',
  ])
    expect(privateAddress(inside), inside).toBeDefined();
  for (const outside of ['1.1.1.1', '172.32.0.1', '2606:4700::1111', '::ffff:8.8.8.8'])
    expect(privateAddress(outside), outside).toBeUndefined();
});

test('an endpoint or key that cannot be used costs one device, nothing else', async () => {
  const good = address(service.subscribe());
  const broken: Partial<WebPushAddress>[] = [
    { endpoint: 'http://push.example/x' },
    { endpoint: 'https://user:secret@push.example/x' },
    { endpoint: 'https://push.example/a b' },
    { endpoint: 'https:///x' },
    { p256dh: 'AAAA' },
    { auth: 'AAAA' },
    { p256dh: Buffer.alloc(65, 4).toString('base64url') },
  ];
  for (const each of broken) expect(await pushOnce(driver, { ...good, ...each }, 'x')).toMatchObject({ kind: 'gone' });
  for (const text of ['', 'x', '{', '{}', '{"endpoint":1,"p256dh":2,"auth":3}'])
    expect(await pushOnce(driver, text, 'x')).toEqual({ kind: 'gone', cause: 'bad_endpoint' });
  expect(await pushOnce(driver, good, 'x'.repeat(3994))).toEqual({ kind: 'refused', cause: 'PayloadTooLarge' });
  expect((await pushOnce(driver, good, 'x'.repeat(3993))).kind).toBe('delivered');
});

test('what is meant for one origin can be sent to another', async () => {
  const origin = 'https://jmt17.google.com';
  const moved = start({ origins: { [origin]: service.service.url } });
  const ada = address(service.subscribe('ada'));
  const outcome = await pushOnce(moved, { ...ada, endpoint: `${origin}/push/ada` }, 'x');
  // It arrives; the audience stays the browser's own service, so this stand-in, which expects its own, says no.
  expect(outcome).toMatchObject({ kind: 'down', cause: 'vapid:401' });
  await moved.close();
});
