// One receiver's access to one partition of an entity, at the owner. A receiver that is connected to another node has a
// seat of the same shape that speaks to this one over the link between nodes.
import { wallTimeOf } from '../../kit/clock.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { EntityKind } from '../entities/path.ts';
import type { Message } from '../message.ts';
import { type Counts, countsOf } from '../owner/counts.ts';
import type { Cursor } from '../owner/cursor.ts';
import type { Dispenser } from './dispenser.ts';
import { type Entry, messageOf } from './entry.ts';
import { findHeld, hasDied } from './held.ts';
import { peekDead, peekLiving } from './peek.ts';
import { purge } from './purge.ts';
import { type DeadSelection, redrivePage } from './redrive.ts';
import type { SessionLock } from './sessions.ts';
import { type Recorder, type Settlement, settle } from './settle.ts';

/** A message with the lock under which it was handed out. `until`: the time of day, as the owner's clock shows it. */
export type Handed = { readonly message: Message; readonly attempt: number; readonly until: number };

/** Names one lock of one message. */
export type Hold = { readonly sequence: number; readonly attempt: number };

export type PeekState = 'active' | 'deferred' | 'scheduled';
export type Peeked = { readonly message: Message; readonly state: PeekState };

/** A settlement that waits for its transaction. Between `held` and `settle` nothing may be awaited. */
export type Enlisted = {
  readonly cursor: Cursor;
  /** Whether all the locks are held now. */
  readonly held: () => boolean;
  readonly settle: (record: Recorder) => Promise<void>;
};

export type SessionGrant = { readonly id: string; readonly holder: number; readonly until: number };

export type ReceiveOptions = {
  readonly max: number;
  readonly waitMs: number;
  readonly destructive: boolean;
  readonly session?: SessionGrant | undefined;
  readonly signal?: AbortSignal | undefined;
};

export interface Seat {
  readonly part: number;
  readonly epoch: number;
  receive(options: ReceiveOptions): Promise<Handed[]>;
  /** One answer per hold: whether the lock was held, and so the message is settled, durably. */
  settle(holds: readonly Hold[], how: Settlement, session?: SessionGrant): Promise<boolean[]>;
  /** Only where the messages are in this process: settles them within a transaction (transact.ts). */
  enlist?(holds: readonly Hold[], how: Settlement, session?: SessionGrant): Enlisted;
  /** One answer per hold: the new end of the lock, or 0 when it is lost. */
  renew(holds: readonly Hold[]): Promise<number[]>;
  peek(from: number, max: number, session?: string): Promise<Peeked[]>;
  receiveDeferred(sequences: readonly number[], session?: SessionGrant): Promise<Handed[]>;
  acceptSession(id: string | undefined, waitMs: number, signal?: AbortSignal): Promise<SessionGrant | undefined>;
  /** 0 when the lock is lost. */
  renewSession(grant: SessionGrant): Promise<number>;
  releaseSession(grant: SessionGrant): Promise<void>;
  sessionIds(): Promise<string[]>;
  sessionHeld(grant: SessionGrant): Promise<boolean>;
  /** Brings a page of dead letters back; `last` is where the next page begins. */
  redrive(which: DeadSelection, after: number): Promise<{ moved: number; last: number | undefined }>;
  /** Throws away what waits; returns how many. */
  purge(): Promise<number>;
  counts(): Promise<Counts>;
}

export class LocalSeat implements Seat {
  readonly #cursor: Cursor;
  readonly #kind: EntityKind;

  constructor(cursor: Cursor, kind: EntityKind) {
    this.#cursor = cursor;
    this.#kind = kind;
  }

  get part(): number {
    return this.#cursor.partition.part;
  }

  get epoch(): number {
    return this.#cursor.partition.epoch;
  }

  async receive(options: ReceiveOptions): Promise<Handed[]> {
    const lock = options.session && this.#lockOf(options.session);
    const desk = this.#desk(lock);
    const { max, waitMs, signal, destructive } = options;
    // A session's lock covers its messages.
    const lockMs = lock ? Infinity : this.#cursor.subscription.settings.lockDurationMs;
    const entries = await desk.receive({ max, waitMs, lockMs, signal });
    if (entries.length === 0) return [];
    // If they cannot be deleted now they come again when their locks have run out.
    if (destructive) await settle(this.#cursor, entries, { kind: 'complete' });
    this.#tell(entries.length);
    return entries.map((entry) => handed(entry, lock));
  }

  #desk(lock: SessionLock | undefined): Dispenser {
    if (this.#kind === 'dead') return this.#cursor.dead.desk;
    if (this.#kind === 'transfer') return this.#cursor.transfer.desk;
    if (lock) return lock.session.desk;
    if (this.#cursor.sessions) throw new Refusal('bad_request', 'The entity requires sessions: accept one first.');
    return this.#cursor.desk;
  }

  #tell(count: number): void {
    const { partition, subscription, deps } = this.#cursor;
    deps.emit({ name: 'topics.received', topic: partition.topic.name, subscription: subscription.name, count });
  }

  #find(sequence: number): Entry | undefined {
    if (this.#kind === 'transfer') return this.#cursor.transfer.find(sequence);
    const dead = this.#kind === 'dead';
    const entry = (dead ? this.#cursor.dead.find(sequence) : undefined) ?? this.#cursor.find(sequence);
    return entry && hasDied(messageOf(entry)) === dead ? entry : undefined;
  }

  async settle(holds: readonly Hold[], how: Settlement, session?: SessionGrant): Promise<boolean[]> {
    const sessionLost = session !== undefined && !this.#cursor.sessions?.holds(this.#lockOf(session));
    const found = holds.map((hold) => (sessionLost ? undefined : this.#held(hold)));
    const entries = found.filter((entry) => entry !== undefined);
    if (entries.length > 0) await settle(this.#cursor, entries, how);
    return found.map((entry) => entry !== undefined);
  }

  enlist(holds: readonly Hold[], how: Settlement, session?: SessionGrant): Enlisted {
    const cursor = this.#cursor;
    const find = () => {
      const lost = session !== undefined && !cursor.sessions?.holds(this.#lockOf(session));
      return lost ? [] : holds.map((hold) => this.#held(hold)).filter((entry) => entry !== undefined);
    };
    const held = () => !cursor.closed.aborted && find().length === holds.length;
    return { cursor, held, settle: (record) => settle(cursor, find(), how, record) };
  }

  #held({ sequence, attempt }: Hold): Entry | undefined {
    const entry = this.#find(sequence);
    return entry && this.#cursor.deskOf(entry).holds(entry, attempt) ? entry : undefined;
  }

  async renew(holds: readonly Hold[]): Promise<number[]> {
    const lockMs = this.#cursor.subscription.settings.lockDurationMs;
    return holds.map((hold) => {
      const entry = this.#held(hold);
      if (!entry) return 0;
      if (entry.lockedUntil !== Infinity) this.#cursor.deskOf(entry).renew(entry, lockMs);
      return wallTimeOf(entry.lockedUntil);
    });
  }

  peek(from: number, max: number, session?: string): Promise<Peeked[]> {
    return this.#kind === 'live'
      ? peekLiving(this.#cursor, from, max, session)
      : peekDead(this.#cursor, this.#kind, from, max);
  }

  async receiveDeferred(sequences: readonly number[], session?: SessionGrant): Promise<Handed[]> {
    const cursor = this.#cursor;
    const lock = session && this.#lockOf(session);
    const free = sequences.filter((sequence) => !cursor.deferredLocked.has(sequence));
    const entries = await findHeld(cursor.partition.sql, cursor, 'deferred', free);
    const here = (entry: Entry) => hasDied(messageOf(entry)) === (this.#kind === 'dead');
    const ours = entries.filter((entry) => !cursor.deferredLocked.has(entry.sequence) && here(entry));
    if (ours.length < sequences.length) {
      throw new Refusal('message_not_found', 'Not every one of these messages is deferred and free.');
    }
    for (const entry of ours) {
      cursor.deferredLocked.set(entry.sequence, entry);
      cursor.desk.lock(entry, lock ? Infinity : cursor.subscription.settings.lockDurationMs);
    }
    return ours.map((entry) => handed(entry, lock));
  }

  async acceptSession(id: string | undefined, waitMs: number, signal?: AbortSignal): Promise<SessionGrant | undefined> {
    const { sessions } = this.#cursor;
    if (!sessions || this.#kind !== 'live') throw new Refusal('bad_request', 'The entity has no sessions.');
    this.#cursor.pump();
    const lock = id === undefined ? await sessions.acceptNext(waitMs, signal) : sessions.acceptById(id);
    return lock && { id: lock.session.id, holder: lock.holder, until: wallTimeOf(lock.session.lockedUntil) };
  }

  #lockOf(grant: SessionGrant): SessionLock {
    const lock = this.#cursor.sessions?.lockOf(grant.id, grant.holder);
    if (!lock) throw new Refusal('session_lock_lost', `The lock of session "${grant.id}" is lost.`);
    return lock;
  }

  async renewSession(grant: SessionGrant): Promise<number> {
    return wallTimeOf(this.#cursor.sessions!.renew(this.#lockOf(grant)));
  }

  async releaseSession(grant: SessionGrant): Promise<void> {
    const lock = this.#cursor.sessions?.lockOf(grant.id, grant.holder);
    if (lock) await this.#cursor.sessions!.release(lock);
  }

  async sessionIds(): Promise<string[]> {
    this.#cursor.pump();
    return this.#cursor.sessions?.ids ?? [];
  }

  redrive(which: DeadSelection, after: number): Promise<{ moved: number; last: number | undefined }> {
    return redrivePage(this.#cursor, which, after);
  }

  purge(): Promise<number> {
    return purge(this.#cursor, this.#kind);
  }

  async counts(): Promise<Counts> {
    return countsOf(this.#cursor);
  }

  async sessionHeld(grant: SessionGrant): Promise<boolean> {
    return this.#cursor.sessions?.lockOf(grant.id, grant.holder) !== undefined;
  }
}

function handed(entry: Entry, lock: SessionLock | undefined): Handed {
  const until = wallTimeOf(lock ? lock.session.lockedUntil : entry.lockedUntil);
  return { message: messageOf(entry), attempt: entry.attempt, until };
}
