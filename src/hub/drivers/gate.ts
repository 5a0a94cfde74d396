// The gate in front of a lane (one platform of one hub). Wrong credentials close it: every further push would fail, some services count
// failures against us, and no device is to blame. One push at a time is let through as a probe; the first good answer opens the gate.
//
//   open --bad credentials--> stopped --after probeAfterMs--> one probe --good answer--> open
//                                `--------------- bad again ----------------'

import type { Platform, PushOutcome, PushSignal } from './driver.ts';

const defaultProbeAfterMs = 60_000;

export class Gate {
  readonly #platform: Platform;
  readonly #emit: (signal: PushSignal) => void;
  readonly #now: () => number;
  readonly #probeAfterMs: number;
  #cause: string | undefined;
  #probeAt = 0;

  constructor(
    platform: Platform,
    emit: (signal: PushSignal) => void,
    now: () => number,
    probeAfterMs = defaultProbeAfterMs,
  ) {
    this.#platform = platform;
    this.#emit = emit;
    this.#now = now;
    this.#probeAfterMs = probeAfterMs;
  }

  /** The outcome of a push that is not let through; undefined lets it through. */
  closed(): PushOutcome | undefined {
    if (this.#cause === undefined) return undefined;
    const waitMs = this.#probeAt - this.#now();
    if (waitMs > 0) return { kind: 'down', cause: this.#cause, alarm: true, retryAfterMs: waitMs };
    this.#probeAt = this.#now() + this.#probeAfterMs;
    return undefined;
  }

  /** Stops the lane; the alarm sounds once per cause. Returns the outcome of the push that met it. */
  stop(cause: string): PushOutcome {
    if (this.#cause !== cause) this.#emit({ name: 'push.lane-stopped', platform: this.#platform, cause });
    this.#cause = cause;
    this.#probeAt = this.#now() + this.#probeAfterMs;
    return { kind: 'down', cause, alarm: true, retryAfterMs: this.#probeAfterMs };
  }

  /** The service accepts us. */
  open(): void {
    if (this.#cause === undefined) return;
    this.#cause = undefined;
    this.#emit({ name: 'push.lane-resumed', platform: this.#platform });
  }
}
