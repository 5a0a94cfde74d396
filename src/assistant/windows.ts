// Limits of the kind "so many within so long", several at once, as Teams has them per conversation: 7 in a second, 8 in
// two, 60 in 30 and 1,800 in an hour. Exact: the times of what was sent are kept, as many as the largest limit counts.
// What does not fit now is not held in memory but told when to come back: one slot behind the last one told, so that
// each of a crowd comes back about once.

export type Limit = { readonly count: number; readonly withinMs: number };

type Key = { readonly sent: number[]; promised: number[] };

/** Keys remembered at most; the longest unused one is forgotten, which at worst lets one burst more through. */
const KEYS = 10_000;

export class Windows {
  readonly #limits: readonly Limit[];
  readonly #most: number;
  readonly #keys = new Map<string, Key>();

  constructor(limits: readonly Limit[]) {
    this.#limits = limits;
    this.#most = Math.max(...limits.map(({ count }) => count));
  }

  /** When the next one of `key` may be sent, in milliseconds: `now`, or later. */
  next(key: string, now: number): number {
    return this.#earliest(this.#keys.get(key)?.sent ?? [], now);
  }

  /** Notes that one was sent. */
  sent(key: string, at: number): void {
    const { sent } = this.#touch(key);
    sent.push(at);
    if (sent.length > this.#most) sent.shift();
  }

  /** The last one of `key` got there no earlier than `at`: the service counts from when it hears, not from when we speak. */
  arrived(key: string, at: number): void {
    const sent = this.#keys.get(key)?.sent;
    if (sent && sent.length > 0) sent[sent.length - 1] = Math.max(sent.at(-1)!, at);
  }

  /** A time of its own for one that has to wait. */
  promise(key: string, now: number): number {
    const known = this.#touch(key);
    known.promised = known.promised.filter((at) => at > now);
    const slot = this.#earliest([...known.sent, ...known.promised], now);
    known.promised.push(slot);
    return slot;
  }

  /** The earliest time at which one more fits behind `times`, which ascend. */
  #earliest(times: readonly number[], now: number): number {
    let at = now;
    for (const { count, withinMs } of this.#limits) {
      const oldest = times[times.length - count];
      if (oldest !== undefined) at = Math.max(at, oldest + withinMs);
    }
    return at;
  }

  #touch(key: string): Key {
    const known = this.#keys.get(key) ?? { sent: [], promised: [] };
    this.#keys.delete(key); // re-inserted at the end: a Map keeps insertion order
    this.#keys.set(key, known);
    if (this.#keys.size > KEYS) this.#keys.delete(this.#keys.keys().next().value!);
    return known;
  }
}
