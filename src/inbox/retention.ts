// Takes old notices out of the inboxes, so that they do not grow for ever. Goes through the people in order of id, some
// hundred per transaction; the heads are locked before items are touched, as whoever changes an inbox does, so the
// counts stay right and positions keep growing.
import { int4Array, textArray } from '../kit/arrays.ts';
import { type Database, statement, type Tx } from '../kit/database.ts';

const PEOPLE_PER_CHUNK = 500;

const NEXT_PEOPLE = statement(
  'inbox.retention.people',
  `select recipient_id as id from (
     select distinct recipient_id from notice where recipient_id > $1 order by recipient_id limit $2
   ) as page order by 1`,
);

const WITH_OLD = statement(
  'inbox.retention.with-old',
  'select distinct recipient_id as id from notice where recipient_id = any($1::text[]) and created_at < $2',
);

const LOCK = statement(
  'inbox.retention.lock',
  'select recipient_id from inbox where recipient_id = any($1::text[]) order by recipient_id for update',
);

const DELETE_ITEMS = statement(
  'inbox.retention.delete-items',
  `with gone as (
     delete from inbox_item where recipient_id = any($1::text[]) and created_at < $2
     returning recipient_id, (seen_at is null and archived_at is null and recalled_at is null)::int as unseen,
       (read_at is null and archived_at is null and recalled_at is null)::int as unread
   )
   select recipient_id as id, sum(unseen)::int as unseen, sum(unread)::int as unread from gone group by recipient_id`,
);

const COUNT = statement(
  'inbox.retention.count',
  `update inbox set unseen = inbox.unseen - gone.unseen, unread = inbox.unread - gone.unread, marks = inbox.marks + 1
   from unnest($1::text[], $2::int[], $3::int[]) as gone (recipient_id, unseen, unread)
   where inbox.recipient_id = gone.recipient_id`,
);

const DELETE_NOTICES = statement(
  'inbox.retention.delete-notices',
  'delete from notice where recipient_id = any($1::text[]) and created_at < $2 returning 1',
);

export type Retention = { readonly now: Date; readonly keepDays: number; readonly signal?: AbortSignal };

/** Deletes notices, with their inbox items, that are older than `keepDays`; returns how many. Stops early by `signal`. */
export async function forgetOldNotices(database: Database, { now, keepDays, signal }: Retention): Promise<number> {
  const before = new Date(now.getTime() - keepDays * 86_400_000);
  let after = '';
  let deleted = 0;
  while (!signal?.aborted) {
    const page = await database.query<{ id: string }>(NEXT_PEOPLE, [after, PEOPLE_PER_CHUNK]);
    if (page.length === 0) break;
    after = page.at(-1)!.id;
    const old = await database.query<{ id: string }>(WITH_OLD, [textArray(page.map(({ id }) => id)), before]);
    if (old.length > 0)
      deleted += await database.transaction((tx) => forgetOf(tx, old.map(({ id }) => id).sort(), before));
  }
  return deleted;
}

async function forgetOf(tx: Tx, ids: readonly string[], before: Date): Promise<number> {
  const people = textArray(ids);
  await tx.query(LOCK, [people]);
  const gone = await tx.query<{ id: string; unseen: number; unread: number }>(DELETE_ITEMS, [people, before]);
  const column = (key: 'unseen' | 'unread') => int4Array(gone.map((row) => row[key]));
  if (gone.length > 0) await tx.query(COUNT, [textArray(gone.map(({ id }) => id)), column('unseen'), column('unread')]);
  return (await tx.query(DELETE_NOTICES, [people, before])).length;
}
