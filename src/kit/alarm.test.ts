import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Alarm } from './alarm.ts';

beforeEach(() => vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => vi.useRealTimers());

it('rings once, at the earliest time, and again only when it is set again', () => {
  const ring = vi.fn();
  const alarm = new Alarm(ring);
  for (const at of [1_000_300, 1_000_100, 1_000_200, Infinity]) alarm.set(at);
  vi.advanceTimersByTime(99);
  expect(ring).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1_000);
  expect(ring).toHaveBeenCalledTimes(1);
  alarm.set(0);
  vi.advanceTimersByTime(0);
  expect(ring).toHaveBeenCalledTimes(2);
});

it('looks at the clock again when it was set, and is silent when it was stopped', () => {
  const ring = vi.fn();
  const alarm = new Alarm(ring, 5);
  alarm.set(1_060_000);
  vi.setSystemTime(1_059_999);
  alarm.clockSet();
  vi.advanceTimersByTime(5);
  expect(ring).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(ring).toHaveBeenCalledTimes(1);
  alarm.set(0);
  alarm.stop();
  alarm.set(0);
  vi.advanceTimersByTime(100);
  expect(ring).toHaveBeenCalledTimes(1);
});
