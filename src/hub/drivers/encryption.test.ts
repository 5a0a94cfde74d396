import { createECDH, createHmac, randomBytes } from 'node:crypto';
import fc from 'fast-check';
// @ts-expect-error the package brings no types
import ece from 'http_ece';
import { expect, test } from 'vitest';
import { Encryption, hmac } from './encryption.ts';
import { keyAgreement, NodeAgreement } from './key-agreement.ts';

const agreements = [
  ['the fastest', keyAgreement],
  ['node', () => new NodeAgreement()],
] as const;

const raw = (text: string): Buffer => Buffer.from(text, 'base64url');

test.each(agreements)('%s: the vector of RFC 8291 section 5 comes out byte by byte', (_, agreement) => {
  const encryption = new Encryption(agreement, raw('yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw'));
  const keys = {
    p256dh: raw('BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4'),
    auth: raw('BTBZMqHH6r4Tts7J_aSIgg'),
  };
  const body = encryption.seal('When I grow up, I want to be a watermelon', keys, raw('DGv6ra1nlYgDCS1FRnbzlw'));
  expect(body.toString('base64url')).toBe(
    'DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN',
  );
});

function browser(): { readonly keys: { p256dh: Buffer; auth: Buffer }; open(body: Buffer): Buffer } {
  const privateKey = createECDH('prime256v1');
  const p256dh = privateKey.generateKeys();
  const auth = randomBytes(16);
  return {
    keys: { p256dh, auth },
    open: (body) => ece.decrypt(body, { version: 'aes128gcm', privateKey, authSecret: auth }),
  };
}

test.each(agreements)('%s: whatever the text, another implementation reads it', (_, agreement) => {
  const encryption = new Encryption(agreement);
  const { keys, open } = browser();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3993 }), (bytes) => {
      expect(open(encryption.seal(Buffer.from(bytes), keys)).equals(Buffer.from(bytes))).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test('every message has a sender key and a salt of its own, also after a rest', () => {
  const { keys, open } = browser();
  const encryption = new Encryption();
  const parts = Array.from({ length: 300 }, (_, i) => {
    if (i % 100 === 0) encryption.rest();
    const body = encryption.seal('x', keys);
    expect(open(body).toString()).toBe('x');
    return [body.toString('hex', 0, 16), body.toString('hex', 21, 86)];
  });
  expect(new Set(parts.map(([salt]) => salt)).size).toBe(300);
  expect(new Set(parts.map(([, key]) => key)).size).toBe(300);
});

test('our HMAC is HMAC', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.uint8Array({ maxLength: 200 }), (key, message) => {
      const expected = createHmac('sha256', key).update(message).digest();
      expect(hmac(Buffer.from(key), Buffer.from(message)).equals(expected)).toBe(true);
    }),
  );
});

test('a key that is no point of the curve is an error, not a push in clear', () => {
  const { keys } = browser();
  const p256dh = Buffer.from(keys.p256dh);
  p256dh[40]! ^= 1;
  expect(() => new Encryption().seal('x', { ...keys, p256dh })).toThrow();
});
