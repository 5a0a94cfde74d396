import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Windows } from './windows.ts';

const teams = [
  { count: 7, withinMs: 1_000 },
  { count: 8, withinMs: 2_000 },
  { count: 60, withinMs: 30_000 },
];

test('whatever comes when, no window ever holds more than it may', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 900 }), { maxLength: 150 }), (waits) => {
      const windows = new Windows(teams);
      const sent: number[] = [];
      let now = 0;
      for (const wait of waits) {
        now = Math.max(now + wait, windows.next('chat', now + wait));
        windows.sent('chat', now);
        sent.push(now);
      }
      for (const { count, withinMs } of teams)
        for (const from of sent)
          expect(sent.filter((at) => at >= from && at < from + withinMs).length).toBeLessThanOrEqual(count);
    }),
    { numRuns: 100 },
  );
});

test('a crowd that has to wait is told to come back one after the other', () => {
  const windows = new Windows(teams);
  for (let i = 0; i < 7; i++) windows.sent('chat', 0);
  expect(windows.next('chat', 0)).toBe(1_000);
  const slots = Array.from({ length: 3 }, () => windows.promise('chat', 0));
  expect(slots).toEqual([1_000, 2_000, 2_000]); // the eighth within two seconds, then those after it
  expect(windows.next('other', 0)).toBe(0);
});
