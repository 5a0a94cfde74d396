import { createECDH, randomBytes } from 'node:crypto';
// @ts-expect-error the package brings no types
import ece from 'http_ece';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Encryption } from './encryption.ts';
import { isPublicKey } from './key-agreement.ts';
import { lengthOf, type Sealed, Sealer, trySeal } from './sealer.ts';

const privateKey = createECDH('prime256v1');
const keys = { p256dh: privateKey.generateKeys(), auth: randomBytes(16) };
const read = (body: Sealed): string =>
  ece.decrypt(body, { version: 'aes128gcm', privateKey, authSecret: keys.auth }).toString();

function seal(sealer: Sealer, text: string, more: { keys?: typeof keys; urgent?: boolean } = {}): Promise<Sealed> {
  return new Promise((done) => sealer.seal({ text, keys: more.keys ?? keys, urgent: more.urgent ?? false, done }));
}

test.each([0, 2])('with %i threads every message is sealed for its own browser', async (threads) => {
  const sealer = new Sealer(threads);
  const texts = Array.from({ length: 300 }, (_, i) => `grüße ${i}`);
  const bodies = await Promise.all(texts.map((text) => seal(sealer, text)));
  expect(bodies.map(read)).toEqual(texts);
  expect(sealer.threads > 0).toBe(threads > 0);
  expect(await seal(sealer, 'x', { keys: { ...keys, p256dh: Buffer.alloc(65, 4) } })).toBe('bad key');
  expect(read(await seal(sealer, 'after'))).toBe('after');
  await sealer.close();
});

test.each([0, 1])('with %i threads an urgent message overtakes, and a full queue says so', async (threads) => {
  const sealer = new Sealer(threads);
  const order: string[] = [];
  const note = (text: string, urgent = false): boolean =>
    sealer.seal({ text, keys, urgent, done: () => order.push(text) });
  let accepted = 1;
  while (note('normal')) accepted += 1;
  expect(accepted).toBeLessThan(400);
  note('urgent', true);
  await sealer.whenRoom();
  await expect.poll(() => order.length).toBe(accepted + 1);
  expect(order.indexOf('urgent')).toBeLessThan(130);
  await sealer.close();
});

test('the event loop goes on while messages are sealed', async () => {
  const sealer = new Sealer();
  let turns = 0;
  let sealed = 0;
  const turn = (): void => {
    turns += 1;
    if (sealed < 400) setImmediate(turn);
  };
  for (let i = 0; i < 400; i += 1)
    sealer.seal({
      text: 'x',
      keys,
      urgent: false,
      done: () => {
        sealed += 1;
      },
    });
  turn();
  await expect.poll(() => sealed).toBe(400);
  // 400 messages are 40 ms of work at the very least, cut into slices of 4.
  expect(turns).toBeGreaterThan(5);
});

test('closing a sealer loses no message', async () => {
  const sealer = new Sealer(1);
  const bodies = Promise.all(Array.from({ length: 200 }, (_, i) => seal(sealer, String(i))));
  await sealer.close();
  expect((await bodies).map(read)).toHaveLength(200);
});

test('few messages start no thread', async () => {
  const sealer = new Sealer(2);
  expect(read(await seal(sealer, 'alone'))).toBe('alone');
  expect(sealer.threads).toBe(0);
  await sealer.close();
});

test('threads that have rested end, and come back when they are needed', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const sealer = new Sealer(1);
  const sealMany = () => Promise.all(Array.from({ length: 100 }, (_, i) => seal(sealer, String(i))));
  await sealMany();
  expect(sealer.threads).toBe(1);
  vi.advanceTimersByTime(20_000);
  await sealMany();
  vi.advanceTimersByTime(20_000);
  expect(sealer.threads).toBe(1);
  vi.advanceTimersByTime(20_000);
  expect(sealer.threads).toBe(0);
  expect((await sealMany()).map(read).at(-1)).toBe('99');
  expect(sealer.threads).toBe(1);
  await sealer.close();
});

test('a failure within is told apart from a key that can never do', async () => {
  const good = new Encryption();
  let failing = true;
  let rests = 0;
  const seals = {
    seal: (...given: Parameters<Encryption['seal']>) => {
      if (failing) throw new Error('out of memory');
      return good.seal(...given);
    },
    rest: () => {
      rests += 1;
      good.rest();
    },
  };
  const sealer = new Sealer(0, seals);
  const bad = { ...keys, p256dh: Buffer.alloc(65, 4) };
  expect(await seal(sealer, 'x')).toBe('failed');
  expect(await seal(sealer, 'x', { keys: bad })).toBe('bad key');
  expect(rests).toBeGreaterThan(0); // The next one begins with an agreement of its own.
  failing = false;
  expect(read(await seal(sealer, 'after'))).toBe('after');
  expect(await seal(sealer, 'x', { keys: bad })).toBe('bad key');
  await sealer.close();
  // A thread says the same by the lengths of bodies.
  const broken = {
    seal: (): never => {
      throw new Error('broken');
    },
    rest: () => {},
  };
  expect([keys, bad].map((each) => lengthOf(trySeal(broken, 'x', each)))).toEqual([-1, 0]);
});

test('public keys are points of the curve and nothing else', () => {
  const makeKey = () => createECDH('prime256v1').generateKeys();
  for (let i = 0; i < 50; i++) {
    const key = makeKey();
    expect(isPublicKey(key)).toBe(true);
    key[1 + (i % 64)]! ^= 1 << (i % 8);
    expect(isPublicKey(key)).toBe(false);
  }
  expect(isPublicKey(Buffer.concat([Buffer.from([2]), makeKey().subarray(1)]))).toBe(false);
  expect(isPublicKey(Buffer.alloc(65))).toBe(false);
  expect(isPublicKey(createECDH('secp256k1').generateKeys())).toBe(false);
});
