import { expect, test } from 'vitest';
import { retryAfterMs } from './retry-after.ts';

test('seconds, fractions of them and dates, and nothing that is neither', () => {
  const now = Date.parse('2026-11-22T10:00:00Z');
  const read = (value: string | null | undefined) => retryAfterMs(value, now);
  expect(['3', ' 0.5 ', '0', 'Sun, 22 Nov 2026 10:00:02 GMT', 'Sun, 22 Nov 2026 09:00:00 GMT'].map(read)).toEqual([
    3000, 500, 0, 2000, 0,
  ]);
  expect([undefined, null, '', 'soon'].map(read)).toEqual([undefined, undefined, undefined, undefined]);
});
