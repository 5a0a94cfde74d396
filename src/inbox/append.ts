// Writes notices and puts them into inboxes, in the handler's transaction, a whole batch at a time.
//
// Three statements, with the joins between them done here: as one statement with common table expressions PostgreSQL
// believes each of them to have one row and joins them by nested loops, which made 500 notices cost 86 ms, not 10.

import { int4Array, int8Array, textArray } from '../kit/arrays.ts';
import { statement, type Tx } from '../kit/database.ts';
import type { Head } from './item.ts';
import type { Notice } from './notice.ts';

/** `card` is the card of the notice as `cardJson` gives it. */
export type NewNotice = { readonly notice: Notice; readonly card: string; readonly toInbox: boolean };

/** A notice that was new; `position` and `head` are there when it went into the inbox. */
export type Appended<N extends NewNotice = NewNotice> = {
  /** As it was given. */
  readonly given: N;
  readonly position: number | undefined;
  readonly head: Head | undefined;
};

const INSERT = `insert into notice (recipient_id, id, topic, partition, sequence, event_id, notification, category, urgency, card,
     created_at)
   select recipient_id, id, topic, partition, sequence, event_id, notification, category, urgency, card, $11
   from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::int8[], $6::text[], $7::text[], $8::text[],
     $9::text[], $10::text[]) as given (recipient_id, id, topic, partition, sequence, event_id, notification,
     category, urgency, card)`;
const INSERT_NEW = statement('inbox.insert-new-notices', INSERT);
// A notice that is there already (its event is replayed) is passed over, and then nothing follows from it.
const INSERT_NOTICES = statement('inbox.insert-notices', `${INSERT} on conflict do nothing returning id`);

// The heads are locked in order of recipient, so two batches for the same people wait for each other and never deadlock;
// they stay locked until the commit, which is what makes positions gap-free in commit order.
const MOVE_HEADS = statement(
  'inbox.move-heads',
  `insert into inbox (recipient_id, last_position, unseen, unread)
   select recipient_id, size, size, size from unnest($1::text[], $2::int[]) as given (recipient_id, size)
   on conflict (recipient_id) do update set last_position = inbox.last_position + excluded.last_position,
     unseen = inbox.unseen + excluded.unseen, unread = inbox.unread + excluded.unread
   returning recipient_id, last_position as position, unseen, unread, marks`,
);

// Positions are counted back from the head, which the statement before has moved and locked: so nobody has to wait for
// its answer. A subquery, not a join: it looks each head up by its key, whatever the planner believes.
const INSERT_ITEMS = statement(
  'inbox.insert-items',
  `insert into inbox_item (recipient_id, position, notice_id, created_at)
   select recipient_id, (select last_position from inbox where inbox.recipient_id = given.recipient_id) - behind,
     notice_id, $4
   from unnest($1::text[], $2::int[], $3::text[]) as given (recipient_id, behind, notice_id)`,
);

/**
 * Writes those of `notices` that are not there yet and returns them in their order. No two have the same id, and all
 * are created at the same moment. What is returned must go into the inboxes by `placeNotices`, in the same transaction.
 */
export async function insertNotices<N extends NewNotice>(tx: Tx, notices: readonly N[]): Promise<readonly N[]> {
  if (notices.length === 0) return [];
  const rows = await tx.query<{ id: string }>(INSERT_NOTICES, columnsOf(notices));
  if (rows.length === notices.length) return notices;
  const made = new Set(rows.map((row) => row.id));
  return notices.filter(({ notice }) => made.has(notice.id));
}

/** The same, in the belief that none is there: fails (SQLSTATE 23505) when one is. */
export async function insertNewNotices(tx: Tx, notices: readonly NewNotice[]): Promise<void> {
  if (notices.length > 0) await tx.query(INSERT_NEW, columnsOf(notices));
}

function columnsOf(notices: readonly NewNotice[]): unknown[] {
  const texts = <K extends TextColumn>(key: K) => textArray(notices.map(({ notice }) => notice[key]));
  return [
    texts('recipientId'),
    texts('id'),
    texts('topic'),
    int4Array(notices.map(({ notice }) => notice.partition)),
    int8Array(notices.map(({ notice }) => notice.sequence)),
    texts('eventId'),
    texts('notification'),
    texts('category'),
    texts('urgency'),
    textArray(notices.map(({ card }) => card)),
    notices[0]!.notice.createdAt,
  ];
}

/** Puts new notices into the inboxes of those who want them there. One round trip. */
export async function placeNotices<N extends NewNotice>(tx: Tx, fresh: readonly N[]): Promise<Appended<N>[]> {
  const placed = fresh.filter(({ toInbox }) => toInbox);
  if (placed.length === 0) return fresh.map((given) => ({ given, position: undefined, head: undefined }));
  const places = countPlaces(placed);
  const moving = moveHeads(tx, places.sizes);
  const inserting = insertItems(tx, placed, places.behind);
  const [heads] = await Promise.all([moving, inserting]);
  return fresh.map((given) => {
    if (!given.toInbox) return { given, position: undefined, head: undefined };
    const head = heads.get(given.notice.recipientId)!;
    return { given, position: head.position - places.behind.get(given)!, head };
  });
}

/** Both at once. */
export async function appendNotices<N extends NewNotice>(tx: Tx, notices: readonly N[]): Promise<Appended<N>[]> {
  return placeNotices(tx, await insertNotices(tx, notices));
}

type TextColumn = Exclude<keyof Notice, 'partition' | 'sequence' | 'card' | 'createdAt' | 'recalledAt'>;

type Places = { readonly sizes: ReadonlyMap<string, number>; readonly behind: ReadonlyMap<NewNotice, number> };

/** How many notices each person gets, and how many of them come after each. */
function countPlaces(notices: readonly NewNotice[]): Places {
  const sizes = new Map<string, number>();
  const behind = new Map<NewNotice, number>();
  for (const given of notices.toReversed()) {
    const after = sizes.get(given.notice.recipientId) ?? 0;
    behind.set(given, after);
    sizes.set(given.notice.recipientId, after + 1);
  }
  return { sizes, behind };
}

/** Makes room: returns each person's head as it is after the notices. */
async function moveHeads(tx: Tx, sizes: Places['sizes']): Promise<Map<string, Head>> {
  const ids = [...sizes.keys()].sort();
  const rows = await tx.query<Head & { recipient_id: string }>(MOVE_HEADS, [
    textArray(ids),
    int4Array(ids.map((id) => sizes.get(id)!)),
  ]);
  return new Map(rows.map(({ recipient_id, ...head }) => [recipient_id, head]));
}

async function insertItems(tx: Tx, notices: readonly NewNotice[], behind: Places['behind']): Promise<void> {
  await tx.query(INSERT_ITEMS, [
    textArray(notices.map(({ notice }) => notice.recipientId)),
    int4Array(notices.map((given) => behind.get(given)!)),
    textArray(notices.map(({ notice }) => notice.id)),
    notices[0]!.notice.createdAt,
  ]);
}
