import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Outcome } from './channel.ts';
import { judge, judgeClaim } from './judge.ts';
import type { RetryPolicy } from './policy.ts';

const policy: RetryPolicy = { backoff: { baseMs: 1_000, capMs: 60_000 }, maxAttempts: 5, maxAgeMs: 3_600_000 };
const NOW = new Date('2026-01-01T00:00:00Z');
const fresh = { failures: 0, plannedFor: NOW };

const text = fc.string({ maxLength: 5 });
const wait = fc.option(fc.nat(10_000_000), { nil: undefined });
const outcome: fc.Arbitrary<Outcome> = fc.oneof(
  fc.record({ kind: fc.constant('delivered' as const), providerId: fc.option(text, { nil: undefined }) }),
  fc.record({ kind: fc.constant('retry' as const), cause: text, retryAfterMs: wait }),
  fc.record({ kind: fc.constant('gone' as const), cause: text }),
  fc.record({ kind: fc.constant('refused' as const), cause: text }),
  fc.record({ kind: fc.constant('down' as const), cause: text }),
  fc.record({ kind: fc.constant('paced' as const), cause: text, retryAfterMs: fc.nat(10_000_000) }),
);
const dice = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const delivery = fc.record({
  failures: fc.nat(4),
  plannedFor: fc.nat(7_200_000).map((age) => new Date(NOW.getTime() - age)),
});

describe('judging an attempt', () => {
  it('ends or comes back within its age: whatever happens, no delivery lives for ever', () => {
    fc.assert(
      fc.property(delivery, outcome, dice, (given, came, thrown) => {
        const verdict = judge(given, came, policy, NOW, thrown);
        if (verdict.kind === 'retry') {
          expect(verdict.dueAt.getTime()).toBeGreaterThanOrEqual(NOW.getTime());
          expect(verdict.dueAt.getTime() - given.plannedFor.getTime()).toBeLessThanOrEqual(policy.maxAgeMs);
          expect(given.failures + 1).toBeLessThan(policy.maxAttempts);
        }
        if (verdict.kind === 'back') {
          expect(NOW.getTime() - given.plannedFor.getTime()).toBeLessThanOrEqual(policy.maxAgeMs);
        }
      }),
    );
  });

  it('never turns a success into anything else, nor a failure into a success', () => {
    fc.assert(
      fc.property(delivery, outcome, dice, (given, came, thrown) => {
        const verdict = judge(given, came, policy, NOW, thrown);
        expect(verdict.kind === 'delivered').toBe(came.kind === 'delivered');
        expect(verdict.kind === 'dropped').toBe(came.kind === 'gone');
      }),
    );
  });

  it('gives back what was paced for its time, and counts nothing', () => {
    const paced = { kind: 'paced', cause: 'paced', retryAfterMs: 5_000 } as const;
    const due = new Date(NOW.getTime() + 5_000);
    expect(judge({ ...fresh, failures: 4 }, paced, policy, NOW, 0.5)).toEqual({
      kind: 'back',
      dueAt: due,
      cause: 'paced',
    });
  });

  it('waits exactly as long as the provider asked, whatever the back-off says', () => {
    const verdict = judge(fresh, { kind: 'retry', cause: 'busy', retryAfterMs: 123_456 }, policy, NOW, 0.9);
    expect(verdict).toMatchObject({ kind: 'retry', dueAt: new Date(NOW.getTime() + 123_456) });
  });

  it('waits by exponential back-off with full jitter otherwise', () => {
    const verdict = judge(
      { ...fresh, failures: 2 },
      { kind: 'retry', cause: 'busy', retryAfterMs: undefined },
      policy,
      NOW,
      0.5,
    );
    expect(verdict).toMatchObject({ kind: 'retry', dueAt: new Date(NOW.getTime() + 2_000) });
  });

  it('keeps a refused one with its cause', () => {
    const verdict = judge(fresh, { kind: 'refused', cause: 'smtp_550', detail: 'No.' }, policy, NOW, 0);
    expect(verdict).toEqual({ kind: 'dead', reason: 'refused', cause: 'smtp_550', detail: 'No.' });
  });

  it('gives up after the last attempt', () => {
    const verdict = judge({ ...fresh, failures: 4 }, { kind: 'retry', cause: 'busy', retryAfterMs: 1 }, policy, NOW, 0);
    expect(verdict).toMatchObject({ kind: 'dead', reason: 'exhausted', cause: 'busy' });
  });

  it('gives up when the next try would come too late, and when the channel was down for too long', () => {
    const late = { kind: 'retry' as const, cause: 'busy', retryAfterMs: policy.maxAgeMs + 1 };
    expect(judge(fresh, late, policy, NOW, 0)).toMatchObject({ kind: 'dead', reason: 'expired' });
    const old = { failures: 0, plannedFor: new Date(NOW.getTime() - policy.maxAgeMs - 1) };
    expect(judge(old, { kind: 'down', cause: 'refused' }, policy, NOW, 0)).toMatchObject({ reason: 'expired' });
  });

  it('ends a delivery whose workers all disappeared', () => {
    expect(judgeClaim({ failures: 4 }, policy)).toBeUndefined();
    expect(judgeClaim({ failures: 5 }, policy)).toMatchObject({ kind: 'dead', reason: 'exhausted' });
  });
});
