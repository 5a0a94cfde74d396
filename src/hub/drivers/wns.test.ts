import { type AddressInfo, createServer } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WnsStandin } from '../../../test/standins/wns.ts';
import { freePort } from '../../../test/support/free-port.ts';
import { makeCertificate } from '../../kit/certificate.ts';
import { fanOut } from '../fan-out.ts';
import { Targets } from '../targets.ts';
import type { PushOutcome, PushSignal } from './driver.ts';
import { movableClock, pushOnce } from './testing.ts';
import { WnsDriver, type WnsOptions } from './wns.ts';

const certificate = makeCertificate();
const toast = '<toast><visual><binding template="ToastGeneric"><text>Grüße</text></binding></visual></toast>';
const headers = { 'X-WNS-Type': 'wns/toast' };

let clock: ReturnType<typeof movableClock>;
let wns: WnsStandin;
let driver: WnsDriver;
let signals: PushSignal[];

beforeEach(async () => {
  clock = movableClock();
  wns = await WnsStandin.start({ certificate, now: clock.now });
  signals = [];
  driver = start();
});

afterEach(async () => {
  await driver.close(0);
  await wns.stop();
});

function start(more: Partial<WnsOptions> = {}): WnsDriver {
  const allowedHosts = [`127.0.0.1:${wns.service.port}`];
  const emit = (signal: PushSignal): number => signals.push(signal);
  return new WnsDriver({
    credentials: wns.credentials,
    tokenUrl: wns.tokenUrl,
    allowedHosts,
    ca: certificate.ca,
    emit,
    now: clock.now,
    ...more,
  });
}

const send = (name: string, options = {}): Promise<PushOutcome> =>
  pushOnce(driver, wns.channel(name), toast, { headers, ...options });

test('a token service that cannot be reached, or breaks off its answer, does not hold whoever waits for room', async () => {
  const target = { address: wns.channel('pc-1'), payload: toast };
  const broken = createServer((socket) => socket.on('error', () => {}).once('data', () => socket.destroy()));
  await new Promise<void>((resolve) => broken.listen(0, '127.0.0.1', resolve));
  const { port } = broken.address() as AddressInfo; // it listens on TCP
  for (const at of [await freePort(), port]) {
    await using own = new AsyncDisposableStack();
    const away = own.adopt(start({ tokenUrl: `https://127.0.0.1:${at}/token` }), (each) => each.close(0));
    const { codes, down } = await fanOut(away, away.plan({ headers }), new Targets([target]));
    expect([[...codes], down]).toMatchObject([[0], { kind: 'down', cause: 'no_token', alarm: false }]);
  }
  broken.close();
});

test('a toast arrives with its type, its tag and its time to live', async () => {
  expect(await send('pc-1', { collapseId: 'order-17', ttlSeconds: 60 })).toMatchObject({ kind: 'delivered' });
  expect(wns.pushes.items[0]).toMatchObject({
    channel: 'pc-1',
    type: 'wns/toast',
    body: toast,
    headers: { 'x-wns-tag': 'order-17', 'x-wns-ttl': '60', 'content-type': 'text/xml' },
  });
});

test.each([
  ['dead-1', { kind: 'gone', cause: '410' }],
  ['gone-1', { kind: 'gone', cause: '404' }],
  ['other-1', { kind: 'gone', cause: '403' }],
  ['full-1', { kind: 'retry', cause: '406', retryAfterMs: 9000 }],
  ['drop-1', { kind: 'refused', cause: 'dropped' }],
  ['throttled-1', { kind: 'retry', cause: 'channelthrottled' }],
  ['500-1', { kind: 'retry', cause: '500' }],
  ['503-1', { kind: 'retry', cause: '503', retryAfterMs: 3000 }],
])('a channel %s comes out as %o', async (name, outcome) => {
  expect(await send(name)).toMatchObject(outcome);
});

test('the throttle of the whole service pauses the lane for as long as WNS says', async () => {
  for (let i = 0; i < 3; i += 1) expect(await send(`full-${i}`)).toMatchObject({ kind: 'retry' });
  const asked = wns.service.requests;
  const down = { kind: 'down', cause: '406', alarm: false, retryAfterMs: 9_000 };
  expect(await send('pc-1')).toEqual(down);
  expect(wns.service.requests).toBe(asked);
});

test('a collapse id of any length becomes a tag that Windows takes', async () => {
  for (let i = 0; i < 2; i += 1) await send('pc-1', { collapseId: 'nh_0123456789abcdefghij' });
  const tags = wns.pushes.items.map(({ headers }) => headers['x-wns-tag']);
  expect(tags[0]).toMatch(/^[\w-]{16}$/);
  expect(tags[1]).toBe(tags[0]);
});

test.each([400, 405, 413])('%i is the message’s fault: refused, the channel stays', async (status) => {
  await send('pc-1');
  const headers = { 'x-wns-error-description': 'wrong' };
  wns.service.fail({ kind: 'answer', answer: { status, headers }, times: 1 });
  expect(await send('pc-1')).toMatchObject({ kind: 'refused', detail: 'wrong' });
  expect(await send('pc-1')).toMatchObject({ kind: 'delivered' });
});

test('a channel outside the notification service is never asked', async () => {
  for (const address of [
    'https://127.0.0.1:1/w/',
    'http://db5.notify.windows.com/w',
    'https://notify.windows.com.evil.example/w',
    'https://evil.example/?.notify.windows.com',
    'nonsense',
  ])
    expect(await pushOnce(driver, address, toast, { headers })).toEqual({ kind: 'gone', cause: 'bad_channel' });
});

test('a raw push is octets, an unknown type is refused at once, and more than 5000 bytes never leave', async () => {
  expect((await pushOnce(driver, wns.channel('pc'), 'raw', { headers: { 'x-wns-type': 'wns/raw' } })).kind).toBe(
    'delivered',
  );
  expect(wns.pushes.items[0]?.headers['content-type']).toBe('application/octet-stream');
  expect(() => driver.plan({})).toThrow(/X-WNS-Type/);
  expect(await pushOnce(driver, wns.channel('pc'), 'x'.repeat(5001), { headers })).toEqual({
    kind: 'refused',
    cause: 'PayloadTooLarge',
  });
});

test('the access token is fetched once, renewed when refused, and wrong secrets stop the lane', async () => {
  const all = await Promise.all(Array.from({ length: 300 }, (_, i) => send(`pc-${i}`)));
  expect(all.every((outcome) => outcome.kind === 'delivered')).toBe(true);
  expect(wns.tokensIssued).toBe(1);
  wns.revokeTokens();
  expect((await send('pc')).kind).toBe('delivered');
  expect(wns.tokensIssued).toBe(2);
  const wrong = start({ credentials: { packageSid: 'ms-app://other', secret: 'x' } });
  expect(await pushOnce(wrong, wns.channel('pc'), toast, { headers })).toMatchObject({
    kind: 'down',
    cause: 'credentials',
    alarm: true,
  });
  expect(signals.at(-1)).toEqual({ name: 'push.lane-stopped', platform: 'wns', cause: 'credentials' });
  await wrong.close();
});

test('a service that cuts the connection may have taken the push', async () => {
  await send('pc');
  wns.service.fail({ kind: 'cut', times: 1 });
  expect(await send('pc')).toMatchObject({ kind: 'retry', uncertain: true });
  expect((await send('pc')).kind).toBe('delivered');
});
