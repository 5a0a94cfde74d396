import { afterEach, beforeEach, expect, test } from 'vitest';
import { ApnsStandin } from '../../test/standins/apns.ts';
import { makeCertificate } from '../kit/certificate.ts';
import { ApnsDriver } from './drivers/apns.ts';
import { fanOut, outcomeCode } from './fan-out.ts';
import { Targets } from './targets.ts';

const certificate = makeCertificate();
const payload = JSON.stringify({ aps: { alert: 'Hello' } });

let apns: ApnsStandin;
let driver: ApnsDriver;

beforeEach(async () => {
  apns = await ApnsStandin.start({ certificate });
  const endpoint = { host: '127.0.0.1', port: apns.service.port, ca: certificate.ca };
  const connection = { maxStreams: 50, maxWaiting: 20 };
  driver = new ApnsDriver({
    credentials: apns.credentials,
    environment: 'sandbox',
    endpoint,
    proven: true,
    connection,
  });
});

afterEach(async () => {
  await driver.close(0);
  await apns.stop();
});

function targets(count: number, prefix: (i: number) => string = () => 'cafe'): Targets {
  const targets = Array.from({ length: count }, (_, i) => ({
    address: (prefix(i) + i.toString(16).padStart(8, '0')).padEnd(64, '0'),
    payload,
  }));
  return new Targets(targets);
}

test('every device of a chunk has its byte, and the dead and refused are named', async () => {
  const prefixes: Record<number, string> = { 3: 'dead', 5: '5030', 7: '0bad' };
  const outcome = await fanOut(
    driver,
    driver.plan({}),
    targets(500, (i) => prefixes[i] ?? 'cafe'),
  );
  expect(outcome.codes.filter((code) => code === outcomeCode.delivered)).toHaveLength(497);
  expect([outcome.codes[3], outcome.codes[5], outcome.codes[7]]).toEqual([
    outcomeCode.gone,
    outcomeCode.retry,
    outcomeCode.gone,
  ]);
  expect(outcome.exceptions.map(({ index }) => index).sort()).toEqual([3, 5, 7]);
  expect(apns.pushes.total).toBe(497);
});

test('a lane that goes down leaves the rest of the chunk alone', async () => {
  await fanOut(driver, driver.plan({}), targets(1));
  apns.service.fail({ kind: 'answer', answer: { status: 403, body: '{"reason":"InvalidProviderToken"}' } });
  const outcome = await fanOut(driver, driver.plan({}), targets(5000));
  expect(outcome.down).toMatchObject({ cause: 'InvalidProviderToken', alarm: true });
  expect(outcome.codes.every((code) => code === outcomeCode.waiting)).toBe(true);
  expect(apns.service.requests).toBeLessThan(300);
});

test('a stopped fan-out waits for what left and tells what did not', async () => {
  const stopping = new AbortController();
  const running = fanOut(driver, driver.plan({}), targets(5000), { signal: stopping.signal });
  await expect.poll(() => apns.pushes.total).toBeGreaterThan(100);
  stopping.abort();
  const outcome = await running;
  const delivered = outcome.codes.filter((code) => code === outcomeCode.delivered).length;
  expect(delivered).toBe(apns.pushes.total);
  expect(delivered).toBeLessThan(5000);
});

test('an urgent push overtakes a running broadcast', async () => {
  const broadcast = fanOut(driver, driver.plan({}), targets(5000));
  await expect.poll(() => apns.pushes.total, { timeout: 20_000 }).toBeGreaterThan(200);
  const before = apns.pushes.total;
  await fanOut(
    driver,
    driver.plan({}),
    targets(1, () => 'f1f1'),
    { urgent: true },
  );
  // Only what ran already, and what was answered in the same breath, came before it.
  expect(apns.pushes.total - before).toBeLessThan(300);
  expect((await broadcast).codes.every((code) => code === outcomeCode.delivered)).toBe(true);
});
