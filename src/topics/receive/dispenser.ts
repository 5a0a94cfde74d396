// Hands out entries to those who ask, in the order in which they asked, locks what it hands out, and takes back what
// runs out of its lock. Where entries come from is its source's affair: the log, held rows, a session.
import { steadyNow } from '../../kit/clock.ts';
import type { Entry } from './entry.ts';
import { Heap } from './heap.ts';

export type TakeOptions = {
  readonly max: number;
  /** How long to wait for the first message; 0 means not at all. */
  readonly waitMs: number;
  readonly lockMs: number;
  readonly signal?: AbortSignal | undefined;
};

export type Source = {
  /** The next entry that was never handed out; `later`: it is being loaded, `pump` will be called. */
  next(): Entry | undefined | 'later';
  /** Takes entries out of circulation whose time to live is over. */
  expired(entry: Entry): void;
  /** These ran out of their locks. */
  unlocked(entries: Entry[]): void;
};

type Waiter = { readonly options: TakeOptions; readonly give: (entries: Entry[]) => void };

/** setTimeout's longest. */
const LONGEST_TIMER = 2 ** 31 - 1;
/** How long a receiver that does not want to wait does wait for the log to be read. */
const READ_PATIENCE_MS = 5_000;

export class Dispenser {
  readonly #source: Source;
  readonly #ready = new Heap<Entry>((a, b) => a.sequence < b.sequence);
  #locked = new Set<Entry>();
  #waiters: Waiter[] = [];
  #later = false;
  #attempts = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #paused = false;

  constructor(source: Source) {
    this.#source = source;
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  get readyCount(): number {
    return this.#ready.size;
  }

  get lockedEntries(): ReadonlySet<Entry> {
    return this.#locked;
  }

  /** Takes up to `max` entries, waiting for the first. Gives none when the time is up or the signal aborts. */
  receive(options: TakeOptions): Promise<Entry[]> {
    if (this.#closed || options.signal?.aborted) return Promise.resolve([]);
    // While others wait there is nothing, or they would have it.
    const entries = this.#waiters.length === 0 ? this.#take(options) : [];
    if (entries.length > 0 || (options.waitMs <= 0 && !this.#later)) return Promise.resolve(entries);
    return new Promise((resolve) => this.#wait(options, resolve));
  }

  #wait(options: TakeOptions, resolve: (entries: Entry[]) => void): void {
    let timer: NodeJS.Timeout | undefined;
    const waiter: Waiter = {
      options,
      give: (entries) => {
        clearTimeout(timer);
        options.signal?.removeEventListener('abort', giveUp);
        resolve(entries);
      },
    };
    const giveUp = () => {
      this.#waiters = this.#waiters.filter((other) => other !== waiter);
      waiter.give([]);
    };
    this.#waiters.push(waiter);
    options.signal?.addEventListener('abort', giveUp);
    const patience = options.waitMs <= 0 ? READ_PATIENCE_MS : options.waitMs;
    if (patience < LONGEST_TIMER) timer = setTimeout(giveUp, patience);
  }

  /** Serves those who wait, in their order, as far as there is something. Call it when there may be something new. */
  pump(): void {
    this.#later = false;
    while (this.#waiters.length > 0) {
      const waiter = this.#waiters[0]!;
      const entries = this.#take(waiter.options);
      if (entries.length === 0 && (this.#later || waiter.options.waitMs > 0)) return;
      this.#waiters.shift();
      waiter.give(entries);
    }
  }

  #take({ max, lockMs }: TakeOptions): Entry[] {
    const entries: Entry[] = [];
    if (this.#paused) return entries;
    const now = Date.now();
    const lockedUntil = steadyNow() + lockMs;
    while (entries.length < max) {
      const entry = this.#nextEntry(now);
      if (!entry) break;
      entry.state = 'locked';
      entry.lockedUntil = lockedUntil;
      entry.attempt = ++this.#attempts;
      this.#locked.add(entry);
      entries.push(entry);
    }
    if (entries.length > 0 && lockMs !== Infinity) this.#watch(lockMs);
    return entries;
  }

  #nextEntry(now: number): Entry | undefined {
    for (;;) {
      const entry = this.#ready.pop() ?? this.#source.next();
      if (entry === 'later') this.#later = true;
      if (entry === undefined || entry === 'later') return undefined;
      if (entry.state !== 'ready') continue;
      if (entry.expiresAt > now) return entry;
      this.#source.expired(entry);
    }
  }

  /** Puts a ready entry where the next receiver finds it, in order of its sequence. */
  offer(entry: Entry): void {
    this.#ready.push(entry);
  }

  /** The earliest entry that waits, without taking it. */
  peekReady(): Entry | undefined {
    while (this.#ready.peek() && this.#ready.peek()!.state !== 'ready') this.#ready.pop();
    return this.#ready.peek();
  }

  /** Locks an entry that did not come from the source. */
  lock(entry: Entry, lockMs: number): void {
    entry.state = 'locked';
    entry.lockedUntil = steadyNow() + lockMs;
    entry.attempt = ++this.#attempts;
    this.#locked.add(entry);
    if (lockMs !== Infinity) this.#watch(lockMs);
  }

  /** Whether the lock that `attempt` names still holds. */
  holds(entry: Entry | undefined, attempt: number): entry is Entry {
    if (!entry || this.#closed) return false;
    return entry.state === 'locked' && entry.attempt === attempt && entry.lockedUntil > steadyNow();
  }

  /** A settlement of the entry came to nothing: its lock runs on to its end. */
  keepLocked(entry: Entry): void {
    entry.state = 'locked';
    this.#locked.add(entry);
    if (entry.lockedUntil !== Infinity) this.#watch(Math.max(entry.lockedUntil - steadyNow(), 20));
  }

  renew(entry: Entry, lockMs: number): void {
    entry.lockedUntil = steadyNow() + lockMs;
  }

  /** The entry is not locked any more: settled, or to be offered again. */
  unlock(entry: Entry): void {
    this.#locked.delete(entry);
    // A new row of tables, as in cursor.ts.
    if (this.#locked.size === 0) this.#locked = new Set();
  }

  #watch(afterMs: number): void {
    this.#timer ??= setTimeout(() => this.#sweep(), Math.min(afterMs + 1, LONGEST_TIMER)).unref();
  }

  #sweep(): void {
    this.#timer = undefined;
    const now = steadyNow();
    const lost: Entry[] = [];
    let earliest = Infinity;
    for (const entry of this.#locked) {
      if (entry.state !== 'locked') continue;
      if (entry.lockedUntil <= now) lost.push(entry);
      else earliest = Math.min(earliest, entry.lockedUntil);
    }
    if (earliest !== Infinity) this.#watch(Math.max(earliest - now, 20));
    if (lost.length > 0) this.#source.unlocked(lost);
  }

  /** Hands out nothing until `resume`; whoever waits goes on waiting. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.pump();
  }

  /** Those who wait get nothing; locks are lost. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.give([]);
  }
}
