// A token bucket: at most `burst` at once, `ratePerSecond` in the long run. It never looks at a clock itself.

export type Rate = { readonly ratePerSecond: number; readonly burst: number };

export class TokenBucket {
  readonly #rate: Rate;
  #tokens: number;
  #at: number;

  /** Starts full. `now` is in milliseconds here and everywhere below. */
  constructor(rate: Rate, now: number) {
    this.#rate = rate;
    this.#tokens = rate.burst;
    this.#at = now;
  }

  /** Tokens that can be taken now: a whole number. */
  available(now: number): number {
    this.#refill(now);
    // The small addition forgives what adding up fractions loses, else a wait of exactly one token could end at 0.99….
    return Math.floor(this.#tokens + 1e-6);
  }

  /** Takes `count` tokens, or none if there are not that many. */
  take(count: number, now: number): boolean {
    if (this.available(now) < count) return false;
    this.#tokens -= count;
    return true;
  }

  /** Milliseconds until `count` tokens (at most the burst) are there; 0 if they are. */
  readyInMs(count: number, now: number): number {
    if (this.available(now) >= count) return 0;
    return Math.ceil(((count - this.#tokens) / this.#rate.ratePerSecond) * 1000);
  }

  // A clock that went backwards refills nothing.
  #refill(now: number): void {
    const gained = (Math.max(0, now - this.#at) / 1000) * this.#rate.ratePerSecond;
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + gained);
    this.#at = Math.max(this.#at, now);
  }
}
