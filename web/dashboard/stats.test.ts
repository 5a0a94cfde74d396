import { describe, expect, it } from 'vitest';
import { keep, publishedOf, rate, rates, recent, SAMPLES, type Stats } from './stats.ts';

function sample(second: number, published: number): Stats {
  const topics = [{ name: 'hr', published, subscriptions: [] }];
  const at = new Date(second * 1_000).toISOString();
  return { at, topics, notices: 0, deliveries: [], hubs: [], openStreams: 0, alone: true };
}

describe('rates', () => {
  it('are per second, also over a missed sample', () => {
    expect(rates([sample(0, 10), sample(1, 14), sample(3, 24)], publishedOf)).toEqual([4, 5]);
  });

  it('show nothing when the server began anew', () => {
    expect(rates([sample(0, 500), sample(1, 3)], publishedOf)).toEqual([0]);
  });

  it('are averaged over the last seconds, and read short', () => {
    expect(recent([100, 0, 0, 0, 5, 5])).toBe(2);
    expect(recent([])).toBe(0);
    expect([0, 0.04, 2, 12.4, 12_345].map(rate)).toEqual(['0', '<0.1', '2.0', '12', '12.3K']);
  });
});

describe('the history', () => {
  it('holds a minute, in order, each sample once', () => {
    const many = Array.from({ length: 100 }, (_, second) => sample(second, second));
    const kept = [...many, sample(99, 99), sample(50, 50)].reduce<readonly Stats[]>(keep, []);
    expect(kept).toHaveLength(SAMPLES);
    expect(kept.at(-1)).toEqual(sample(99, 99));
  });
});
