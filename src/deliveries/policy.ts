// How a lane behaves. Every number has a default that is right for a channel nobody has told us about.
import type { Backoff } from '../kit/backoff.ts';
import type { Rate } from '../kit/token-bucket.ts';

export type RetryPolicy = {
  readonly backoff: Backoff;
  /** Attempts that failed on their own account before a delivery is dead. */
  readonly maxAttempts: number;
  /** A delivery that is older than this is not tried again. Counted from when it was first due. */
  readonly maxAgeMs: number;
};

export type BreakerPolicy = {
  /** Waits between probes while the channel is down. */
  readonly probe: Backoff;
  /** Wait between probes where a human must act first. */
  readonly alarmProbeMs: number;
};

export type LanePolicy = {
  readonly retry: RetryPolicy;
  readonly breaker: BreakerPolicy;
  /** Deliveries per call of the channel; this many are tried again if the process dies during the call. */
  readonly batchSize: number;
  /** Calls of the channel at the same time. */
  readonly concurrency: number;
  /** A claim lapses after this; the lane renews it while the channel is at work. */
  readonly leaseMs: number;
  /** Of the whole channel on this node; undefined = as fast as the channel takes them. */
  readonly rate: Rate | undefined;
  /** Of each mail domain or push host on this node. */
  readonly domainRate: Rate | undefined;
  /** How long an idle lane waits before it looks again without having been woken: the safety net. */
  readonly pollMs: number;
};

const MINUTE = 60_000;

export const defaultPolicy: LanePolicy = {
  retry: { backoff: { baseMs: 10_000, capMs: 60 * MINUTE }, maxAttempts: 12, maxAgeMs: 72 * 60 * MINUTE },
  breaker: { probe: { baseMs: 1_000, capMs: 30_000 }, alarmProbeMs: 5 * MINUTE },
  batchSize: 50,
  concurrency: 4,
  leaseMs: 30_000,
  rate: undefined,
  domainRate: undefined,
  pollMs: 30_000,
};
