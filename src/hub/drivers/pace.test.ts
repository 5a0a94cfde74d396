import { expect, test } from 'vitest';
import { Pace } from './pace.ts';

/** How many pushes go out in each second, if everybody waits as told. */
function perSecond(pace: Pace, clock: { now: number }, seconds: number): number[] {
  const counts: number[] = [];
  for (let second = 0; second < seconds; second += 1) {
    const end = clock.now + 1000;
    let count = 0;
    while (clock.now < end) {
      if (pace.waitMs() > 0) clock.now += pace.waitMs();
      else {
        pace.spend();
        count += 1;
      }
    }
    counts.push(count);
  }
  return counts;
}

test('the rate rises over a minute, stays, and rises again after a rest', () => {
  const clock = { now: 1_000_000 };
  const pace = new Pace(1_000, () => clock.now);
  const counts = perSecond(pace, clock, 90);
  expect(counts[1]).toBeGreaterThan(150);
  expect(counts[1]).toBeLessThan(300);
  expect(counts[30]).toBeGreaterThan(500);
  expect(counts[30]).toBeLessThan(700);
  for (const count of counts.slice(65)) expect(Math.abs(count - 1_000)).toBeLessThan(40);
  clock.now += 120_000;
  expect(perSecond(pace, clock, 3)[2]).toBeLessThan(300);
});

test('who is held back is told to how many a second, and that it is over', () => {
  const clock = { now: 0 };
  const pace = new Pace(1_000, () => clock.now);
  pace.spend();
  expect(pace.heldTo()).toBeUndefined();
  for (let i = 0; i < 300; i += 1) pace.spend();
  expect(pace.heldTo()).toBe(200);
  clock.now += 2_000;
  expect(pace.heldTo()).toBeUndefined();
});

test('who goes on regardless is counted', () => {
  const clock = { now: 0 };
  const pace = new Pace(1_000, () => clock.now);
  for (let i = 0; i < 1_200; i += 1) pace.spend();
  expect(pace.waitMs()).toBeGreaterThan(1_000);
});
