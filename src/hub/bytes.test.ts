import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Bytes, copyBytes, crc32Of, sameBytes } from './bytes.ts';

const text = fc.string({ unit: 'binary', maxLength: 60 });

test('pieces stand one after the other, however long they are and whatever they hold', () => {
  fc.assert(
    fc.property(fc.array(text, { maxLength: 20 }), (texts) => {
      const out = new Bytes(1);
      for (const each of texts) {
        const piece = Bytes.of(each);
        out.append(piece);
        out.byte(0x2c);
        out.text(each);
      }
      const whole = texts.map((each) => `${each},${each}`).join('');
      expect(out.slice(0, out.length)).toBe(Buffer.from(whole).toString());
    }),
  );
});

test('a copy leaves alone what is before it, and stays where it was put', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(40), fc.nat(40), (given, a, b) => {
      const from = new Bytes(40);
      from.buffer.set(given);
      const [start, end] = [Math.min(a, b, given.length), Math.min(Math.max(a, b), given.length)];
      const to = new Bytes(60);
      to.buffer.fill(7);
      copyBytes(from, start, end, to, 20);
      expect([...to.buffer.subarray(0, 20)]).toEqual(new Array(20).fill(7));
      expect([...to.buffer.subarray(20, 20 + end - start)]).toEqual([...given.subarray(start, end)]);
    }),
  );
});

test('two pieces are the same when each byte is', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 20 }), fc.nat(19), fc.nat(3), (given, changed, at) => {
      const [a, b] = [new Bytes(40), new Bytes(40)];
      a.buffer.fill(1).set(given, 0);
      b.buffer.fill(2).set(given, at);
      expect(sameBytes(a, 0, given.length, b, at)).toBe(true);
      b.buffer[at + (changed % given.length)]! ^= 0x80;
      expect(sameBytes(a, 0, given.length, b, at)).toBe(false);
    }),
  );
});

test('the CRC is that of zlib', () => {
  fc.assert(
    fc.property(text, fc.nat(9), (given, before) => {
      const bytes = Bytes.of('x'.repeat(before) + given);
      expect(crc32Of(bytes, before, bytes.length)).toBe(crc32(Buffer.from(given)));
    }),
  );
});
