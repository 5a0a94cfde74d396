// A delivery's life:
//   pending --claim--> sending --delivered--> delivered
//                         |-----retry-------> pending (due later)
//                         |-----down--------> pending (due at once, not counted; the lane waits instead)
//                         |-----paced-------> pending (due when it may be sent; not counted)
//                         |-----gone--------> dropped (the address is dead: prune it)
//                         |-----refused-----> dead (kept, with its cause, until redriven)
//                         `-----lease lapsed> claimed again, counted as a failure
//   retry that is one too many -> dead (exhausted); retry or down past the age limit -> dead (expired)
// Pure: the clock and the dice come in as arguments.
import { backoffMs } from '../kit/backoff.ts';
import type { ClaimedDelivery, Outcome } from './channel.ts';
import type { RetryPolicy } from './policy.ts';

export type DeathReason = 'refused' | 'exhausted' | 'expired';

/** What becomes of a delivery. `back` gives it back untried: nothing is recorded and nothing counts. */
export type Verdict =
  | { readonly kind: 'delivered'; readonly providerId: string | undefined }
  | { readonly kind: 'retry'; readonly dueAt: Date; readonly cause: string; readonly detail: string | undefined }
  | { readonly kind: 'back'; readonly dueAt: Date | undefined; readonly cause: string | undefined }
  | { readonly kind: 'dropped'; readonly cause: string; readonly detail: string | undefined }
  | {
      readonly kind: 'dead';
      readonly reason: DeathReason;
      readonly cause: string;
      readonly detail: string | undefined;
    };

/** Decides what becomes of a delivery after one attempt. `dice` is in [0, 1). */
export function judge(
  delivery: Pick<ClaimedDelivery, 'failures' | 'plannedFor'>,
  outcome: Outcome,
  policy: RetryPolicy,
  now: Date,
  dice: number,
): Verdict {
  switch (outcome.kind) {
    case 'delivered':
      return { kind: 'delivered', providerId: outcome.providerId };
    case 'gone':
      return { kind: 'dropped', cause: outcome.cause, detail: outcome.detail };
    case 'refused':
      return { kind: 'dead', reason: 'refused', cause: outcome.cause, detail: outcome.detail };
    case 'down':
      return past(now.getTime(), delivery, policy)
        ? { kind: 'dead', reason: 'expired', cause: outcome.cause, detail: outcome.detail }
        : { kind: 'back', dueAt: undefined, cause: outcome.cause };
    case 'paced':
      return past(now.getTime(), delivery, policy)
        ? { kind: 'dead', reason: 'expired', cause: outcome.cause, detail: undefined }
        : { kind: 'back', dueAt: new Date(now.getTime() + outcome.retryAfterMs), cause: outcome.cause };
    case 'retry':
      return judgeRetry(delivery, outcome, policy, now, dice);
  }
}

/** What becomes of a claimed delivery before any attempt: dead if its earlier workers all died over it. */
export function judgeClaim(delivery: Pick<ClaimedDelivery, 'failures'>, policy: RetryPolicy): Verdict | undefined {
  if (delivery.failures < policy.maxAttempts) return undefined;
  return { kind: 'dead', reason: 'exhausted', cause: 'lease_lapsed', detail: 'Every worker that took it disappeared.' };
}

function judgeRetry(
  delivery: Pick<ClaimedDelivery, 'failures' | 'plannedFor'>,
  outcome: Extract<Outcome, { kind: 'retry' }>,
  policy: RetryPolicy,
  now: Date,
  dice: number,
): Verdict {
  const { cause, detail } = outcome;
  const failures = delivery.failures + 1;
  if (failures >= policy.maxAttempts) return { kind: 'dead', reason: 'exhausted', cause, detail };
  const due = now.getTime() + (outcome.retryAfterMs ?? backoffMs(failures, policy.backoff, dice));
  if (past(due, delivery, policy)) return { kind: 'dead', reason: 'expired', cause, detail };
  return { kind: 'retry', dueAt: new Date(due), cause, detail };
}

function past(time: number, delivery: Pick<ClaimedDelivery, 'plannedFor'>, policy: RetryPolicy): boolean {
  return time - delivery.plannedFor.getTime() > policy.maxAgeMs;
}
