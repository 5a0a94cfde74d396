// An answer that is dear to find and may be a little old: it is asked for only while somebody wants it, and so seldom that
// asking takes a hundredth of the time at most. A table that grows is counted less often, not at greater cost.

const share = 0.01;
const atLeastMs = 500;
/** What is found so quickly is waited for; else the older answer serves while the next one is found. */
const quickMs = 50;

export type Answered<T> = { readonly value: T; readonly at: Date };

export class SlowAnswer<T> {
  readonly #ask: () => Promise<T>;
  readonly #clock: () => number;
  #last: Answered<T> | undefined;
  #tookMs = 0;
  #askedAt = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | undefined;

  /** `clock` in milliseconds, steady. */
  constructor(ask: () => Promise<T>, clock: () => number = () => performance.now()) {
    this.#ask = ask;
    this.#clock = clock;
  }

  /** Undefined while the first answer is being found. */
  async peek(): Promise<Answered<T> | undefined> {
    const asking = this.#askIfDue();
    if (this.#tookMs <= quickMs && this.#last !== undefined) await asking;
    return this.#last;
  }

  /** Waits for the first answer. Throws what that threw. */
  async read(): Promise<Answered<T>> {
    const known = await this.peek();
    if (known !== undefined) return known;
    await this.#asking;
    if (this.#last === undefined) throw this.#failure;
    return this.#last;
  }

  #failure: unknown;

  #askIfDue(): Promise<void> | undefined {
    const ageMs = this.#clock() - this.#askedAt;
    if (ageMs >= Math.max(atLeastMs, this.#tookMs / share)) this.#asking ??= this.#askNow();
    return this.#asking;
  }

  /** When it fails the older answer stands, whose time tells its age. */
  async #askNow(): Promise<void> {
    const begun = this.#clock();
    try {
      const value = await this.#ask();
      this.#tookMs = this.#clock() - begun;
      this.#last = { value, at: new Date() };
    } catch (error) {
      this.#failure = error;
    } finally {
      this.#askedAt = this.#clock();
      this.#asking = undefined;
    }
  }
}
