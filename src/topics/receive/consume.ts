// A consumer inside the process: batches of a subscription from every partition that this node owns, each completed in
// one transaction with whatever the consumer writes. It needs no lock times: when the process dies, so does its claim.
// A batch that fails comes again, smaller each time and later each time, so that one poisonous message is soon alone;
// alone, it is dead-lettered once it has failed as often as the subscription allows.
import type { Database, Tx } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';
import { isOutage, waitFor } from '../log/connection.ts';
import type { Message } from '../message.ts';
import type { Cursor } from '../owner/cursor.ts';
import type { Owners } from '../owner/owners.ts';
import { appendIn, type Change } from '../owner/progress.ts';
import type { EmitTopics } from '../signals.ts';
import type { Dispenser } from './dispenser.ts';
import { type Entry, messageOf } from './entry.ts';
import { heldRow } from './held.ts';
import type { SessionLock, Sessions } from './sessions.ts';
import { type Buried, buried, completion, finished, pathOf, settle, tellDead } from './settle.ts';

/** What becomes of one message of a batch; those without a verdict complete. */
export type Verdict =
  | {
      readonly sequence: number;
      readonly verdict: 'deadLetter';
      readonly reason: string;
      readonly description?: string;
    }
  | { readonly sequence: number; readonly verdict: 'abandon' };

// biome-ignore lint/suspicious/noConfusingVoidType: most consumers return nothing, and `undefined` would make them say so
export type BatchWork = (tx: Tx) => Promise<readonly Verdict[] | void>;

export type Batch = {
  readonly topic: string;
  readonly subscription: string;
  readonly partition: number;
  readonly messages: readonly Message[];
  /** Aborts when the consumer stops or the partition moves to another node. */
  readonly signal: AbortSignal;
  /**
   * Runs `work` in one transaction together with the completion of the batch. If it throws, nothing is written, and
   * the batch is delivered again. Throws `lock_lost` when the partition moved. To be called once.
   */
  readonly commit: (work: BatchWork) => Promise<void>;
  /**
   * The same in one round trip, for work whose verdicts are known and whose statements do not need each other's answers:
   * `issue` makes all its queries before it first waits. If that or one of them fails, nothing is written, and `commit`
   * may be called.
   */
  readonly commitAtOnce: <T>(verdicts: readonly Verdict[], issue: (tx: Tx) => Promise<T>) => Promise<T>;
};

export type ConsumeOptions = {
  /** Most messages of one batch; 500 unless told. */
  readonly maxMessages?: number;
  /** First pause after a failure, in milliseconds; it doubles up to 30 s. 50 unless told. */
  readonly retryMs?: number;
};

export type Consumer = { stop(): Promise<void> } & AsyncDisposable;

type Deps = { readonly database: Database; readonly owners: Owners; readonly emit: EmitTopics };
type OnBatch = (batch: Batch) => Promise<void>;

const LONGEST_PAUSE_MS = 30_000;

export function startConsumer(
  deps: Deps,
  place: { readonly topicId: number; readonly subscriptionId: number },
  options: ConsumeOptions,
  onBatch: OnBatch,
): Consumer {
  const stop = new AbortController();
  const loops = new Set<Promise<void>>();
  const follow = (cursor: Cursor) => {
    if (cursor.subscription.id !== place.subscriptionId) return;
    const loop = new Loop(deps, cursor, options, onBatch, stop.signal).run().finally(() => loops.delete(loop));
    loops.add(loop);
  };
  const unfollow = deps.owners.onCursor(follow);
  for (const partition of deps.owners.owned(place.topicId)) {
    const cursor = partition.cursors.get(place.subscriptionId);
    if (cursor) follow(cursor);
  }
  const end = async () => {
    stop.abort();
    unfollow();
    await Promise.all(loops);
  };
  return { stop: end, [Symbol.asyncDispose]: end };
}

class Loop {
  readonly #deps: Deps;
  readonly #cursor: Cursor;
  readonly #onBatch: OnBatch;
  readonly #most: number;
  readonly #firstPause: number;
  readonly #signal: AbortSignal;
  #limit: number;
  #failures = 0;

  constructor(deps: Deps, cursor: Cursor, options: ConsumeOptions, onBatch: OnBatch, signal: AbortSignal) {
    this.#deps = deps;
    this.#cursor = cursor;
    this.#onBatch = onBatch;
    this.#most = this.#limit = options.maxMessages ?? 500;
    this.#firstPause = options.retryMs ?? 50;
    this.#signal = AbortSignal.any([signal, cursor.closed]);
  }

  async run(): Promise<void> {
    while (!this.#signal.aborted) {
      const { sessions } = this.#cursor;
      if (sessions) await this.#takeSessions(sessions);
      else await this.#take(this.#cursor.desk);
    }
  }

  async #take(desk: Dispenser): Promise<void> {
    const options = { max: this.#limit, waitMs: Infinity, lockMs: Infinity, signal: this.#signal };
    const entries = await desk.receive(options);
    if (entries.length > 0) await this.#handle(entries);
  }

  /** A batch of as many sessions as it takes; they are held until it is done, so that the order of each is kept. */
  async #takeSessions(sessions: Sessions): Promise<void> {
    const locks: SessionLock[] = [];
    const entries: Entry[] = [];
    try {
      for (let waitMs = Infinity; entries.length < this.#limit; waitMs = 0) {
        const lock = await sessions.acceptNext(waitMs, this.#signal);
        if (!lock) break;
        sessions.keep(lock);
        locks.push(lock);
        const max = this.#limit - entries.length;
        entries.push(...(await lock.session.desk.receive({ max, waitMs: 0, lockMs: Infinity })));
      }
      if (entries.length > 0) await this.#handle(entries);
    } finally {
      for (const lock of locks) await sessions.release(lock);
    }
  }

  async #handle(entries: readonly Entry[]): Promise<void> {
    let committed = false;
    const batch = this.#batch(entries, () => {
      committed = true;
    });
    try {
      await this.#onBatch(batch);
      if (!committed) throw new Error('the consumer returned without committing its batch');
      this.#failures = 0;
      this.#limit = Math.min(this.#most, this.#limit * 2);
    } catch (error) {
      // What failed after the commit is the consumer's own affair: the batch is done.
      if (!committed) await this.#failed(entries, error);
      else this.#tell(entries, error, 0);
    }
  }

  #batch(entries: readonly Entry[], onCommitted: () => void): Batch {
    const cursor = this.#cursor;
    return {
      topic: cursor.partition.topic.name,
      subscription: cursor.subscription.name,
      partition: cursor.partition.part,
      messages: entries.map(messageOf),
      signal: this.#signal,
      commit: async (work) => {
        await this.#commit(entries, work);
        onCommitted();
      },
      commitAtOnce: async (verdicts, issue) => {
        const result = await this.#commitAtOnce(entries, verdicts, issue);
        onCommitted();
        return result;
      },
    };
  }

  #commit(entries: readonly Entry[], work: BatchWork): Promise<void> {
    return this.#inTransaction(entries, (complete) =>
      this.#deps.database.transaction(async (tx) => complete(tx, (await work(tx)) ?? [])),
    );
  }

  async #commitAtOnce<T>(
    entries: readonly Entry[],
    verdicts: readonly Verdict[],
    issue: (tx: Tx) => Promise<T>,
  ): Promise<T> {
    let result: T | undefined;
    await this.#inTransaction(entries, (complete) =>
      this.#deps.database.atOnce(async (tx) => {
        const issued = issue(tx);
        complete(tx, verdicts);
        result = await issued;
      }),
    );
    return result!; // `issue` has returned it, else this has thrown
  }

  /** `transact` calls `complete` in its transaction, which cannot commit without it. */
  async #inTransaction(
    entries: readonly Entry[],
    transact: (complete: (tx: Tx, verdicts: readonly Verdict[]) => void) => Promise<void>,
  ): Promise<void> {
    const cursor = this.#cursor;
    for (const entry of entries) entry.state = 'settling';
    if (entries.some(({ home }) => home !== 'log')) await cursor.deps.progress.heldWritten();
    let sorted: Sorted | undefined;
    // The fence travels with the commit: if it fails, PostgreSQL rolls back instead.
    let fence: Promise<void> | undefined;
    const transaction = transact((tx, verdicts) => {
      sorted = sort(cursor, entries, verdicts);
      fence = appendIn(tx, cursor, changeOf(sorted));
      fence.catch(() => {});
    });
    await cursor.deps.progress.track(transaction).catch(async (error: unknown) => {
      await fence?.catch((fault: unknown) => {
        if (fault instanceof Refusal) throw fault;
      });
      throw error;
    });
    await this.#settled(sorted!); // `transact` has called `complete`
  }

  /** It is durable. */
  async #settled({ completed, buried: dead, abandoned }: Sorted): Promise<void> {
    finished(this.#cursor, completed);
    buried(this.#cursor, dead);
    if (abandoned.length > 0) await settle(this.#cursor, abandoned, { kind: 'abandon' });
    this.#count(completed.length, dead);
  }

  #count(completed: number, dead: readonly Buried[]): void {
    const place = { topic: this.#cursor.partition.topic.name, subscription: this.#cursor.subscription.name };
    if (completed > 0) this.#deps.emit({ name: 'topics.completed', ...place, count: completed });
    for (const [reason, rows] of Map.groupBy(dead, ({ row }) => row.reason ?? ''))
      tellDead(this.#cursor, rows.length, reason);
  }

  async #failed(entries: readonly Entry[], error: unknown): Promise<void> {
    // An outage or a lost partition says nothing about the messages.
    const innocent =
      isOutage(error) || this.#signal.aborted || (error instanceof Refusal && error.code === 'lock_lost');
    const pause = Math.min(this.#firstPause * 2 ** this.#failures++, LONGEST_PAUSE_MS) * (0.75 + Math.random() / 2);
    this.#tell(entries, error, pause);
    for (const entry of entries) entry.state = 'locked';
    if (!innocent) this.#limit = Math.max(1, Math.ceil(entries.length / 2));
    await waitFor(pause, this.#signal);
    // Only a message that fails alone is to blame; the count of the last allowed delivery sends it to the dead letters.
    const counted = !innocent && entries.length === 1;
    const attempts = entries.map(({ attempt }) => attempt);
    await settle(this.#cursor, entries, { kind: 'abandon', counted }).catch(() => {
      // It could not be written. These locks never lapse, so what is still under them is given back in memory alone.
      const kept = entries.filter((entry, i) => this.#cursor.deskOf(entry).holds(entry, attempts[i]!));
      return settle(this.#cursor, kept, { kind: 'abandon', counted: false });
    });
  }

  #tell(entries: readonly Entry[], error: unknown, retryInMs: number): void {
    this.#deps.emit({
      name: 'topics.consumer_failed',
      topic: this.#cursor.partition.topic.name,
      subscription: this.#cursor.subscription.name,
      partition: this.#cursor.partition.part,
      count: entries.length,
      error,
      retryInMs,
    });
  }
}

/** What becomes durable of a batch. */
function changeOf({ completed, buried: dead }: Sorted): Change {
  const { done, held } = completion(completed);
  const logged = dead.filter(({ entry }) => entry.home === 'log').map(({ entry }) => entry.sequence);
  const changed = dead.length > 0 || held !== undefined;
  return {
    done: [...done, ...logged],
    held: changed ? { put: dead.map(({ row }) => row), removed: held?.removed ?? [] } : undefined,
  };
}

type Sorted = { readonly completed: Entry[]; readonly abandoned: Entry[]; readonly buried: Buried[] };

function sort(cursor: Cursor, entries: readonly Entry[], verdicts: readonly Verdict[]): Sorted {
  const bySequence = new Map(verdicts.map((verdict) => [verdict.sequence, verdict]));
  const sorted: Sorted = { completed: [], abandoned: [], buried: [] };
  const source = pathOf(cursor);
  for (const entry of entries) {
    const verdict = bySequence.get(entry.sequence);
    if (!verdict) sorted.completed.push(entry);
    else if (verdict.verdict === 'abandon') sorted.abandoned.push(entry);
    else {
      const { reason, description } = verdict;
      sorted.buried.push({
        entry,
        row: heldRow(messageOf(entry), 'dead', new Date(), { reason, description, source }),
      });
    }
  }
  return sorted;
}
