// What consumers have completed, made durable: all changes of all subscriptions of this node that gathered during the
// last flush go out in one statement. Rows are only appended; the truth is the union of a subscription's rows, so it does
// not matter in which order two of them commit, and two flushes may be under way at once. Held rows are replaced and
// deleted, so the flushes that write any are one after the other. Every row is fenced: it is written only while this node
// still owns the partition under the same epoch.

import { byteaArray, int2Array, int4Array } from '../../kit/arrays.ts';
import { type Database, type Sql, type Statement, sqlState, statement } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';
import { Reader, Writer } from '../log/bytes.ts';
import { Connection, tellDiskFull, throughOutages } from '../log/connection.ts';
import { type HeldChange, heldValues, NO_HELD } from '../receive/held.ts';
import type { EmitTopics } from '../signals.ts';
import type { Cursor } from './cursor.ts';
import { type Range, Ranges, toRanges } from './ranges.ts';

/** What became of messages of one cursor. */
export type Change = {
  /** Sequences that the subscription is done with. */
  readonly done: readonly number[];
  /** More that is done, as ranges. */
  readonly ranges?: readonly Range[] | undefined;
  /** New delivery counts, by sequence. */
  readonly counts?: ReadonlyMap<number, number> | undefined;
  readonly held?: HeldChange | undefined;
};

const FENCED = `
  d as (
    select * from unnest($1::int[], $2::int[], $3::smallint[], $4::int[], $5::int[], $6::smallint[], $7::bytea[])
      as d(topic, subscription, part, incarnation, epoch, kind, data)
  ), o as (
    select o.topic, o.part, o.epoch from partition_owner o
     where (o.topic, o.part) in (select topic, part from d) for share of o
  ), ok as (
    select d.* from d join o on o.topic = d.topic and o.part = d.part and o.epoch = d.epoch
  ), p as (
    insert into progress (slot, topic, subscription, part, incarnation, epoch, kind, data)
    select s.slot, ok.topic, ok.subscription, ok.part, ok.incarnation, ok.epoch, ok.kind, ok.data
      from ok, progress_slot s
    returning subscription, part, slot
  )`;

const WRITTEN = 'select subscription, part, slot from p';

const APPEND_PROGRESS = statement('topics.progress', `with ${FENCED} ${WRITTEN}`);

const APPEND_WITH_HELD = statement(
  'topics.progress.held',
  `with ${FENCED}, gone as (
     delete from held h using ok, unnest($8::int[], $9::smallint[], $10::bigint[]) as r(subscription, part, sequence)
      where ok.subscription = r.subscription and ok.part = r.part
        and h.subscription = r.subscription and h.part = r.part and h.sequence = r.sequence
   ), kept as (
     insert into held (subscription, part, sequence, state, delivery_count, enqueued_at, expires_at, visible_at, held_at,
                       reason, description, source, record)
     select h.* from unnest($11::int[], $12::smallint[], $13::bigint[], $14::text[], $15::int[], $16::timestamptz[],
                            $17::timestamptz[], $18::timestamptz[], $19::timestamptz[], $20::text[], $21::text[],
                            $22::text[], $23::bytea[])
            as h(subscription, part, sequence, state, delivery_count, enqueued_at, expires_at, visible_at, held_at,
                 reason, description, source, record)
       join ok on ok.subscription = h.subscription and ok.part = h.part
     on conflict (subscription, part, sequence) do update
       set state = excluded.state, delivery_count = excluded.delivery_count, expires_at = excluded.expires_at,
           visible_at = excluded.visible_at, held_at = excluded.held_at, reason = excluded.reason,
           description = excluded.description, source = excluded.source, record = excluded.record
   )
   ${WRITTEN}`,
);

// For a transaction that must not commit without its row: the statement fails (SQLSTATE CA001) where the others write
// nothing, so that nobody has to wait for its answer before the commit.
const OR_FAIL =
  'select case when (select count(*) from p) = cardinality($1::int[]) then 0 else refuse_flush() end as ok';
const APPEND_OR_FAIL = statement('topics.progress.fenced', `with ${FENCED} ${OR_FAIL}`);
const APPEND_WITH_HELD_OR_FAIL = statement(
  'topics.progress.held.fenced',
  APPEND_WITH_HELD.text.replace(WRITTEN, OR_FAIL),
);

/**
 * 0: what was new. 1: everything so far, so that older rows are not needed. 2: everything, as the last word of an owner
 * that let go: nothing that its counts do not say was interrupted.
 */
type Kind = 0 | 1 | 2;

type Row = {
  readonly cursor: Cursor;
  readonly kind: Kind;
  readonly data: Buffer;
  readonly held: HeldChange | undefined;
};

async function append(sql: Sql, rows: readonly Row[]): Promise<Written[]> {
  return run<Written>(sql, rows, APPEND_PROGRESS, APPEND_WITH_HELD);
}

function run<R>(sql: Sql, rows: readonly Row[], plain: Statement, withHeld: Statement): Promise<R[]> {
  const values: unknown[] = [
    int4Array(rows.map(({ cursor }) => cursor.partition.topic.id)),
    int4Array(rows.map(({ cursor }) => cursor.subscription.id)),
    int2Array(rows.map(({ cursor }) => cursor.partition.part)),
    int4Array(rows.map(({ cursor }) => cursor.subscription.incarnation)),
    int4Array(rows.map(({ cursor }) => cursor.partition.epoch)),
    int2Array(rows.map(({ kind }) => kind)),
    byteaArray(rows.map(({ data }) => data)),
  ];
  return rows.some(({ held }) => held)
    ? sql.query<R>(withHeld, values.concat(heldValues(rows.map(heldOf))))
    : sql.query<R>(plain, values);
}

type Written = { subscription: number; part: number; slot: number };

function heldOf({ cursor, held }: Row): { subscription: number; part: number } & HeldChange {
  return { subscription: cursor.subscription.id, part: cursor.partition.part, ...(held ?? NO_HELD) };
}

/**
 * Writes one change in the caller's transaction, which cannot commit without it. Throws `lock_lost` when this node no
 * longer owns the partition.
 */
export async function appendIn(sql: Sql, cursor: Cursor, change: Change): Promise<void> {
  const row: Row = { cursor, kind: 0, data: encodeProgress(cursor, change), held: change.held };
  try {
    await run(sql, [row], APPEND_OR_FAIL, APPEND_WITH_HELD_OR_FAIL);
  } catch (error) {
    if (sqlState(error) !== 'CA001') throw error;
    throw new Refusal('lock_lost', 'Another node owns the partition now; the batch comes again.');
  }
}

/** Flushes under way at once: while one waits for the disk, what completes meanwhile need not wait for it. */
const LANES = 2;

type Pending = { done: number[]; ranges: Range[]; counts: Map<number, number>; held: HeldChange[] };

export class Progress {
  readonly #lanes: readonly Connection[];
  readonly #free: Connection[];
  readonly #emit: EmitTopics;
  readonly #deposed: (cursor: Cursor) => void;
  readonly #stop = new AbortController();
  #pending = new Map<Cursor, Pending>();
  #next: PromiseWithResolvers<void> | undefined;
  readonly #running = new Set<Promise<void>>();
  /** What was written last, or is being written, by a snapshot: no flush begins before it has ended. */
  #snapshot: Promise<void> = Promise.resolve();
  /** The last flush that writes held rows: the next one that does begins when it has ended. */
  #held: Promise<void> = Promise.resolve();
  readonly #flushes = new Set<Promise<void>>();
  readonly #transactions = new Set<Promise<unknown>>();

  /** `deposed` is told of a cursor whose row was refused because another node owns the partition. */
  constructor(database: Database, emit: EmitTopics, deposed: (cursor: Cursor) => void) {
    const setup = ['set plan_cache_mode = force_generic_plan; set enable_hashjoin = off; set enable_mergejoin = off'];
    this.#lanes = Array.from({ length: LANES }, () => new Connection(database, 'progress', setup));
    this.#free = [...this.#lanes];
    this.#emit = emit;
    this.#deposed = deposed;
  }

  /** Resolves when the change is durable, or when it is known that this node is not the owner (then the cursor is lost). */
  record(cursor: Cursor, change: Change): Promise<void> {
    let pending = this.#pending.get(cursor);
    if (!pending) {
      pending = { done: [], ranges: [], counts: new Map(), held: [] };
      this.#pending.set(cursor, pending);
    }
    for (const sequence of change.done) pending.done.push(sequence);
    pending.ranges.push(...(change.ranges ?? []));
    for (const [sequence, count] of change.counts ?? []) pending.counts.set(sequence, count);
    if (change.held) pending.held.push(change.held);
    if (!this.#next) {
      this.#next = Promise.withResolvers<void>();
      const lane = this.#free.pop();
      if (lane) this.#start(lane);
    }
    return this.#next.promise;
  }

  #start(lane: Connection): void {
    const running = this.#run(lane).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #run(lane: Connection): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#next) {
      const flushed = this.#next;
      const changes = this.#pending;
      this.#next = undefined;
      this.#pending = new Map();
      try {
        await this.#flush(
          lane,
          [...changes].filter(([cursor]) => !cursor.partition.lost),
        );
        flushed.resolve();
      } catch (error) {
        flushed.reject(tellDiskFull(error));
      }
    }
    this.#free.push(lane);
  }

  async #flush(lane: Connection, changes: readonly [Cursor, Pending][]): Promise<void> {
    const rows = changes.map(([cursor, pending]): Row => {
      const held = pending.held.length > 0 ? joinHeld(pending.held) : undefined;
      return { cursor, kind: 0, data: encodeProgress(cursor, pending), held };
    });
    if (rows.length === 0) return;
    if (!rows.some(({ held }) => held)) return this.#begin(lane, rows);
    const turn = this.#held.then(() => this.#begin(lane, rows));
    this.#held = turn.catch(() => {});
    return turn;
  }

  async #begin(lane: Connection, rows: readonly Row[]): Promise<void> {
    for (let before: unknown; before !== this.#snapshot; await before) before = this.#snapshot;
    const flush = this.#write(lane, rows);
    this.#flushes.add(flush);
    await flush.finally(() => this.#flushes.delete(flush));
  }

  async #write(lane: Connection, rows: readonly Row[], signal = this.#stop.signal): Promise<void> {
    // Repeating after a lost answer is safe: the union of two equal rows is one.
    const written = await throughOutages(() => append(lane, rows), {
      signal,
      onOutage: (error) => this.#emit({ name: 'topics.database_away', where: 'progress', error }),
    });
    const accepted = new Set(written.map((row) => `${row.subscription}/${row.part}`));
    for (const { cursor } of rows) {
      if (!accepted.has(`${cursor.subscription.id}/${cursor.partition.part}`)) this.#deposed(cursor);
    }
  }

  /**
   * Resolves when what was recorded of held rows so far is written, or could not be: a transaction that writes such rows
   * by itself waits for it, so that it is not overtaken.
   */
  async heldWritten(): Promise<void> {
    await this.#next?.promise.catch(() => {}); // Whoever recorded it is told.
    await this.#held;
  }

  /** Awaits a transaction that appends progress by itself, so that a snapshot knows of it. */
  async track<T>(transaction: Promise<T>): Promise<T> {
    this.#transactions.add(transaction);
    try {
      return await transaction;
    } finally {
      this.#transactions.delete(transaction);
    }
  }

  /**
   * Writes everything that these cursors have done as one row each, so that their older rows are not needed. Rows of
   * transactions that were under way when this was called are in it, or younger than it.
   */
  async snapshot(cursors: readonly Cursor[]): Promise<void> {
    await Promise.allSettled([...this.#transactions]);
    const living = cursors.filter((cursor) => !cursor.closed.aborted);
    for (let i = 0; i < living.length; i += 500) {
      await this.#exclusively(async () => {
        // Whoever waited for the flush before this takes its entries out first; they are in the old rows only.
        await new Promise((resolve) => setImmediate(resolve));
        await this.#write(
          this.#lanes[0]!,
          living.slice(i, i + 500).map((cursor) => wholeRow(cursor, 1)),
        );
      });
    }
  }

  /** The last word about cursors that hand out nothing any more. Does not wait for a PostgreSQL that is away. */
  async end(cursors: readonly Cursor[]): Promise<void> {
    await Promise.allSettled([...this.#transactions]);
    for (let i = 0; i < cursors.length; i += 500) {
      const rows = cursors.slice(i, i + 500).map((cursor) => wholeRow(cursor, 2));
      await this.#exclusively(() => this.#write(this.#lanes[0]!, rows, AbortSignal.abort()));
    }
  }

  /** A snapshot is written when no flush is under way. */
  #exclusively(work: () => Promise<void>): Promise<void> {
    const turn = this.#snapshot.then(async () => {
      await Promise.allSettled(this.#flushes);
      await work();
    });
    this.#snapshot = turn.catch(() => {});
    return turn;
  }

  /** Flushes what was recorded; gives up at once if PostgreSQL is away. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
    await Promise.all(this.#lanes.map((lane) => lane.close()));
  }
}

function wholeRow(cursor: Cursor, kind: 1 | 2): Row {
  const change = { done: [], ranges: cursor.doneRanges(), counts: cursor.allCounts(kind === 2) };
  return { cursor, kind, data: encodeProgress(cursor, change), held: undefined };
}

/** The last word on a message counts: a later change of the same flush replaces an earlier one. */
function joinHeld(all: readonly HeldChange[]): HeldChange {
  const last = new Map<number, HeldChange['put'][number] | undefined>();
  for (const { put, removed } of all) {
    for (const sequence of removed) last.set(sequence, undefined);
    for (const row of put) last.set(row.sequence, row);
  }
  const removed = [...last].flatMap(([sequence, row]) => (row ? [] : [sequence]));
  return { put: [...last.values()].filter((row) => row !== undefined), removed };
}

/** floor, how far the log was handed out, ranges done (gap and length), delivery counts (offset and count). */
function encodeProgress(cursor: Cursor, change: Pick<Change, 'done' | 'ranges' | 'counts'>): Buffer {
  const out = new Writer(64);
  const floor = cursor.floorWith(change.done);
  out.varint(floor);
  // What was done beyond `next` before a restart may let the floor be ahead of it.
  out.varint(Math.max(0, cursor.next - floor));
  const ranges = rangesOf(change).filter((range) => range.end > floor);
  out.varint(ranges.length);
  let at = 0;
  for (const { start, end } of ranges) {
    out.varint(start - at);
    out.varint(end - start);
    at = end;
  }
  out.varint(change.counts?.size ?? 0);
  for (const [sequence, count] of change.counts ?? []) {
    out.varint(sequence);
    out.varint(count);
  }
  return out.finish();
}

function rangesOf({ done, ranges = [] }: Pick<Change, 'done' | 'ranges'>): readonly Range[] {
  const own = done.length === 0 ? [] : toRanges(done);
  if (ranges.length === 0) return own;
  const all = new Ranges();
  for (const { start, end } of [...own, ...ranges]) all.add(start, end);
  return all.list;
}

/** What is known of a cursor after its rows were read. */
export type Recovered = {
  /** Everything below this is done. */
  floor: number;
  /** Everything below this may have been handed out. */
  handedOut: number;
  readonly done: Ranges;
  readonly counts: Map<number, number>;
};

export function decodeProgress(bytes: Buffer, into: Recovered): void {
  const from = new Reader(bytes);
  const floor = from.varint();
  into.floor = Math.max(into.floor, floor);
  into.handedOut = Math.max(into.handedOut, floor + from.varint());
  let at = 0;
  for (let left = from.varint(); left > 0; left--) {
    const start = at + from.varint();
    at = start + from.varint();
    into.done.add(start, at);
  }
  for (let left = from.varint(); left > 0; left--) {
    const sequence = from.varint();
    into.counts.set(sequence, Math.max(into.counts.get(sequence) ?? 0, from.varint()));
  }
}

export type ProgressRow = {
  readonly subscription: number;
  readonly part: number;
  readonly incarnation: number;
  readonly epoch: number;
  readonly kind: number;
  readonly data: Buffer;
};

const SELECT_PROGRESS = statement(
  'topics.progress.read',
  'select subscription, part, incarnation, epoch, kind, data from progress where topic = any($1)',
);

/** Reads what is known of these cursors' pasts. The caller owns the partitions already, so nothing more is written. */
export async function readProgress(sql: Sql, topics: readonly number[]): Promise<ProgressRow[]> {
  return sql.query(SELECT_PROGRESS, [topics]);
}
