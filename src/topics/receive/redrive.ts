// Bringing dead letters back to the subscription in which they died: one, by cause, or all. They keep their number and
// start with a delivery count of zero. A page at a time, so that millions never lie in memory.
import { int8Array } from '../../kit/arrays.ts';
import { type Sql, statement } from '../../kit/database.ts';
import type { Cursor } from '../owner/cursor.ts';
import { newEntry } from './entry.ts';
import { findHeld, heldRow } from './held.ts';

/** Absent fields do not restrict. */
export type DeadSelection = {
  readonly sequences?: readonly number[] | undefined;
  readonly reason?: string | undefined;
};

const PAGE = 500;

const SELECT_DEAD = statement(
  'topics.redrive.select',
  `select sequence from held
    where subscription = $1 and part = $2 and state = 'dead' and sequence > $3
      and ($4::text is null or coalesce(reason, '') = $4) and ($5::bigint[] is null or sequence = any($5))
    order by sequence limit $6`,
);

const CAUSES = statement(
  'topics.redrive.causes',
  `select coalesce(reason, '') as reason, count(*)::int as count, min(held_at) as first, max(held_at) as last
     from held where subscription = $1 and state = 'dead' group by 1 order by 2 desc, 1`,
);

export type Cause = {
  readonly reason: string;
  readonly count: number;
  readonly first: Date;
  readonly last: Date;
};

/** Why the dead letters of a subscription died, the most frequent cause first. */
export function deadCauses(sql: Sql, subscriptionId: number): Promise<Cause[]> {
  return sql.query<Cause>(CAUSES, [subscriptionId]);
}

/** Moves the next page after sequence `after`; `last` is where the page after it begins, undefined at the end. */
export async function redrivePage(
  cursor: Cursor,
  which: DeadSelection,
  after: number,
): Promise<{ moved: number; last: number | undefined }> {
  // No message has a number beyond those.
  const sequences = which.sequences ? int8Array(which.sequences.filter(Number.isSafeInteger)) : null;
  const values = [cursor.subscription.id, cursor.partition.part, after, which.reason ?? null, sequences, PAGE];
  const rows = await cursor.partition.sql.query<{ sequence: number }>(SELECT_DEAD, values);
  const found = rows.map((row) => row.sequence);
  // A dead letter that a receiver has locked is that receiver's.
  const free = found.filter((sequence) => isFree(cursor, sequence));
  if (free.length > 0) await revive(cursor, free);
  return { moved: free.length, last: rows.length < PAGE ? undefined : found.at(-1) };
}

function isFree(cursor: Cursor, sequence: number): boolean {
  const entry = cursor.dead.find(sequence);
  return entry === undefined || entry.state === 'ready';
}

/** Those in memory are out of circulation meanwhile, and in it again where nothing could be written. */
async function revive(cursor: Cursor, sequences: readonly number[]): Promise<void> {
  const known = sequences.flatMap((sequence) => cursor.dead.find(sequence) ?? []);
  for (const entry of known) entry.state = 'settling';
  try {
    await move(cursor, sequences);
  } catch (error) {
    for (const entry of known) {
      entry.state = 'ready';
      cursor.dead.desk.offer(entry);
    }
    cursor.dead.desk.pump();
    throw error;
  }
}

async function move(cursor: Cursor, sequences: readonly number[]): Promise<void> {
  const dead = await findHeld(cursor.partition.sql, cursor, 'dead', sequences);
  const revived = dead.map(({ message }) => ({
    ...message,
    deliveryCount: 0,
    deadLetterReason: undefined,
    deadLetterDescription: undefined,
    deadLetterSource: undefined,
  }));
  const put = revived.map((message) => heldRow(message, 'retry', new Date()));
  await cursor.record({ done: [], held: { put, removed: [] } });
  for (const message of revived) {
    const entry = cursor.dead.find(message.sequence);
    if (entry) entry.state = 'done';
    cursor.dead.forget(message.sequence);
    cursor.retry.put(newEntry(message, 'retry', 0, Number.POSITIVE_INFINITY));
  }
  cursor.pump();
}
