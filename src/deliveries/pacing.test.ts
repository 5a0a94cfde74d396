import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DomainPacer, domainOf } from './pacing.ts';

describe('pacing by domain', () => {
  it('sends at the rate of the domain and gives each of the rest a time of its own', () => {
    const pacer = new DomainPacer({ ratePerSecond: 10, burst: 2 });
    const times = Array.from({ length: 5 }, () => pacer.admit('a@example.org', 0));
    expect(times).toEqual([undefined, undefined, 100, 200, 300]);
  });

  it('lets those that come back at their time through, each once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 60 }), (burst, count) => {
        const pacer = new DomainPacer({ ratePerSecond: 10, burst });
        const slots = Array.from({ length: count }, () => pacer.admit('x@example.org', 0)).filter(
          (at) => at !== undefined,
        );
        expect(slots).toHaveLength(Math.max(0, count - burst));
        for (const slot of slots) expect(pacer.admit('x@example.org', slot)).toBeUndefined();
      }),
    );
  });

  it('does not let one domain wait for another', () => {
    const pacer = new DomainPacer({ ratePerSecond: 1, burst: 1 });
    expect(pacer.admit('a@one.example', 0)).toBeUndefined();
    expect(pacer.admit('a@one.example', 0)).toBe(1_000);
    expect(pacer.admit('a@two.example', 0)).toBeUndefined();
  });

  it('knows the domain of an address and the host of a push endpoint', () => {
    expect(domainOf('"a@b"@Example.ORG')).toBe('example.org');
    expect(domainOf('https://push.example.org:8443/x?y=a@b')).toBe('push.example.org:8443');
    expect(domainOf('some-device')).toBeUndefined();
    expect(domainOf(null)).toBeUndefined();
  });
});
