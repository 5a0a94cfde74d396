// Writes notices and puts them into inboxes, in the handler's transaction and in one statement for a whole batch.
import { cardJson } from '../kit/card.ts';
import { statement, type Tx } from '../kit/database.ts';
import type { Head } from './item.ts';
import type { Notice } from './notice.ts';

export type NewNotice = { readonly notice: Notice; readonly toInbox: boolean };

/** A notice that was new; `position` and `head` are there when it went into the inbox. */
export type Appended<N extends NewNotice = NewNotice> = {
  /** As it was given. */
  readonly given: N;
  readonly position: number | undefined;
  readonly head: Head | undefined;
};

type AppendedRow = {
  nr: number;
  position: number | null;
  last_position: number;
  unseen: number;
  unread: number;
  marks: number;
};

// A notice that is there already (the event is replayed) is passed over, and then nothing follows from it. The heads are
// locked in order of recipient, so two batches for the same people wait for each other and never deadlock; they stay
// locked until the commit, which is what makes positions gap-free in commit order.
const APPEND = statement(
  'inbox.append',
  `with given as (
     select recipient_id, id, topic, partition, sequence, event_id, notification, category, urgency, card, created_at,
       to_inbox, nr
     from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::int8[], $6::text[], $7::text[], $8::text[],
       $9::text[], $10::json[], $11::timestamptz[], $12::bool[]) with ordinality as given (recipient_id, id, topic,
       partition, sequence, event_id, notification, category, urgency, card, created_at, to_inbox, nr)
   ), made as (
     insert into notice (recipient_id, id, topic, partition, sequence, event_id, notification, category, urgency, card,
       created_at)
     select recipient_id, id, topic, partition, sequence, event_id, notification, category, urgency, card, created_at
     from given
     on conflict do nothing
     returning recipient_id, id
   ), fresh as (
     select given.nr, given.recipient_id, given.id, given.created_at, given.to_inbox
     from given join made on made.recipient_id = given.recipient_id and made.id = given.id
   ), placed as (
     select nr, recipient_id, id, created_at, row_number() over person as place, count(*) over (partition by recipient_id) as size
     from fresh where to_inbox
     window person as (partition by recipient_id order by nr)
   ), heads as (
     insert into inbox (recipient_id, last_position, unseen, unread)
     select recipient_id, size, size, size from placed where place = 1 order by recipient_id
     on conflict (recipient_id) do update set last_position = inbox.last_position + excluded.last_position,
       unseen = inbox.unseen + excluded.unseen, unread = inbox.unread + excluded.unread
     returning recipient_id, last_position, unseen, unread, marks
   ), positioned as (
     select nr, placed.recipient_id, id, created_at, last_position - size + place as position, last_position, unseen,
       unread, marks
     from placed join heads on heads.recipient_id = placed.recipient_id
   ), items as (
     insert into inbox_item (recipient_id, position, notice_id, created_at)
     select recipient_id, position, id, created_at from positioned
   )
   select fresh.nr, position, last_position, unseen, unread, marks
   from fresh left join positioned on positioned.nr = fresh.nr`,
);

/** Writes those of `notices` (no two with the same id) that are not there yet, and returns them in their order. */
export async function appendNotices<N extends NewNotice>(tx: Tx, notices: readonly N[]): Promise<Appended<N>[]> {
  if (notices.length === 0) return [];
  const column = <K extends keyof Notice>(key: K) => notices.map(({ notice }) => notice[key]);
  const rows = await tx.query<AppendedRow>(APPEND, [
    column('recipientId'),
    column('id'),
    column('topic'),
    column('partition'),
    column('sequence'),
    column('eventId'),
    column('notification'),
    column('category'),
    column('urgency'),
    notices.map(({ notice }) => cardJson(notice.card)),
    column('createdAt'),
    notices.map(({ toInbox }) => toInbox),
  ]);
  return rows.sort((a, b) => a.nr - b.nr).map((row) => appended(notices[row.nr - 1]!, row));
}

function appended<N extends NewNotice>(given: N, row: AppendedRow): Appended<N> {
  if (row.position === null) return { given, position: undefined, head: undefined };
  const { last_position: position, unseen, unread, marks } = row;
  return { given, position: row.position, head: { position, unseen, unread, marks } };
}
