import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Ranges, toRanges } from './ranges.ts';

const numbers = fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 60 });

it('ranges hold exactly what was added, whatever the order', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(50), fc.nat(6)), { maxLength: 20 }), (spans) => {
      const ranges = new Ranges();
      const plain = new Set<number>();
      for (const [start, length] of spans) {
        ranges.add(start, start + length);
        for (let n = start; n < start + length; n++) plain.add(n);
      }
      expect(ranges.size).toBe(plain.size);
      for (let n = 0; n < 60; n++) {
        expect(ranges.has(n)).toBe(plain.has(n));
        let next = n;
        while (plain.has(next)) next++;
        expect(ranges.nextOutside(n)).toBe(next);
      }
      const { list } = ranges;
      for (let i = 1; i < list.length; i++) expect(list[i]!.start).toBeGreaterThan(list[i - 1]!.end);
    }),
  );
});

it('toRanges covers its numbers and nothing else', () => {
  fc.assert(
    fc.property(numbers, (sequences) => {
      const covered = toRanges(sequences).flatMap(({ start, end }) =>
        Array.from({ length: end - start }, (_, i) => start + i),
      );
      expect(covered).toEqual([...new Set(sequences)].sort((a, b) => a - b));
    }),
  );
});
