// A clock that a test moves: ten minutes of an outage pass at once, and what was due in between runs in its order.
import type { Clock } from '../../src/kit/clock.ts';

type Timer = { readonly at: number; readonly run: () => void };

export class ManualClock implements Clock {
  #now: number;
  readonly #timers = new Set<Timer>();

  constructor(start = Date.UTC(2026, 0, 1)) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Moves the time and runs the timers that come due on the way, each at its own time. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.run();
    }
    this.#now = end;
  }

  /** When the next timer is due; undefined if there is none. */
  nextTimer(): number | undefined {
    return [...this.#timers].map((timer) => timer.at).sort((a, b) => a - b)[0];
  }

  get timers(): number {
    return this.#timers.size;
  }

  #next(end: number): Timer | undefined {
    return [...this.#timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
  }
}
