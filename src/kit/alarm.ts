// Rings once at the earliest of the times that it was told, by the clock of the wall.

/** Node's timers wait no longer; an alarm beyond it rings early, and whoever hears it looks again. */
const LONGEST_MS = 2 ** 31 - 1;

export class Alarm {
  readonly #ring: () => void;
  readonly #slackMs: number;
  #timer: NodeJS.Timeout | undefined;
  #at = Infinity;
  #stopped = false;

  /** `slackMs`: how much later it may ring, so that what is due at that time is due for sure. */
  constructor(ring: () => void, slackMs = 0) {
    this.#ring = ring;
    this.#slackMs = slackMs;
  }

  /** Something is due at `at` (milliseconds since 1970). Later than what it waits for already: nothing changes. */
  set(at: number): void {
    if (this.#stopped || at >= this.#at) return;
    clearTimeout(this.#timer);
    this.#at = at;
    const wait = Math.min(Math.max(at - Date.now(), 0) + this.#slackMs, LONGEST_MS);
    this.#timer = setTimeout(() => {
      this.#at = Infinity;
      this.#ring();
    }, wait).unref();
  }

  /** The clock was set: what is due next may be so sooner or later than it seemed. */
  clockSet(): void {
    const at = this.#at;
    this.#at = Infinity;
    this.set(at);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }
}
