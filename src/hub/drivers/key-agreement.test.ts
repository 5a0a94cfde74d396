import { createECDH } from 'node:crypto';
import { afterAll, expect, test } from 'vitest';
import { DirectAgreement, keyAgreement, NodeAgreement } from './key-agreement.ts';

const direct = keyAgreement();
const agreements = [direct, new NodeAgreement()].map((agreement) => [agreement.constructor.name, agreement] as const);
afterAll(() => direct.close());

test('where the tests run, OpenSSL is called directly', () => {
  expect(direct).toBeInstanceOf(DirectAgreement);
});

test.each(agreements)('%s: both sides come to the same secret, with a new key pair each time', (_, agreement) => {
  const keys = Array.from({ length: 300 }, () => {
    const browser = createECDH('prime256v1');
    const peer = browser.generateKeys();
    const publicKey = agreement.renew();
    expect(agreement.secretWith(peer).equals(browser.computeSecret(publicKey))).toBe(true);
    return publicKey.toString('hex');
  });
  expect(new Set(keys).size).toBe(300);
});

test.each(agreements)('%s: what is no public key of the curve is refused, and breaks nothing', (_, agreement) => {
  const browser = createECDH('prime256v1');
  const peer = browser.generateKeys();
  const besides = Buffer.from(peer);
  besides[40]! ^= 1;
  const publicKey = agreement.renew();
  for (const wrong of [
    besides,
    Buffer.alloc(65),
    Buffer.alloc(65, 4),
    Buffer.alloc(1),
    peer.subarray(1),
    Buffer.alloc(0),
  ])
    expect(() => agreement.secretWith(wrong)).toThrow();
  expect(agreement.secretWith(peer).equals(browser.computeSecret(publicKey))).toBe(true);
});

test('who has closed it, or has made no key pair, gets an error and not what lay in memory', () => {
  const peer = createECDH('prime256v1').generateKeys();
  const agreement = keyAgreement();
  expect(() => agreement.secretWith(peer)).toThrow();
  agreement.renew();
  agreement.close();
  agreement.close();
  expect(() => agreement.secretWith(peer)).toThrow();
  expect(() => agreement.renew()).toThrow();
});

test('closing gives back all that was taken: memory does not grow', () => {
  const afterMany = (): number => {
    for (let i = 0; i < 40_000; i += 1) keyAgreement().close();
    return process.memoryUsage().rss;
  };
  afterMany();
  const before = afterMany();
  expect(afterMany() - before).toBeLessThan(3_000_000);
});
