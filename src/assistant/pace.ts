// What keeps a service from being asked too much: its limits per place and per connection, and a pause for a connection
// that does not work at all. A short wait is waited out; a longer one is told, and the delivery comes back then.
import type { Result } from './poster.ts';
import { type Limit, Windows } from './windows.ts';

export type PaceLimits = {
  readonly place: readonly Limit[];
  readonly connection: readonly Limit[];
};

/** Longer waits are not held in memory. */
const HOLD_MS = 2_000;
const FIRST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 2 * 60_000;

export type Paced = Extract<Result, { kind: 'paced' }>;
type Pause = { readonly until: number; readonly ms: number };

export class Pace {
  readonly #places: Windows;
  readonly #connections: Windows;
  readonly #pauses = new Map<string, Pause>();

  constructor(limits: PaceLimits) {
    this.#places = new Windows(limits.place);
    this.#connections = new Windows(limits.connection);
  }

  /** Resolves when one more may be sent, or says when to come back. */
  async admit(connection: string, place: string): Promise<Paced | undefined> {
    const now = Date.now();
    const pause = this.#pauses.get(connection);
    if (pause && pause.until > now) return { kind: 'paced', retryAfterMs: pause.until - now };
    const key = `${connection} ${place}`;
    const at = Math.max(this.#places.next(key, now), this.#connections.next(connection, now));
    if (at - now > HOLD_MS) return { kind: 'paced', retryAfterMs: this.#places.promise(key, now) - now };
    this.#places.sent(key, at);
    this.#connections.sent(connection, at);
    if (at > now) await new Promise((resolve) => setTimeout(resolve, at - now));
    return undefined;
  }

  /** Looks at what came of a call: a connection that does not work is left alone for a while, longer each time. */
  after<T extends Result>(connection: string, place: string, result: T): T {
    this.#places.arrived(`${connection} ${place}`, Date.now());
    if (result.kind !== 'stopped') {
      if (result.kind === 'posted') this.#pauses.delete(connection);
      return result;
    }
    const now = Date.now();
    const before = this.#pauses.get(connection);
    // Calls that were under way together say the same thing once.
    if (before && before.until > now) return result;
    const ms = Math.min(before ? before.ms * 2 : FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
    const pauseMs = Math.max(ms, result.retryAfterMs ?? 0);
    this.#pauses.set(connection, { until: now + pauseMs, ms });
    return result;
  }
}

/** Longest wait for something that a person is waiting for. */
const PATIENCE_MS = 15_000;

/** Says one thing now, or within a few seconds where the limits ask for it; for answers, which nobody sends again later. */
export async function sayPatiently<T extends { readonly kind: string; readonly retryAfterMs?: number | undefined }>(
  admit: () => Promise<Paced | undefined>,
  send: () => Promise<T>,
): Promise<T | Paced> {
  const deadline = Date.now() + PATIENCE_MS;
  for (let tries = 1; ; tries++) {
    const told = (await admit()) ?? (await send());
    const waitMs = told.retryAfterMs ?? tries * 500;
    const mayHelp = told.kind === 'paced' || told.kind === 'retry';
    if (!mayHelp || tries === 5 || Date.now() + waitMs > deadline) return told;
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

/** Runs `work` for each, those of one key one after the other, in their order, and the keys beside each other. */
export async function inOrder<T, R>(
  items: readonly T[],
  keyOf: (item: T) => string,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results = new Map<T, R>();
  const groups = Map.groupBy(items, keyOf);
  await Promise.all(
    [...groups.values()].map(async (group) => {
      for (const item of group) results.set(item, await work(item));
    }),
  );
  return items.map((item) => results.get(item)!);
}
