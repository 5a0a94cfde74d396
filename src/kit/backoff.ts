// Exponential back-off with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): spreading over the
// whole interval keeps those that failed together from coming back together.

export type Backoff = {
  /** Upper end of the first wait, in milliseconds; it doubles with every further one. */
  readonly baseMs: number;
  readonly capMs: number;
};

/** Milliseconds to wait after failure number `failures` (1 is the first). `dice` is in [0, 1). */
export function backoffMs(failures: number, backoff: Backoff, dice: number): number {
  return dice * Math.min(backoff.capMs, backoff.baseMs * 2 ** Math.min(failures - 1, 52));
}
