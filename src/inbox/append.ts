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

// A notice that is there already (its event is replayed) is passed over, and then nothing follows from it.
const INSERT_NOTICES = statement(
  'inbox.insert-notices',
  `insert into notice (recipient_id, id, topic, partition, sequence, event_id, notification, category, urgency, card,
     created_at)
   select recipient_id, id, topic, partition, sequence, event_id, notification, category, urgency, card, $11
   from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::int8[], $6::text[], $7::text[], $8::text[],
     $9::text[], $10::text[]) as given (recipient_id, id, topic, partition, sequence, event_id, notification,
     category, urgency, card)
   on conflict do nothing
   returning id`,
);

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

const INSERT_ITEMS = statement(
  'inbox.insert-items',
  `insert into inbox_item (recipient_id, position, notice_id, created_at)
   select recipient_id, position, notice_id, $4
   from unnest($1::text[], $2::int8[], $3::text[]) as given (recipient_id, position, notice_id)`,
);

/**
 * Writes those of `notices` that are not there yet and returns them in their order. No two have the same id, and all
 * are created at the same moment. What is returned must go into the inboxes by `placeNotices`, in the same transaction.
 */
export async function insertNotices<N extends NewNotice>(tx: Tx, notices: readonly N[]): Promise<readonly N[]> {
  if (notices.length === 0) return [];
  const texts = <K extends TextColumn>(key: K) => textArray(notices.map(({ notice }) => notice[key]));
  const rows = await tx.query<{ id: string }>(INSERT_NOTICES, [
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
  ]);
  if (rows.length === notices.length) return notices;
  const made = new Set(rows.map((row) => row.id));
  return notices.filter(({ notice }) => made.has(notice.id));
}

/** Puts new notices into the inboxes of those who want them there. */
export async function placeNotices<N extends NewNotice>(tx: Tx, fresh: readonly N[]): Promise<Appended<N>[]> {
  const heads = await moveHeads(
    tx,
    fresh.filter(({ toInbox }) => toInbox),
  );
  const places = new Places(heads);
  const appended = fresh.map((given) =>
    given.toInbox ? places.take(given) : { given, position: undefined, head: undefined },
  );
  await insertItems(tx, appended);
  return appended;
}

/** Both at once. */
export async function appendNotices<N extends NewNotice>(tx: Tx, notices: readonly N[]): Promise<Appended<N>[]> {
  return placeNotices(tx, await insertNotices(tx, notices));
}

type TextColumn = Exclude<keyof Notice, 'partition' | 'sequence' | 'card' | 'createdAt'>;

/** Makes room for the notices: returns each person's head as it is after them, and how many of them there are. */
async function moveHeads(tx: Tx, notices: readonly NewNotice[]): Promise<Map<string, { head: Head; size: number }>> {
  if (notices.length === 0) return new Map();
  const sizes = new Map<string, number>();
  for (const { notice } of notices) sizes.set(notice.recipientId, (sizes.get(notice.recipientId) ?? 0) + 1);
  const ids = [...sizes.keys()].sort();
  const rows = await tx.query<Head & { recipient_id: string }>(MOVE_HEADS, [
    textArray(ids),
    int4Array(ids.map((id) => sizes.get(id)!)),
  ]);
  return new Map(rows.map(({ recipient_id, ...head }) => [recipient_id, { head, size: sizes.get(recipient_id)! }]));
}

/** Gives out the positions that the heads made room for. */
class Places {
  readonly #next: Map<string, number>;
  readonly #heads: ReadonlyMap<string, { readonly head: Head; readonly size: number }>;

  constructor(heads: ReadonlyMap<string, { readonly head: Head; readonly size: number }>) {
    this.#heads = heads;
    this.#next = new Map([...heads].map(([id, { head, size }]) => [id, head.position - size + 1]));
  }

  take<N extends NewNotice>(given: N): Appended<N> {
    const { recipientId } = given.notice;
    const position = this.#next.get(recipientId)!;
    this.#next.set(recipientId, position + 1);
    return { given, position, head: this.#heads.get(recipientId)!.head };
  }
}

async function insertItems(tx: Tx, appended: readonly Appended[]): Promise<void> {
  const items = appended.filter(({ position }) => position !== undefined);
  if (items.length === 0) return;
  await tx.query(INSERT_ITEMS, [
    textArray(items.map(({ given }) => given.notice.recipientId)),
    int8Array(items.map(({ position }) => position!)),
    textArray(items.map(({ given }) => given.notice.id)),
    items[0]!.given.notice.createdAt,
  ]);
}
