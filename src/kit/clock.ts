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

/** Milliseconds since some moment, at the pace of time: deadlines kept on it do not move when somebody sets the clock. */
export function steadyNow(): number {
  return performance.now();
}

/** The time of day (milliseconds since 1970), as of now, at which the steady clock will show `at`. */
export function wallTimeOf(at: number): number {
  return Date.now() + (at - performance.now());
}
