// A subscription's place in one partition, as the owner holds it in memory.
//
//   log --take--> locked --complete--> settling --durable--> done
//                   |  `--abandon, lock expired--> ready --take--> locked (delivery count + 1)
//                   `--defer, dead-letter--> settling --durable (with its held row)--> done
//
// `next` is the first sequence that was not looked at; `outstanding` holds, in sequence order, what was taken and is not
// done. Everything below `next` that is not outstanding is done or was not selected. That is all the state there is;
// progress.ts appends what changes, recovery (owners.ts) brings it back.
import { Refusal } from '../kit/refusal.ts';
import { hasBit } from './bits.ts';
import type { Block } from './block.ts';
import type { SubscriptionEntry } from './catalogue.ts';
import { Heap } from './heap.ts';
import { type HeldRow, heldRow } from './held.ts';
import type { Message } from './message.ts';
import type { Partition } from './partition.ts';
import type { Change, Progress, Recovered } from './progress.ts';
import type { Ranges } from './ranges.ts';
import type { EmitTopics } from './signals.ts';

export type Entry = {
  readonly message: Message;
  readonly sequence: number;
  deliveryCount: number;
  state: 'locked' | 'ready' | 'settling' | 'done';
  /** Milliseconds; Infinity for consumers inside the process, which need no clock. */
  lockedUntil: number;
  /** Which lock this is: an older lock of the same message has another number. */
  attempt: number;
};

export type TakeOptions = {
  readonly max: number;
  /** How long to wait for the first message; 0 means not at all. */
  readonly waitMs: number;
  readonly lockMs: number;
  readonly signal?: AbortSignal | undefined;
};

type Waiter = { readonly options: TakeOptions; readonly give: (entries: Entry[]) => void };

export type CursorDeps = { readonly progress: Progress; readonly emit: EmitTopics };

export class Cursor {
  readonly partition: Partition;
  subscription: SubscriptionEntry;
  next: number;
  /** Selected messages from `next` to the end of the log. */
  unread = 0;
  readonly #deps: CursorDeps;
  readonly #outstanding = new Map<number, Entry>();
  readonly #ready = new Heap<Entry>((a, b) => a.sequence < b.sequence);
  readonly #skip: Ranges;
  readonly #counts: Map<number, number>;
  #redeliveredBelow: number;
  #waiters: Waiter[] = [];
  #current: Block | undefined;
  #loading = false;
  #attempts = 0;
  #locks = 0;
  #expiryTimer: NodeJS.Timeout | undefined;
  readonly #closing = new AbortController();

  constructor(partition: Partition, subscription: SubscriptionEntry, recovered: Recovered, deps: CursorDeps) {
    this.partition = partition;
    this.subscription = subscription;
    this.#deps = deps;
    this.#skip = recovered.done;
    this.#skip.dropBelow(recovered.floor);
    this.#counts = recovered.counts;
    this.#redeliveredBelow = recovered.handedOut;
    this.next = recovered.floor;
  }

  /** Aborts when the partition is not this node's any more, or the subscription is gone. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  get locked(): number {
    return this.#locks;
  }

  /** Messages that wait or are locked: everything that is not done. */
  get active(): number {
    return this.unread + this.#outstanding.size;
  }

  /** Everything below is done, once `done` is. */
  floorWith(done: readonly number[]): number {
    const finished = done.length > 0 ? new Set(done) : undefined;
    for (const sequence of this.#outstanding.keys()) if (!finished?.has(sequence)) return sequence;
    return this.#skip.nextOutside(this.next);
  }

  appended(block: Block): void {
    const selected = block.selectedBy(this.subscription.bit);
    // Nothing of it is for this cursor, and nothing before it waits: step over it without looking at it again.
    if (selected === 0 && this.next === block.first) this.next = block.end;
    else this.grew(selected);
  }

  /** The log grew by a block of which this many are for this cursor. */
  grew(selected: number): void {
    this.unread += selected;
    if (this.#waiters.length > 0) this.#pump();
  }

  /** Takes up to `max` messages, waiting for the first. Gives none when the time is up or the signal aborts. */
  receive(options: TakeOptions): Promise<Entry[]> {
    if (this.closed.aborted) return Promise.reject(ownerMoved());
    return new Promise((resolve) => {
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
      this.#pump();
      if (!this.#waiters.includes(waiter)) return;
      if (options.signal?.aborted || (options.waitMs <= 0 && !this.#loading)) return giveUp();
      options.signal?.addEventListener('abort', giveUp);
      if (options.waitMs < 2 ** 31) timer = setTimeout(giveUp, options.waitMs <= 0 ? 5_000 : options.waitMs);
    });
  }

  /** Serves those who wait, in their order, as far as there is something. */
  #pump(): void {
    while (this.#waiters.length > 0 && !this.#loading) {
      const waiter = this.#waiters[0]!;
      const entries = this.#take(waiter.options);
      if (entries.length === 0 && this.#loading) return;
      if (entries.length === 0 && waiter.options.waitMs > 0) return;
      this.#waiters.shift();
      waiter.give(entries);
    }
  }

  #take({ max, lockMs }: TakeOptions): Entry[] {
    const entries: Entry[] = [];
    const lockedUntil = Date.now() + lockMs;
    while (entries.length < max) {
      const entry = this.#ready.pop() ?? this.#readNext();
      if (!entry) break;
      if (entry.state !== 'ready') continue;
      entry.state = 'locked';
      entry.lockedUntil = lockedUntil;
      entry.attempt = ++this.#attempts;
      entries.push(entry);
    }
    this.#locks += entries.length;
    if (entries.length > 0 && lockMs !== Infinity) this.#watchLocks(lockMs);
    return entries;
  }

  /** The next selected message of the log, or undefined at its end, or when a block must be loaded first. */
  #readNext(): Entry | undefined {
    while (this.next < this.partition.end) {
      const block = this.#blockAt(this.next);
      if (!block) {
        this.#load();
        return undefined;
      }
      const from = this.next - block.first;
      const at = this.#findSelected(block, from);
      this.next = block.first + Math.min(at + 1, block.count);
      if (at < block.count) return this.#admit(block.message(at));
    }
    return undefined;
  }

  #findSelected(block: Block, from: number): number {
    const bit = this.subscription.bit;
    const skipping = this.#skip.list.length > 0;
    for (let i = from; i < block.count; i++) {
      if (!hasBit(block.bits[i]!, bit)) continue;
      if (skipping && this.#skip.has(block.first + i)) continue;
      return i;
    }
    return block.count;
  }

  #admit(message: Message): Entry {
    const { sequence } = message;
    this.unread--;
    let deliveryCount = this.#counts.get(sequence) ?? 0;
    if (this.#counts.size > 0) this.#counts.delete(sequence);
    if (sequence < this.#redeliveredBelow) deliveryCount++;
    const entry: Entry = { message, sequence, deliveryCount, state: 'ready', lockedUntil: 0, attempt: 0 };
    this.#outstanding.set(sequence, entry);
    return entry;
  }

  #blockAt(sequence: number): Block | undefined {
    const current = this.#current;
    if (current && sequence >= current.first && sequence < current.end) return current;
    this.#current = this.partition.find(sequence);
    return this.#current;
  }

  #load(): void {
    this.#loading = true;
    const wanted = this.next;
    void this.partition
      .load(wanted)
      .then(
        (block) => {
          // A gap can only be what retention dropped before this cursor had read it.
          if (block && block.first > wanted) this.next = block.first;
          if (block) this.#current = block;
          else if (wanted === this.next) this.next = this.partition.end;
        },
        async (error: unknown) => {
          this.#deps.emit({ name: 'topics.database_away', where: 'read', error });
          await new Promise((resolve) => setTimeout(resolve, 250));
        },
      )
      .then(() => {
        this.#loading = false;
        if (!this.closed.aborted) this.#pump();
      });
  }

  /** Whether the lock that `attempt` names still holds. */
  holds(entry: Entry, attempt: number): boolean {
    return (
      entry.state === 'locked' && entry.attempt === attempt && entry.lockedUntil > Date.now() && !this.closed.aborted
    );
  }

  find(sequence: number): Entry | undefined {
    return this.#outstanding.get(sequence);
  }

  /** Done with these locked messages; resolves when that is durable. `held` goes with it in one statement. */
  async finish(entries: readonly Entry[], held: readonly HeldRow[] = []): Promise<void> {
    const change = this.begin(entries, held);
    await this.#deps.progress.record(this, change);
    this.ended(entries);
    if (this.closed.aborted) throw ownerMoved();
  }

  /** The change that finishing means, for callers that write it in a transaction of their own; then `ended`. */
  begin(entries: readonly Entry[], held: readonly HeldRow[] = []): Change {
    const done: number[] = [];
    for (const entry of entries) {
      entry.state = 'settling';
      done.push(entry.sequence);
    }
    return { done, held: held.length > 0 ? { put: held, removed: [] } : undefined };
  }

  ended(entries: readonly Entry[]): void {
    for (const entry of entries) {
      entry.state = 'done';
      this.#outstanding.delete(entry.sequence);
    }
    this.#locks -= entries.length;
  }

  /** Gives locked messages back. With `counted`, their delivery count rises, and the count is made durable. */
  async giveBack(entries: readonly Entry[], counted: boolean): Promise<void> {
    const counts = new Map<number, number>();
    for (const entry of entries) {
      entry.state = 'ready';
      entry.lockedUntil = 0;
      if (counted) counts.set(entry.sequence, ++entry.deliveryCount);
      this.#ready.push(entry);
    }
    this.#locks -= entries.length;
    const durable = counted ? this.#deps.progress.record(this, { done: [], counts }) : undefined;
    this.#pump();
    await durable;
  }

  /** The held row that dead-letters the entry. */
  deadLetter(entry: Entry, reason: string, description: string): HeldRow {
    const source = `${this.partition.topic.name}/Subscriptions/${this.subscription.name}`;
    const message = { ...entry.message, deliveryCount: entry.deliveryCount };
    return heldRow(message, 'dead', new Date(), { reason, description, source });
  }

  #watchLocks(afterMs: number): void {
    this.#expiryTimer ??= setTimeout(() => this.#expireLocks(), afterMs + 1).unref();
  }

  #expireLocks(): void {
    this.#expiryTimer = undefined;
    const now = Date.now();
    const expired: Entry[] = [];
    let earliest = Infinity;
    for (const entry of this.#outstanding.values()) {
      if (entry.state !== 'locked') continue;
      if (entry.lockedUntil <= now) expired.push(entry);
      else earliest = Math.min(earliest, entry.lockedUntil);
    }
    if (earliest !== Infinity) this.#watchLocks(Math.max(earliest - now, 20));
    if (expired.length > 0) void this.giveBack(expired, true).catch(() => {});
  }

  /** The partition is not this node's any more: those who wait get nothing, locks are lost. */
  close(): void {
    this.#closing.abort();
    clearTimeout(this.#expiryTimer);
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.give([]);
  }
}

export function ownerMoved(): Refusal {
  return new Refusal('lock_lost', 'Another node owns the partition now; the message comes again.');
}
