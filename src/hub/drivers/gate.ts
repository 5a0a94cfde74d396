// The gate in front of a lane (one platform of one hub). Wrong credentials close it: every further push would fail, some services count
// failures against us, and no device is to blame. One push at a time is let through as a probe; the first good answer opens the gate.
//
//   open --bad credentials--> stopped --after probeAfterMs--> one probe --good answer--> open
//                                `--------------- bad again ----------------'
//   open --throttled, thrice in a row--> paused --after the time that the service named--> open
// Until a push has been answered well nobody knows whether the credentials are good: who asks for room waits for the first
// answer, so that a broadcast does not send a thousand pushes along with one that is refused.
// A single throttled push may be about its device; only when nobody gets through is it about us.

import type { LaneState, Platform, PushOutcome, PushSignal } from './driver.ts';

const defaultProbeAfterMs = 60_000;
const throttledInARow = 3;

export class Gate {
  readonly #platform: Platform;
  readonly #emit: (signal: PushSignal) => void;
  readonly #now: () => number;
  readonly #probeAfterMs: number;
  #cause: string | undefined;
  #stoppedAt = 0;
  #probeAt = 0;
  #throttled = 0;
  #trusted = false;
  readonly #waiting: (() => void)[] = [];
  #pausedUntil = 0;
  #pauseCause = '';

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

  /** Whether a push has been answered well since the last refusal. */
  get trusted(): boolean {
    return this.#trusted;
  }

  /** Resolves at once when the credentials are known to be good, or bad; else with the next answer, whatever it is. */
  decided(): Promise<void> {
    if (this.#trusted || this.#cause !== undefined) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** To be called after every push that was let through, when it has come to something. */
  heard(): void {
    if (this.#waiting.length > 0) for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** The outcome of a push that is not let through; undefined lets it through. */
  closed(): PushOutcome | undefined {
    if (this.#cause === undefined) return this.#pausedUntil === 0 ? undefined : this.#paused();
    const waitMs = this.#probeAt - this.#now();
    if (waitMs > 0) return { kind: 'down', cause: this.#cause, alarm: true, retryAfterMs: waitMs };
    this.#probeAt = this.#now() + this.#probeAfterMs;
    return undefined;
  }

  state(): LaneState {
    const now = this.#now();
    if (this.#cause !== undefined) {
      const [since, until] = [new Date(this.#stoppedAt), new Date(Math.max(this.#probeAt, now))];
      return { kind: 'stopped', cause: this.#cause, since, until };
    }
    if (this.#pausedUntil > now) return { kind: 'paused', cause: this.#pauseCause, until: new Date(this.#pausedUntil) };
    return { kind: this.#trusted ? 'running' : 'untried' };
  }

  /** Stops the lane; the alarm sounds once per cause. Returns the outcome of the push that met it. */
  stop(cause: string): PushOutcome {
    if (this.#cause === undefined) this.#stoppedAt = this.#now();
    if (this.#cause !== cause) this.#emit({ name: 'push.lane-stopped', platform: this.#platform, cause });
    this.#cause = cause;
    this.#trusted = false;
    this.#probeAt = this.#now() + this.#probeAfterMs;
    return { kind: 'down', cause, alarm: true, retryAfterMs: this.#probeAfterMs };
  }

  /** The service wants to hear nothing for so long. Returns the outcome of the push that met it. */
  pause(cause: string, ms: number): PushOutcome {
    const known = this.#pausedUntil > this.#now();
    this.#pauseCause = cause;
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#now() + ms);
    if (!known) this.#emit({ name: 'push.lane-paused', platform: this.#platform, cause, ms });
    return { kind: 'down', cause, alarm: false, retryAfterMs: ms };
  }

  /** The service called one push too many: that one may come again after `ms`. */
  throttle(cause: string, ms: number): PushOutcome {
    this.#throttled += 1;
    if (this.#throttled === throttledInARow) this.pause(cause, ms);
    return { kind: 'retry', cause, retryAfterMs: ms };
  }

  /** The service took a push. */
  taken(): void {
    this.#throttled = 0;
    this.open();
  }

  #paused(): PushOutcome | undefined {
    const waitMs = this.#pausedUntil - this.#now();
    if (waitMs > 0) return { kind: 'down', cause: this.#pauseCause, alarm: false, retryAfterMs: waitMs };
    this.#pausedUntil = 0;
    this.#throttled = 0;
    return undefined;
  }

  /** The service accepts us. */
  open(): void {
    this.#trusted = true;
    if (this.#cause === undefined) return;
    this.#cause = undefined;
    this.#emit({ name: 'push.lane-resumed', platform: this.#platform });
  }
}
