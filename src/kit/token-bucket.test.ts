import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TokenBucket } from './token-bucket.ts';

describe('token bucket', () => {
  it('never lets more through than the burst and the rate allow, however it is asked', () => {
    const steps = fc.array(fc.record({ waitMs: fc.nat(5_000), ask: fc.integer({ min: 1, max: 20 }) }));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 100 }), steps, (burst, rate, asked) => {
        const bucket = new TokenBucket({ burst, ratePerSecond: rate }, 0);
        let now = 0;
        let taken = 0;
        for (const { waitMs, ask } of asked) {
          now += waitMs;
          if (bucket.take(ask, now)) taken += ask;
          expect(taken).toBeLessThanOrEqual(burst + (now / 1000) * rate + 1e-3);
        }
      }),
    );
  });

  it('has the tokens at the time that it named, and not before', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 500 }), (count, rate) => {
        const bucket = new TokenBucket({ burst: 10, ratePerSecond: rate }, 0);
        bucket.take(10, 0);
        const wait = bucket.readyInMs(count, 0);
        expect(bucket.available(Math.max(0, wait - 2))).toBeLessThan(count);
        expect(bucket.take(count, wait)).toBe(true);
      }),
    );
  });

  it('takes all or nothing', () => {
    const bucket = new TokenBucket({ burst: 3, ratePerSecond: 1 }, 0);
    expect(bucket.take(4, 0)).toBe(false);
    expect(bucket.available(0)).toBe(3);
  });

  it('gains nothing from a clock that goes backwards and forwards again', () => {
    const bucket = new TokenBucket({ burst: 5, ratePerSecond: 1 }, 10_000);
    bucket.take(5, 10_000);
    expect(bucket.available(0)).toBe(0);
    expect(bucket.available(10_000)).toBe(0);
    expect(bucket.available(11_000)).toBe(1);
  });
});
