import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { lockTokenOf, tagOf, uuidBytes } from './lock-token.ts';

it('a lock token travels as .NET lays a GUID out, and comes back', () => {
  expect(tagOf('00112233-4455-6677-8899-aabbccddeeff').toString('hex')).toBe('33221100554477668899aabbccddeeff');
  expect(uuidBytes('00112233-4455-6677-8899-AABBCCDDEEFF').toString('hex')).toBe('00112233445566778899aabbccddeeff');
  for (let i = 0; i < 100; i++) {
    const token = randomUUID();
    expect(lockTokenOf(tagOf(token))).toBe(token);
  }
  expect(lockTokenOf(Buffer.alloc(4))).toBe('');
});
