import { expect, test } from 'vitest';
import { SlowAnswer } from './slow-answer.ts';

/** An answer that counts how often it was asked for, and takes `tookMs` on a clock of its own. */
function slow(tookMs: number) {
  const clock = { now: 0, asked: 0, fails: false };
  const answer = new SlowAnswer(
    async () => {
      clock.asked += 1;
      clock.now += tookMs;
      if (clock.fails) throw new Error('away');
      return clock.asked;
    },
    () => clock.now,
  );
  return { clock, answer };
}

test('a quick answer is fresh when half a second has passed', async () => {
  const { clock, answer } = slow(1);
  expect((await answer.read()).value).toBe(1);
  clock.now += 400;
  expect((await answer.read()).value).toBe(1);
  clock.now += 100;
  expect((await answer.read()).value).toBe(2);
});

test('asking for a slow one takes a hundredth of the time: the older answer serves meanwhile', async () => {
  const { clock, answer } = slow(1_000);
  expect(await answer.peek()).toBeUndefined();
  expect((await answer.read()).value).toBe(1);
  for (let second = 0; second < 99; second += 1) {
    clock.now += 1_000;
    expect((await answer.read()).value).toBe(1);
  }
  expect(clock.asked).toBe(1);
  clock.now += 1_000;
  expect((await answer.peek())?.value).toBe(1);
  expect(clock.asked).toBe(2);
  expect((await answer.read()).value).toBe(2);
});

test('those who ask together share one asking', async () => {
  const { clock, answer } = slow(1);
  await Promise.all([answer.read(), answer.read(), answer.peek()]);
  expect(clock.asked).toBe(1);
});

test('an answer that cannot be found leaves the older one, and is looked for again; the first one is missed aloud', async () => {
  const { clock, answer } = slow(1);
  clock.fails = true;
  await expect(answer.read()).rejects.toThrow('away');
  clock.fails = false;
  clock.now += 500;
  expect((await answer.read()).value).toBe(2);
  clock.fails = true;
  clock.now += 500;
  expect((await answer.read()).value).toBe(2);
});
