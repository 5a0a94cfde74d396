import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs } from './backoff.ts';

const dice = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe('back-off', () => {
  it('stays below its doubling end and below its cap', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5_000 }), dice, (failures, thrown) => {
        const wait = backoffMs(failures, { baseMs: 100, capMs: 60_000 }, thrown);
        expect(wait).toBeGreaterThanOrEqual(0);
        expect(wait).toBeLessThan(Math.min(60_000, 100 * 2 ** (failures - 1)) + 1e-9);
      }),
    );
  });

  it('spreads over the whole interval', () => {
    expect(backoffMs(3, { baseMs: 100, capMs: 60_000 }, 0)).toBe(0);
    expect(backoffMs(3, { baseMs: 100, capMs: 60_000 }, 0.5)).toBe(200);
  });
});
