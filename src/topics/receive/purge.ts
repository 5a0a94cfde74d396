// Throwing away everything that waits: for a subscription up to the end of its log, for dead letters all rows. What is
// locked stays with its holder.
import { int8Array } from '../../kit/arrays.ts';
import { statement } from '../../kit/database.ts';
import type { EntityKind } from '../entities/path.ts';
import type { Cursor } from '../owner/cursor.ts';

// Only the owner purges: the row of ownership is compared and locked like for every write of progress. Dead letters that
// were deferred are none of the living.
const DELETE_HELD = statement(
  'topics.purge.held',
  `with o as (
     select 1 from partition_owner where topic = $1 and part = $3 and epoch = $6 for share
   ), gone as (
     delete from held
      where subscription = $2 and part = $3 and state = any($4::text[]) and not (sequence = any($5::bigint[]))
        and (state <> 'deferred' or source is null) and exists (select from o)
     returning state
   )
   select count(*)::int as deferred from gone where state = 'deferred'`,
);

/** How many messages were thrown away. */
export async function purge(cursor: Cursor, kind: EntityKind): Promise<number> {
  return kind === 'live' ? purgeLiving(cursor) : purgeDead(cursor, kind);
}

async function purgeLiving(cursor: Cursor): Promise<number> {
  const before = cursor.active + cursor.deferred;
  cursor.skipToEnd();
  await cursor.record({ done: [], ranges: cursor.doneRanges() });
  const retried = [...cursor.retry.all].filter((entry) => entry.state === 'locked');
  const deferred = [...cursor.deferredLocked.values()];
  const kept = [...retried, ...deferred].map((entry) => entry.sequence);
  for (const entry of cursor.retry.all) if (entry.state === 'ready') entry.state = 'done';
  const gone = await deleteHeld(cursor, ['retry', 'deferred'], kept);
  cursor.retry.clear(retried);
  cursor.deferred -= gone;
  return before - cursor.active - cursor.deferred;
}

async function purgeDead(cursor: Cursor, kind: 'dead' | 'transfer'): Promise<number> {
  const shelf = cursor[kind];
  const before = shelf.count;
  const locked = [...shelf.all].filter((entry) => entry.state === 'locked');
  for (const entry of shelf.all) if (entry.state === 'ready') entry.state = 'done';
  await deleteHeld(
    cursor,
    [kind],
    locked.map((entry) => entry.sequence),
  );
  shelf.clear(locked);
  return before - shelf.count;
}

/** How many of them were deferred. */
async function deleteHeld(cursor: Cursor, states: readonly string[], kept: readonly number[]): Promise<number> {
  const { topic, part, epoch, sql } = cursor.partition;
  const values = [topic.id, cursor.subscription.id, part, states, int8Array(kept), epoch];
  const [row] = await sql.query<{ deferred: number }>(DELETE_HELD, values);
  return row!.deferred;
}
