// How fast a service may be pushed to: so many a second, and after a rest not at once but rising over a minute, as Firebase
// asks for ("Scale your FCM sends": ramp up, no spikes). Nothing is refused here: who goes on regardless is counted and
// makes the others wait longer.

const rampMs = 60_000;
/** What may be sent at once, in seconds of the rate. */
const burstSeconds = 0.2;
const startShare = 0.2;
const heldLatelyMs = 2_000;

export class Pace {
  readonly #perSecond: number;
  readonly #now: () => number;
  #left: number;
  #at: number;
  #startedAt: number;
  #heldAt = Number.NEGATIVE_INFINITY;

  constructor(perSecond: number, now: () => number) {
    this.#perSecond = perSecond;
    this.#now = now;
    this.#at = now();
    this.#startedAt = this.#at;
    this.#left = perSecond * burstSeconds;
  }

  /** Counts one push. False: wait before the next one. */
  spend(): boolean {
    this.#refill();
    this.#left -= 1;
    if (this.#left < 1) this.#heldAt = this.#at;
    return this.#left >= 1;
  }

  /** So many a second, while that holds somebody back; undefined when nobody had to wait lately. */
  heldTo(): number | undefined {
    return this.#now() - this.#heldAt < heldLatelyMs ? Math.round(this.#rate()) : undefined;
  }

  /** Until there is room for a few; 0 if there is. */
  waitMs(): number {
    this.#refill();
    return this.#left >= 1 ? 0 : Math.ceil(((10 - this.#left) / this.#rate()) * 1000);
  }

  #rate(): number {
    const share = startShare + ((this.#at - this.#startedAt) / rampMs) * (1 - startShare);
    return this.#perSecond * Math.min(1, share);
  }

  #refill(): void {
    const now = this.#now();
    if (now - this.#at > rampMs) this.#startedAt = now;
    const gained = (Math.max(0, now - this.#at) / 1000) * this.#rate();
    this.#left = Math.min(this.#perSecond * burstSeconds, this.#left + gained);
    this.#at = Math.max(this.#at, now);
  }
}
