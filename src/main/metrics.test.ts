import { describe, expect, it } from 'vitest';
import { Metrics } from './metrics.ts';
import { Counters, Histogram } from './prometheus.ts';

describe('figures for Prometheus', () => {
  it('count what the rooms tell', () => {
    using metrics = new Metrics();
    const attempted = { name: 'delivery.attempted', channel: 'email', outcome: 'delivered', tookMs: 30 };
    metrics.listener({ name: 'topics.published', topic: 'hr', count: 3, duplicates: 1 } as never);
    metrics.listener(attempted as never);
    metrics.listener(attempted as never);
    metrics.listener({ name: 'lane.paused', channel: 'email', cause: 'x', alarm: false, forMs: 1 } as never);
    metrics.listener({ name: 'something.else' });
    const lines = metrics.text().split('\n');
    expect(lines).toContain('carillon_topic_published_total{topic="hr"} 3');
    expect(lines).toContain('carillon_topic_duplicates_total{topic="hr"} 1');
    expect(lines).toContain('carillon_delivery_attempts_total{channel="email",outcome="delivered"} 2');
    expect(lines).toContain('carillon_delivery_attempt_seconds_bucket{channel="email",le="0.05"} 2');
    expect(lines).toContain('carillon_faults_total{signal="lane.paused"} 1');
    expect(lines.find((line) => line.startsWith('process_resident_memory_bytes'))).toMatch(/ \d{7,}$/);
  });

  it('are in the exposition format: every line a comment or a sample', () => {
    using metrics = new Metrics();
    metrics.listener({ name: 'http.answered', method: 'GET', route: '/a"b\\c\n', status: 200, tookMs: 1 } as never);
    for (const line of metrics.text().trimEnd().split('\n'))
      expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{\w+="(\\.|[^"\\])*"(,\w+="(\\.|[^"\\])*")*\})? [\d.e+-]+)$/);
  });

  it('hold a bounded number of series', () => {
    const counters = new Counters('x_total', 'X.', ['id']);
    for (let i = 0; i < 5_000; i++) counters.add(1, `id${i}`);
    const samples = counters
      .text()
      .split('\n')
      .filter((line) => line.startsWith('x_total{'));
    expect(samples.length).toBeLessThanOrEqual(1_001);
    expect(samples.at(-1)).toBe('x_total{id="other"} 4000');
  });

  it('add up the buckets of a histogram', () => {
    const histogram = new Histogram('t_seconds', 'T.', []);
    for (const seconds of [0.0005, 0.004, 0.2, 99]) histogram.observe(seconds);
    const text = histogram.text();
    expect(text).toContain('t_seconds_bucket{le="0.005"} 2\n');
    expect(text).toContain('t_seconds_bucket{le="30"} 3\n');
    expect(text).toContain('t_seconds_bucket{le="+Inf"} 4\n');
    expect(text).toContain('t_seconds_count 4\n');
  });
});
