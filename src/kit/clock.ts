// Time as an argument: whoever waits or measures takes a clock, so that a test can move it by ten minutes at once.

export type Clock = {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls `run` once, `ms` from now. Returns what cancels it; cancelling late does nothing. */
  after(ms: number, run: () => void): () => void;
};

const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, Math.min(Math.max(ms, 0), LONGEST_TIMER_MS));
    return () => clearTimeout(timer);
  },
};
