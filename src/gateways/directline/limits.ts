// How often one caller may do something, on this node. Buckets that are full again are forgotten.
import { Refusal } from '../../kit/refusal.ts';
import { type Rate, TokenBucket } from '../../kit/token-bucket.ts';

const SWEEP_ABOVE = 10_000;

export class Limiter {
  readonly #rate: Rate;
  readonly #what: string;
  readonly #buckets = new Map<string, TokenBucket>();
  #sweepAt = SWEEP_ABOVE;

  /** `what` completes "Too many ...". */
  constructor(what: string, rate: Rate) {
    this.#what = what;
    this.#rate = rate;
  }

  /** Refuses (`too_many_requests`, with the seconds to wait) what is too much. */
  take(key: string, now = performance.now()): void {
    let bucket = this.#buckets.get(key);
    if (!bucket) {
      this.#sweep(now);
      bucket = new TokenBucket(this.#rate, now);
      this.#buckets.set(key, bucket);
    }
    if (bucket.take(1, now)) return;
    const retryAfterSeconds = Math.max(1, Math.ceil(bucket.readyInMs(1, now) / 1000));
    throw new Refusal('too_many_requests', `Too many ${this.#what}; wait ${retryAfterSeconds} s.`, {
      retryAfterSeconds,
    });
  }

  #sweep(now: number): void {
    if (this.#buckets.size < this.#sweepAt) return;
    for (const [key, bucket] of this.#buckets) if (bucket.available(now) >= this.#rate.burst) this.#buckets.delete(key);
    this.#sweepAt = Math.max(SWEEP_ABOVE, this.#buckets.size * 2);
  }
}
