import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PropertyValue } from '../message.ts';
import { formatToken, parseToken } from '../receive/token.ts';
import { bitsOf, eachBit, hasBit } from './bits.ts';
import { Block, BlockWriter, decodeTally } from './block.ts';

const value: fc.Arbitrary<PropertyValue> = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary', maxLength: 60 }).filter((text) => text.isWellFormed()),
  fc.integer(),
  fc.double({ noNaN: true }),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.boolean(),
  fc.constant(null),
  fc.date({ noInvalidDate: true }),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
);
const optional = fc.option(fc.string({ minLength: 1, maxLength: 60 }), { nil: undefined });
const message = fc.record({
  messageId: fc.string({ minLength: 1 }),
  sessionId: optional,
  correlationId: optional,
  subject: optional,
  contentType: optional,
  bodyFormat: optional,
  timeToLiveMs: fc.option(fc.integer({ min: 1, max: 2 ** 40 }), { nil: undefined }),
  properties: fc.option(fc.dictionary(fc.string(), value), { nil: undefined }),
  body: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
});

describe('block', () => {
  it('gives back every message and whom it is for', () => {
    const some = fc.array(fc.tuple(message, fc.uniqueArray(fc.nat(70))), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(some, (records) => {
        const writer = new BlockWriter(16);
        for (const [each, bits] of records) writer.add(each, { bits: bitsOf(bits) });
        const { body, tally, index } = writer.finish();
        const place = { topic: 't', partition: 0, first: 5, enqueuedAt: new Date(1) };
        const block = new Block(place, body);
        expect(block.count).toBe(records.length);
        const counts = new Map<number, number>();
        for (const [i, [each, bits]] of records.entries()) {
          const { properties, ...rest } = block.message(i);
          expect(rest).toMatchObject({
            ...Object.fromEntries(Object.entries(each).filter(([name]) => name !== 'properties')),
            sequence: 5 + i,
          });
          expect(Object.entries(properties ?? {})).toEqual(Object.entries(each.properties ?? {}));
          for (const bit of bits) counts.set(bit, (counts.get(bit) ?? 0) + 1);
        }
        expect(new Map([...decodeTally(tally)].sort())).toEqual(new Map([...counts].sort()));
        for (const each of [block, new Block(place, body, index)])
          for (let bit = 0; bit < 71; bit++) expect(each.selectedBy(bit)).toBe(counts.get(bit) ?? 0);
      }),
    );
  });

  it('keeps bits apart', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(3000)), (members) => {
        const bits = bitsOf(members);
        const seen: number[] = [];
        eachBit(bits, (bit) => seen.push(bit));
        expect(seen).toEqual([...members].sort((a, b) => a - b));
        expect(members.every((bit) => hasBit(bits, bit))).toBe(true);
      }),
    );
  });
});

it('a lock token is a UUID that says what it locks', () => {
  const token = { part: 3, epoch: 70_000 & 0xffff, attempt: 2 ** 40 + 1, sequence: 3 * 2 ** 44 + 2 ** 43 };
  expect(formatToken(token)).toMatch(/^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/);
  expect(parseToken(formatToken(token))).toEqual(token);
  expect(parseToken('nonsense')).toBeUndefined();
});
