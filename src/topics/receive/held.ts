// Messages that left the log for one subscription and are kept with their content: deferred, dead-lettered, and those
// whose properties were changed when they were given back.

import { byteaArray, int2Array, int4Array, int8Array } from '../../kit/arrays.ts';
import { type Sql, statement } from '../../kit/database.ts';
import { decodeRecord, encodeRecord } from '../log/record.ts';
import type { Message } from '../message.ts';
import type { Cursor } from '../owner/cursor.ts';
import { type Entry, newEntry } from './entry.ts';

export type HeldState = 'retry' | 'deferred' | 'dead' | 'transfer';

export type HeldRow = {
  readonly sequence: number;
  readonly state: HeldState;
  readonly deliveryCount: number;
  readonly enqueuedAt: Date;
  readonly expiresAt: Date | undefined;
  readonly visibleAt: Date | undefined;
  readonly heldAt: Date;
  readonly reason: string | undefined;
  readonly description: string | undefined;
  readonly source: string | undefined;
  readonly record: Buffer;
};

/** Rows to write (or overwrite) and sequences to remove, of one subscription in one partition. */
export type HeldChange = { readonly put: readonly HeldRow[]; readonly removed: readonly number[] };

export const NO_HELD: HeldChange = { put: [], removed: [] };

type Why = Partial<Pick<HeldRow, 'reason' | 'description' | 'source' | 'visibleAt'>>;

export function heldRow(message: Message, state: HeldState, heldAt: Date, why: Why = {}): HeldRow {
  const { sequence, deliveryCount, enqueuedAt, expiresAt, hops, originalSequence } = message;
  return {
    sequence,
    state,
    deliveryCount,
    enqueuedAt,
    expiresAt,
    visibleAt: why.visibleAt,
    heldAt,
    reason: why.reason?.slice(0, 4096),
    description: why.description?.slice(0, 4096),
    source: why.source,
    record: encodeRecord(message, { hops, originalSequence }),
  };
}

type Owned = { readonly subscription: number; readonly part: number } & HeldChange;

/** The parameters of a statement that removes and writes held rows. */
export function heldValues(all: readonly Owned[]): unknown[] {
  const removed = all.flatMap((each) => each.removed.map((sequence) => ({ ...each, sequence })));
  const put = all.flatMap((each) => each.put.map((row) => ({ subscription: each.subscription, part: each.part, row })));
  const rows = put.map(({ row }) => row);
  return [
    int4Array(removed.map((each) => each.subscription)),
    int2Array(removed.map((each) => each.part)),
    int8Array(removed.map((each) => each.sequence)),
    int4Array(put.map((each) => each.subscription)),
    int2Array(put.map((each) => each.part)),
    int8Array(rows.map((row) => row.sequence)),
    rows.map((row) => row.state),
    int4Array(rows.map((row) => row.deliveryCount)),
    rows.map((row) => row.enqueuedAt),
    rows.map((row) => row.expiresAt ?? null),
    rows.map((row) => row.visibleAt ?? null),
    rows.map((row) => row.heldAt),
    rows.map((row) => row.reason ?? null),
    rows.map((row) => row.description ?? null),
    rows.map((row) => row.source ?? null),
    byteaArray(rows.map((row) => row.record)),
  ];
}

export type HeldCounts = {
  readonly retry: number;
  readonly deferred: number;
  readonly dead: number;
  readonly transfer: number;
};

const NOTHING: HeldCounts = { retry: 0, deferred: 0, dead: 0, transfer: 0 };

const COUNT_HELD = statement(
  'topics.held.count',
  `select h.subscription, h.part, h.state, count(*)::int as count
     from held h join subscription s on s.id = h.subscription
    where s.topic = any($1) group by h.subscription, h.part, h.state`,
);

/** How many held rows the subscriptions of these topics have. Returns a lookup by subscription and partition. */
export async function countHeld(
  sql: Sql,
  topics: readonly number[],
): Promise<(subscription: number, part: number) => HeldCounts> {
  type Row = { subscription: number; part: number; state: keyof HeldCounts; count: number };
  const found = new Map<string, HeldCounts>();
  for (const row of await sql.query<Row>(COUNT_HELD, [topics])) {
    const key = `${row.subscription}/${row.part}`;
    found.set(key, { ...(found.get(key) ?? NOTHING), [row.state]: row.count });
  }
  return (subscription, part) => found.get(`${subscription}/${part}`) ?? NOTHING;
}

const COLUMNS = `sequence, state, delivery_count, enqueued_at, expires_at, visible_at, held_at, reason, description,
  source, record`;
const LOAD_HELD = statement(
  'topics.held.load',
  `select ${COLUMNS} from held
    where subscription = $1 and state = $2 and part = $3 and sequence >= $4
      and ($6::boolean is null or (source is not null) = $6)
    order by sequence limit $5`,
);
const FIND_HELD = statement(
  'topics.held.find',
  `select ${COLUMNS} from held where subscription = $1 and part = $2 and state = $3 and sequence = any($4)
    order by sequence`,
);

type HeldColumns = {
  sequence: number;
  state: HeldState;
  delivery_count: number;
  enqueued_at: Date;
  expires_at: Date | null;
  visible_at: Date | null;
  held_at: Date;
  reason: string | null;
  description: string | null;
  source: string | null;
  record: Buffer;
};

type HeldPage = {
  readonly from: number;
  readonly limit: number;
  /** Of deferred messages: those that were deferred among the dead letters, or the others. */
  readonly died?: boolean;
};

/** Rows of one state from a sequence on, as entries that wait. */
export async function loadHeld(
  sql: Sql,
  cursor: Cursor,
  home: HeldState,
  { from, limit, died }: HeldPage,
): Promise<Entry[]> {
  const values = [cursor.subscription.id, home, cursor.partition.part, from, limit, died ?? null];
  return (await sql.query<HeldColumns>(LOAD_HELD, values)).map((row) => heldEntry(cursor, home, fromColumns(row)));
}

export async function findHeld(
  sql: Sql,
  cursor: Cursor,
  home: HeldState,
  sequences: readonly number[],
): Promise<Entry[]> {
  const values = [cursor.subscription.id, cursor.partition.part, home, sequences];
  return (await sql.query<HeldColumns>(FIND_HELD, values)).map((row) => heldEntry(cursor, home, fromColumns(row)));
}

function heldEntry(cursor: Cursor, home: HeldState, row: HeldRow): Entry {
  const expiresAt = home === 'retry' ? (row.expiresAt?.getTime() ?? Infinity) : Infinity;
  return newEntry(heldMessage(cursor, row), home, row.deliveryCount, expiresAt);
}

function fromColumns(row: HeldColumns): HeldRow {
  return {
    sequence: row.sequence,
    state: row.state,
    deliveryCount: row.delivery_count,
    enqueuedAt: row.enqueued_at,
    expiresAt: row.expires_at ?? undefined,
    visibleAt: row.visible_at ?? undefined,
    heldAt: row.held_at,
    reason: row.reason ?? undefined,
    description: row.description ?? undefined,
    source: row.source ?? undefined,
    record: row.record,
  };
}

/** Whether the message is a dead letter, deferred or not: only those say where they died. */
export function hasDied(message: Message): boolean {
  return message.deadLetterSource !== undefined;
}

/** The message of a held row. A dead one says why it died, and does not expire. */
export function heldMessage(cursor: Cursor, row: HeldRow): Message {
  const { partition } = cursor;
  const place = { topic: partition.topic.name, partition: partition.part, sequence: row.sequence };
  const message = decodeRecord(row.record, { ...place, enqueuedAt: row.enqueuedAt });
  const held = { ...message, deliveryCount: row.deliveryCount };
  if (row.source === undefined) return { ...held, expiresAt: row.expiresAt };
  return {
    ...held,
    deadLetterSource: row.source,
    deadLetterReason: row.reason,
    deadLetterDescription: row.description,
  };
}
