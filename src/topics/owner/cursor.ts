// A subscription's place in one partition, as the owner holds it in memory.
//
//   log --take--> locked --complete--> settling --durable--> done
//                   |  `--abandon, lock expired--> ready --take--> locked (delivery count + 1)
//                   `--defer, dead-letter, abandon with changes--> settling --durable, with its held row--> done
//
// `next` is the first sequence that was not looked at; `outstanding` holds, in sequence order, what was taken and is not
// done. Everything below `next` that is not outstanding is done or was not selected. That is all the state there is;
// progress.ts appends what changes, recovery (recover.ts) brings it back. What consumers decide is in settle.ts.
import { Alarm } from '../../kit/alarm.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { SubscriptionEntry } from '../entities/catalogue.ts';
import { hasBit } from '../log/bits.ts';
import type { Block } from '../log/block.ts';
import type { Message } from '../message.ts';
import { Dispenser } from '../receive/dispenser.ts';
import { type Entry, newEntry } from '../receive/entry.ts';
import { type HeldCounts, loadHeld } from '../receive/held.ts';
import { Sessions } from '../receive/sessions.ts';
import { bury, expire, unlockExpired } from '../receive/settle.ts';
import { Shelf } from '../receive/shelf.ts';
import type { EmitTopics } from '../signals.ts';
import { OldView } from './old-view.ts';
import type { Partition } from './partition.ts';
import type { Change, Progress, Recovered } from './progress.ts';
import type { Range, Ranges } from './ranges.ts';

export type CursorDeps = { readonly progress: Progress; readonly emit: EmitTopics };

/** How many messages of a subscription with sessions are sorted ahead, at most. */
const SESSION_WINDOW = 50_000;

export class Cursor {
  readonly partition: Partition;
  subscription: SubscriptionEntry;
  next: number;
  /** Selected messages from `next` to the end of the log. */
  unread = 0;
  deferred: number;
  readonly desk: Dispenser;
  readonly retry: Shelf;
  readonly dead: Shelf;
  readonly transfer: Shelf;
  readonly sessions: Sessions | undefined;
  readonly deps: CursorDeps;
  /** Deferred messages that somebody has locked. */
  readonly deferredLocked = new Map<number, Entry>();
  #outstanding = new Map<number, Entry>();
  readonly #skip: Ranges;
  readonly #counts: Map<number, number>;
  readonly #redeliveredBelow: number;
  readonly #closing = new AbortController();
  #current: Block | undefined;
  #loading: Promise<void> | undefined;
  readonly #expiry = new Alarm(() => this.#sweepExpired(), 5);
  readonly #old = new OldView();

  constructor(
    partition: Partition,
    subscription: SubscriptionEntry,
    recovered: Recovered,
    held: HeldCounts,
    deps: CursorDeps,
  ) {
    this.partition = partition;
    this.subscription = subscription;
    this.deps = deps;
    this.#skip = recovered.done;
    this.#skip.dropBelow(recovered.floor);
    this.#counts = recovered.counts;
    this.#redeliveredBelow = recovered.handedOut;
    this.next = recovered.floor;
    this.deferred = held.deferred;
    const unlocked = (entries: Entry[]) => unlockExpired(this, entries);
    this.desk = new Dispenser({ next: () => this.#nextEntry(), expired: (entry) => expire(this, entry), unlocked });
    const load = (home: 'retry' | 'dead' | 'transfer') => (from: number, limit: number) =>
      loadHeld(partition.sql, this, home, { from, limit });
    this.retry = new Shelf('retry', held.retry, load('retry'), unlocked, {
      desk: this.desk,
      offer: (entry) => this.#offer(entry),
      wake: () => this.pump(),
    });
    this.dead = new Shelf('dead', held.dead, load('dead'), unlocked);
    this.transfer = new Shelf('transfer', held.transfer, load('transfer'), unlocked);
    if (subscription.settings.requiresSession) this.sessions = new Sessions(this);
  }

  /** Aborts when the partition is not this node's any more, or the subscription is gone. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  get locked(): number {
    return this.desk.lockedEntries.size + (this.sessions?.locked ?? 0);
  }

  /** Messages that wait or are locked: everything that is not done, deferred or dead. */
  get active(): number {
    return this.unread + this.#outstanding.size + this.retry.count;
  }

  get outstanding(): ReadonlyMap<number, Entry> {
    return this.#outstanding;
  }

  /** Everything below is done, once `done` is. */
  floorWith(done: readonly number[]): number {
    const finished = done.length > 0 ? new Set(done) : undefined;
    for (const sequence of this.#outstanding.keys()) if (!finished?.has(sequence)) return sequence;
    return this.#skip.nextOutside(this.next);
  }

  /** The log grew by `block`. */
  appended(block: Block): void {
    const selected = block.selectedBy(this.subscription.bit);
    // Nothing of it is for this cursor, and nothing before it waits: step over it without looking at it again.
    if (selected === 0 && this.next === block.first) this.next = block.end;
    else if (selected > 0) {
      this.grew(selected);
      this.watchExpiry(block.enqueuedAt.getTime() + (block.shortestLifeMs ?? this.#defaultLife));
    }
  }

  get #defaultLife(): number {
    return this.subscription.settings.defaultTimeToLiveMs ?? Infinity;
  }

  /** The log grew by a block of which this many are for this cursor. */
  grew(selected: number): void {
    this.unread += selected;
    if (this.sessions) this.#distribute();
    else if (this.desk.waiting > 0) this.desk.pump();
  }

  /** For a subscription with sessions: sorts what is unread to the sessions, within bounds. */
  #distribute(): void {
    while (this.#outstanding.size < SESSION_WINDOW) {
      const entry = this.#nextEntry();
      if (entry === undefined || entry === 'later') return;
      this.sessions!.offer(entry);
    }
  }

  /** There may be something new to hand out. */
  pump(): void {
    if (this.closed.aborted) return;
    if (this.sessions) this.#distribute();
    else this.desk.pump();
  }

  #nextEntry(): Entry | undefined | 'later' {
    const retried = this.retry.next();
    return retried ?? this.#readNext();
  }

  /** The next selected message of the log; undefined at its end. */
  #readNext(): Entry | undefined | 'later' {
    while (this.next < this.partition.end) {
      const block = this.#blockAt(this.next);
      if (!block) {
        this.#load();
        return 'later';
      }
      const at = this.#findSelected(block, this.next - block.first);
      this.next = block.first + Math.min(at + 1, block.count);
      if (at >= block.count) continue;
      const entry = this.#admit(this.#view(block, at)!);
      if (entry.message.filterFault === undefined) return entry;
      void bury(this, [entry], 'FilterEvaluationException', entry.message.filterFault);
    }
    return undefined;
  }

  #findSelected(block: Block, from: number): number {
    const bit = this.subscription.bit;
    const skipping = this.#skip.list.length > 0;
    const trusted = this.subscription.starts[this.partition.part] ?? 0;
    for (let i = from; i < block.count; i++) {
      const sequence = block.first + i;
      if (sequence < trusted) {
        // It was counted as unread because only this look can tell.
        if (!this.#old.view(this.subscription, block, i)) {
          this.unread = Math.max(0, this.unread - 1);
          continue;
        }
      } else if (!hasBit(block.bits[i]!, bit)) continue;
      if (skipping && this.#skip.has(sequence)) continue;
      return i;
    }
    return block.count;
  }

  /** The message of a selected record, as this subscription gets it. */
  #view(block: Block, index: number): Message | undefined {
    const old = block.first + index < (this.subscription.starts[this.partition.part] ?? 0);
    return old ? this.#old.view(this.subscription, block, index) : block.message(index);
  }

  /** An unread record of the log, if it is for this subscription and was not done before a restart. */
  select(block: Block, index: number): Message | undefined {
    const sequence = block.first + index;
    if (this.#skip.has(sequence)) return undefined;
    const old = sequence < (this.subscription.starts[this.partition.part] ?? 0);
    if (old) return this.#old.view(this.subscription, block, index);
    return hasBit(block.bits[index]!, this.subscription.bit) ? block.message(index) : undefined;
  }

  #admit(message: Message): Entry {
    const { sequence } = message;
    this.unread--;
    let deliveryCount = this.#counts.get(sequence) ?? 0;
    if (this.#counts.size > 0) this.#counts.delete(sequence);
    if (sequence < this.#redeliveredBelow) deliveryCount++;
    const entry = newEntry(message, 'log', deliveryCount, this.expiryOf(message));
    this.#outstanding.set(sequence, entry);
    return entry;
  }

  /** When the message expires here: its own time to live, or the subscription's if that is shorter. */
  expiryOf(message: Message): number {
    return Math.min(message.expiresAt?.getTime() ?? Infinity, message.enqueuedAt.getTime() + this.#defaultLife);
  }

  #blockAt(sequence: number): Block | undefined {
    const current = this.#current;
    if (current && sequence >= current.first && sequence < current.end) return current;
    this.#current = this.partition.find(sequence);
    if (this.#current) this.partition.readAhead(this.#current);
    return this.#current;
  }

  #load(): void {
    this.#loading ??= this.#loadFrom(this.next).then(() => {
      this.#loading = undefined;
      this.pump();
    });
  }

  /**
   * Reads everything up to `below` and lets it wait for receivers. False: there is more than `most`, or it cannot be
   * read now.
   */
  async readTo(below: number, most: number): Promise<boolean> {
    for (let count = 0; this.next < below && !this.closed.aborted; ) {
      const entry = this.#readNext();
      if (entry === 'later') await this.#loading;
      else if (!entry) break;
      else {
        this.#offer(entry);
        if (++count > most) return false;
      }
    }
    return this.next >= below;
  }

  async #loadFrom(wanted: number): Promise<void> {
    try {
      const block = await this.partition.load(wanted);
      // A gap can only be what retention dropped before this cursor had read it.
      if (block && block.first > wanted && this.next === wanted) this.next = block.first;
      if (block) this.#current = block;
      else if (this.next === wanted) this.next = this.partition.end;
    } catch (error) {
      this.deps.emit({ name: 'topics.database_away', where: 'read', error });
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }

  find(sequence: number): Entry | undefined {
    return this.#outstanding.get(sequence) ?? this.retry.find(sequence) ?? this.deferredLocked.get(sequence);
  }

  /** Which dispenser holds the entry's lock. */
  deskOf(entry: Entry): Dispenser {
    if (entry.home === 'dead') return this.dead.desk;
    if (entry.home === 'transfer') return this.transfer.desk;
    return (entry.home !== 'deferred' && this.sessions?.deskOf(entry)) || this.desk;
  }

  /** Resolves when the change is durable. Throws `lock_lost` when this node is not the owner any more. */
  async record(change: Change): Promise<void> {
    await this.deps.progress.record(this, change);
    if (this.closed.aborted) throw ownerMoved();
  }

  /** The entry's log record is done with, durably. */
  leaveLog(entry: Entry): void {
    this.#outstanding.delete(entry.sequence);
    // A table that a map outgrew points to the next one: once one of them is old, V8 keeps all that came after it, with
    // the messages in them, until it looks through the whole heap. A new map begins a new row of tables.
    if (this.#outstanding.size === 0) this.#outstanding = new Map();
    if (this.sessions && this.#outstanding.size === SESSION_WINDOW - 1) this.#distribute();
  }

  /** What is done at or above the floor: everything up to `next` that is not outstanding, and what was done beyond. */
  doneRanges(): Range[] {
    const ranges: Range[] = [];
    let at = this.floorWith([]);
    for (const sequence of [...this.#outstanding.keys()].sort((a, b) => a - b)) {
      if (sequence > at) ranges.push({ start: at, end: sequence });
      at = sequence + 1;
    }
    if (this.next > at) ranges.push({ start: at, end: this.next });
    return ranges.concat(this.#skip.list.filter((range) => range.end > this.next));
  }

  /** Delivery counts of what is not done. `ended`: what is locked now is not going to be settled. */
  allCounts(ended = false): Map<number, number> {
    const counts = new Map(this.#counts);
    for (const [sequence, { deliveryCount, state }] of this.#outstanding) {
      const count = deliveryCount + (ended && state === 'locked' ? 1 : 0);
      if (count > 0) counts.set(sequence, count);
    }
    return counts;
  }

  /** Forgets what waits (not what is locked), up to the end of the log. */
  skipToEnd(): void {
    this.next = this.partition.end;
    this.unread = 0;
    for (const [sequence, entry] of this.#outstanding) {
      if (entry.state !== 'ready') continue;
      entry.state = 'done';
      this.#outstanding.delete(sequence);
    }
  }

  /** Something expires at `at`: looks then, even if nobody receives. */
  watchExpiry(at: number): void {
    this.#expiry.set(at);
  }

  clockSet(): void {
    this.#expiry.clockSet();
  }

  /** Takes what is expired at the front. What is behind a message that lives longer is found when it is reached. */
  #sweepExpired(): void {
    const now = Date.now();
    const desk = this.sessions ? undefined : this.desk;
    for (let entry = desk?.peekReady() ?? this.#peekNext(); entry; entry = desk?.peekReady() ?? this.#peekNext()) {
      if (entry.expiresAt > now) {
        this.watchExpiry(entry.expiresAt);
        break;
      }
      expire(this, entry);
    }
    for (const entry of this.sessions?.expired(now) ?? []) expire(this, entry);
  }

  /** Reads one entry ahead and offers it, so that it can be looked at. */
  #peekNext(): Entry | undefined {
    const entry = this.#nextEntry();
    if (entry === 'later') {
      this.watchExpiry(Date.now() + 1_000);
      return undefined;
    }
    if (!entry) return undefined;
    this.#offer(entry);
    return entry;
  }

  /** Puts it where receivers find it. */
  #offer(entry: Entry): void {
    if (this.sessions) this.sessions.offer(entry);
    else this.desk.offer(entry);
  }

  /** Hands out nothing more for now; sessions that are held go on until their holders let go. */
  pause(): void {
    for (const desk of this.#desks) desk.pause();
    this.sessions?.pause();
  }

  resume(): void {
    for (const desk of this.#desks) desk.resume();
    this.sessions?.resume();
  }

  /** Whether something of it is in the hands of consumers. */
  get busy(): boolean {
    return this.#desks.some((desk) => desk.lockedEntries.size > 0) || (this.sessions?.anyHeld ?? false);
  }

  get #desks(): Dispenser[] {
    return [this.desk, this.dead.desk, this.transfer.desk];
  }

  /** The partition is not this node's any more: those who wait get nothing, locks are lost. */
  close(): void {
    this.#closing.abort();
    this.#expiry.stop();
    for (const desk of this.#desks) desk.close();
    this.sessions?.close();
  }
}

export function ownerMoved(): Refusal {
  return new Refusal('lock_lost', 'Another node owns the partition now; the message comes again.');
}
