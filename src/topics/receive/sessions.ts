// Sessions of one subscription in one partition. Messages of a session are handed out in order, to the one receiver that
// holds the session's lock. The lock covers its messages: they have no lock times of their own.
//
//   free, has messages --accept--> locked --release--> free   (its messages come again, uncounted)
//                                    `--lock expires--> free  (its messages come again, counted)
import { steadyNow } from '../../kit/clock.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { Cursor } from '../owner/cursor.ts';
import { Dispenser } from './dispenser.ts';
import type { Entry } from './entry.ts';
import { bury, expire, settle } from './settle.ts';

export type Session = {
  readonly id: string;
  readonly desk: Dispenser;
  /** Entries that are not done: waiting or handed out. */
  readonly entries: Set<Entry>;
  /** Which lock holds it; 0 is none. */
  holder: number;
  /** On the steady clock. */
  lockedUntil: number;
};

export type SessionLock = { readonly session: Session; readonly holder: number };

type Waiter = { readonly give: (lock: SessionLock | undefined) => void };

export class Sessions {
  readonly #cursor: Cursor;
  readonly #byId = new Map<string, Session>();
  /** Free sessions with messages, in the order in which they became so. */
  readonly #available = new Set<Session>();
  #waiters: Waiter[] = [];
  #holders = 0;
  #timer: NodeJS.Timeout | undefined;
  #paused = false;

  constructor(cursor: Cursor) {
    this.#cursor = cursor;
  }

  get locked(): number {
    let count = 0;
    for (const session of this.#byId.values()) count += session.desk.lockedEntries.size;
    return count;
  }

  deskOf(entry: Entry): Dispenser | undefined {
    return this.#byId.get(entry.message.sessionId ?? '')?.desk;
  }

  /** An entry from the log (or a retried one) finds its session. */
  offer(entry: Entry): void {
    const id = entry.message.sessionId;
    if (id === undefined) {
      const words = "Session enabled entity doesn't allow a message whose session identifier is null.";
      void bury(this.#cursor, [entry], 'Session ID is null', words);
      return;
    }
    const session = this.#session(id);
    session.entries.add(entry);
    session.desk.offer(entry);
    this.offered(entry);
  }

  /** The entry waits (again) in its session's dispenser. */
  offered(entry: Entry): void {
    const session = this.#byId.get(entry.message.sessionId ?? '');
    if (!session) return;
    if (session.desk.waiting > 0) session.desk.pump();
    this.#offerSession(session);
  }

  #session(id: string): Session {
    let session = this.#byId.get(id);
    if (!session) {
      const desk = new Dispenser({
        next: () => undefined,
        expired: (entry) => expire(this.#cursor, entry),
        unlocked: () => {},
      });
      session = { id, desk, entries: new Set(), holder: 0, lockedUntil: 0 };
      this.#byId.set(id, session);
    }
    return session;
  }

  #offerSession(session: Session): void {
    if (session.holder !== 0 || session.desk.peekReady() === undefined) return;
    this.#available.add(session);
    this.#serve();
  }

  #serve(): void {
    while (!this.#paused && this.#waiters.length > 0 && this.#available.size > 0) {
      const lock = this.#lockNext();
      if (lock) this.#waiters.shift()!.give(lock);
    }
  }

  /** Nobody gets a session until `resume`. Those who hold one go on. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#serve();
  }

  get anyHeld(): boolean {
    for (const session of this.#byId.values()) if (session.holder !== 0) return true;
    return false;
  }

  /** The entry is done with, or left for a held row. */
  left(entry: Entry): void {
    const session = this.#byId.get(entry.message.sessionId ?? '');
    if (!session) return;
    session.entries.delete(entry);
    this.#tidy(session);
  }

  #tidy(session: Session): void {
    if (session.entries.size > 0 || session.holder !== 0) return;
    this.#available.delete(session);
    this.#byId.delete(session.id);
    session.desk.close();
  }

  /** Locks the session of that id, with or without messages. */
  acceptById(id: string): SessionLock {
    const session = this.#session(id);
    if (this.#paused) throw new Refusal('busy', 'The sessions are moving to another node. Try again shortly.');
    if (session.holder !== 0) throw new Refusal('session_locked', `Session "${id}" is locked by another receiver.`);
    return this.#lock(session);
  }

  /** Locks the session of that id, without an end, unless somebody has it. */
  acceptIfFree(id: string): SessionLock | undefined {
    const session = this.#byId.get(id);
    if (session?.holder !== 0 || this.#paused) return undefined;
    const lock = this.#lock(session);
    this.keep(lock);
    return lock;
  }

  /** Locks the next session that has messages; undefined when there was none in time. */
  acceptNext(waitMs: number, signal?: AbortSignal): Promise<SessionLock | undefined> {
    const lock = this.#waiters.length === 0 ? this.#lockNext() : undefined;
    if (lock || waitMs <= 0 || signal?.aborted) return Promise.resolve(lock);
    return new Promise((resolve) => {
      const waiter: Waiter = {
        give: (given) => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', giveUp);
          resolve(given);
        },
      };
      const giveUp = () => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        waiter.give(undefined);
      };
      const timer = setTimeout(giveUp, Math.min(waitMs, 2 ** 31 - 1));
      signal?.addEventListener('abort', giveUp);
      this.#waiters.push(waiter);
    });
  }

  #lockNext(): SessionLock | undefined {
    if (this.#paused) return undefined;
    for (const session of this.#available) {
      this.#available.delete(session);
      if (session.holder === 0 && session.desk.peekReady()) return this.#lock(session);
    }
    return undefined;
  }

  #lock(session: Session): SessionLock {
    this.#available.delete(session);
    session.holder = ++this.#holders;
    this.renew({ session, holder: session.holder });
    return { session, holder: session.holder };
  }

  /** The lock of this number, while it holds. */
  lockOf(id: string, holder: number): SessionLock | undefined {
    const session = this.#byId.get(id);
    return session && this.holds({ session, holder }) ? { session, holder } : undefined;
  }

  holds({ session, holder }: SessionLock): boolean {
    return session.holder === holder && session.lockedUntil > steadyNow() && !this.#cursor.closed.aborted;
  }

  /** Returns until when, on the steady clock. */
  renew({ session }: SessionLock): number {
    const lockMs = this.#cursor.subscription.settings.lockDurationMs;
    session.lockedUntil = steadyNow() + lockMs;
    this.#watch(lockMs);
    return session.lockedUntil;
  }

  /** For consumers inside the process: the lock has no end. */
  keep({ session }: SessionLock): void {
    session.lockedUntil = Infinity;
  }

  #watch(afterMs: number): void {
    this.#timer ??= setTimeout(() => this.#sweep(), afterMs + 1).unref();
  }

  #sweep(): void {
    this.#timer = undefined;
    const now = steadyNow();
    let earliest = Infinity;
    for (const session of this.#byId.values()) {
      if (session.holder === 0) continue;
      if (session.lockedUntil <= now) void this.#free(session, true);
      else earliest = Math.min(earliest, session.lockedUntil);
    }
    if (earliest !== Infinity) this.#watch(Math.max(earliest - now, 20));
  }

  /** Gives the session back; what its holder had not settled comes again. */
  async release(lock: SessionLock): Promise<void> {
    if (lock.session.holder === lock.holder) await this.#free(lock.session, false);
  }

  async #free(session: Session, counted: boolean): Promise<void> {
    session.holder = 0;
    const taken = [...session.desk.lockedEntries].filter((entry) => entry.state === 'locked');
    // Until they are back in their place nobody else may have the session, or their order would be lost.
    const back = taken.length > 0 ? settle(this.#cursor, taken, { kind: 'abandon', counted }) : undefined;
    this.#offerSession(session);
    this.#tidy(session);
    await back?.catch(() => {});
  }

  /** Ids with messages, sorted. */
  get ids(): string[] {
    return [...this.#byId.values()].filter((session) => session.entries.size > 0).map((session) => session.id);
  }

  /** Those that wait and whose time is over. */
  expired(now: number): Entry[] {
    const found: Entry[] = [];
    for (const { entries } of this.#byId.values()) {
      for (const entry of entries) if (entry.state === 'ready' && entry.expiresAt <= now) found.push(entry);
    }
    return found;
  }

  close(): void {
    clearTimeout(this.#timer);
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.give(undefined);
    for (const session of this.#byId.values()) session.desk.close();
  }
}
