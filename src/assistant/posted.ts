// What was posted where: so that a repeated attempt posts once, and so that a card can be edited in place later.
import { int4Array, textArray, timestamptzArray } from '../kit/arrays.ts';
import { type Sql, statement } from '../kit/database.ts';
import type { Address, Place, Reference, ReferenceState, Surface } from './references/reference.ts';

export type PostedCard = Place & {
  readonly noticeId: string;
  readonly deliveryId: string;
  /** Undefined where the service told none. */
  readonly activityId: string | undefined;
  readonly postedAt: Date;
};

/** A card that is due to be edited, with the place where it stands. `failures`: edits that failed before. */
export type DueEdit = {
  readonly card: PostedCard;
  readonly reference: Reference;
  readonly failures: number;
  /** The claim: what was asked for since then is not cleared by it. */
  readonly claimedUntil: Date;
};

const RECORD = statement(
  'assistant.record-posted',
  `insert into posted_card (recipient_id, notice_id, channel, connection, place, delivery_id, activity_id, posted_at)
   select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[])
   on conflict (recipient_id, notice_id, channel, connection, place, delivery_id)
     do update set activity_id = excluded.activity_id, posted_at = excluded.posted_at`,
);

const POSTED = statement(
  'assistant.posted-deliveries',
  'select delivery_id, activity_id, posted_at from posted_card where delivery_id = any ($1::text[])',
);

const REQUEST_EDITS = statement(
  'assistant.request-edits',
  `update posted_card set edit_due_at = $3, edit_failures = 0
   from unnest($1::text[], $2::text[]) as wanted (recipient_id, notice_id)
   where posted_card.recipient_id = wanted.recipient_id and posted_card.notice_id = wanted.notice_id
     and activity_id is not null`,
);

// Between reading a card and recording that it was posted somebody may have recalled, corrected or decided it, and found
// nothing to edit. A statement of its own: it must see what was committed meanwhile.
const CHANGED_MEANWHILE = statement(
  'assistant.changed-meanwhile',
  `select recipient_id as "recipientId", notice_id as "noticeId"
   from unnest($1::text[], $2::text[], $3::timestamptz[]) as posted (recipient_id, notice_id, since)
   where exists (
       select from notice n
       where n.recipient_id = posted.recipient_id and n.id = posted.notice_id and n.changed_at >= posted.since)
     or exists (
       select from asked a join question q on q.id = a.question_id
       where a.notice_id = posted.notice_id and q.settled_at >= posted.since)`,
);

const CLAIM_EDITS = statement(
  'assistant.claim-edits',
  `with due as (
     select recipient_id, notice_id, channel, connection, place, delivery_id from posted_card
     where edit_due_at <= $1 order by edit_due_at limit $2 for update skip locked),
   claimed as (
     update posted_card c set edit_due_at = $3, edit_claimed_by = $4 from due
     where (c.recipient_id, c.notice_id, c.channel, c.connection, c.place, c.delivery_id)
       = (due.recipient_id, due.notice_id, due.channel, due.connection, due.place, due.delivery_id)
     returning c.recipient_id, c.notice_id, c.channel, c.connection, c.place, c.delivery_id, c.activity_id, c.posted_at,
       c.edit_failures)
   select claimed.*, r.person, r.address, r.state, r.last_seen_at, r.last_error, r.throttled_until
   from claimed left join conversation_reference r using (recipient_id, channel, connection, place)`,
);

const SETTLE_EDITS = statement(
  'assistant.settle-edits',
  `update posted_card as c set edit_due_at = v.due_at, edit_claimed_by = null, edit_cause = v.cause, edit_failures = v.failures,
     edited_at = coalesce(v.edited_at, c.edited_at)
   from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[],
     $9::text[], $10::int[], $11::timestamptz[]) as v (recipient_id, notice_id, channel, connection, place, delivery_id,
     claimed_until, due_at, cause, failures, edited_at)
   where (c.recipient_id, c.notice_id, c.channel, c.connection, c.place, c.delivery_id)
     = (v.recipient_id, v.notice_id, v.channel, v.connection, v.place, v.delivery_id) and c.edit_due_at = v.claimed_until`,
);

const TAKE_BACK = statement(
  'assistant.take-back-edits',
  'update posted_card set edit_due_at = $2 where edit_due_at > $2 and edit_claimed_by = any($1::int[])',
);

const NEXT_EDIT = statement('assistant.next-edit', 'select min(edit_due_at) as at from posted_card');

/** Clocks of nodes may differ by this; one edit too many harms nobody. */
const CLOCKS_DIFFER_MS = 60_000;

const FORGET = statement('assistant.forget-old-posted', 'delete from posted_card where posted_at < $1');

export async function recordPosted(sql: Sql, cards: readonly PostedCard[]): Promise<void> {
  if (cards.length === 0) return;
  // One row twice in one statement would fail it; the later one is as good.
  const rows = [...new Map(cards.map((card) => [keyOf(card).join(' '), card])).values()];
  await sql.query(RECORD, [
    ...keyColumns(rows),
    textArray(rows.map(({ activityId }) => activityId ?? null)),
    timestamptzArray(rows.map(({ postedAt }) => postedAt)),
  ]);
}

/** Where an earlier attempt has posted a delivery already: what the service called the message, if it did. */
export type PostedBefore = { readonly activityId: string | undefined; readonly postedAt: Date };

/** By delivery id. */
export async function postedDeliveries(sql: Sql, ids: readonly string[]): Promise<ReadonlyMap<string, PostedBefore>> {
  if (ids.length === 0) return new Map();
  type Row = { delivery_id: string; activity_id: string | null; posted_at: Date };
  const rows = await sql.query<Row>(POSTED, [textArray(ids)]);
  return new Map(
    rows.map((row) => [row.delivery_id, { activityId: row.activity_id ?? undefined, postedAt: row.posted_at }]),
  );
}

export type NoticeOf = { readonly recipientId: string; readonly noticeId: string };

/**
 * Has the cards of these notices edited wherever they stand, so that they show what holds now. Call it in the transaction
 * that changes what they have to show, and wake the editor after the commit.
 */
export async function requestEdits(sql: Sql, notices: readonly NoticeOf[], now = new Date()): Promise<void> {
  if (notices.length === 0) return;
  const recipients = textArray(notices.map(({ recipientId }) => recipientId));
  await sql.query(REQUEST_EDITS, [recipients, textArray(notices.map(({ noticeId }) => noticeId)), now]);
}

/** Of cards whose content was read at `readAt` and that are recorded by now: those that have something else to show. */
export async function changedSince(
  sql: Sql,
  cards: readonly (NoticeOf & { readonly readAt: Date })[],
): Promise<NoticeOf[]> {
  if (cards.length === 0) return [];
  const recipients = textArray(cards.map(({ recipientId }) => recipientId));
  return sql.query<NoticeOf>(CHANGED_MEANWHILE, [
    recipients,
    textArray(cards.map(({ noticeId }) => noticeId)),
    timestamptzArray(cards.map(({ readAt }) => new Date(readAt.getTime() - CLOCKS_DIFFER_MS))),
  ]);
}

type EditRow = {
  recipient_id: string;
  notice_id: string;
  channel: Surface;
  connection: string;
  place: string;
  delivery_id: string;
  activity_id: string;
  posted_at: Date;
  edit_failures: number;
  person: string | null;
  address: Address | null;
  state: ReferenceState | null;
  last_seen_at: Date | null;
  last_error: string | null;
  throttled_until: Date | null;
};

/** Takes edits that are due, for this run of the node; whoever dies over them leaves them to the next one at `claimedUntil`. */
export async function claimEdits(
  sql: Sql,
  limit: number,
  now: Date,
  claimedUntil: Date,
  run?: number | undefined,
): Promise<DueEdit[]> {
  const rows = await sql.query<EditRow>(CLAIM_EDITS, [now, limit, claimedUntil, run ?? null]);
  return rows.map((row) => ({ ...dueEdit(row), claimedUntil }));
}

/** Without `dueAt` it is done, or given up with a cause. */
export type EditVerdict = {
  readonly dueAt?: Date;
  readonly cause?: string;
  readonly editedAt?: Date;
  readonly failures: number;
};

/** All in one statement. What was asked for since the claim stays due. */
export async function settleEdits(sql: Sql, edits: readonly (readonly [DueEdit, EditVerdict])[]): Promise<void> {
  await sql.query(SETTLE_EDITS, [
    ...keyColumns(edits.map(([{ card }]) => card)),
    timestamptzArray(edits.map(([{ claimedUntil }]) => claimedUntil)),
    edits.map(([, { dueAt }]) => dueAt ?? null),
    textArray(edits.map(([, { cause }]) => cause ?? null)),
    int4Array(edits.map(([, { failures }]) => failures)),
    edits.map(([, { editedAt }]) => editedAt ?? null),
  ]);
}

/** Makes due the edits that runs which are dead were making; wake the editor after the commit. */
export async function takeBackEdits(sql: Sql, runs: readonly number[], now: Date): Promise<void> {
  await sql.query(TAKE_BACK, [runs, now]);
}

/** When the next edit is due; undefined: none is. */
export async function nextEdit(sql: Sql): Promise<Date | undefined> {
  const [row] = await sql.query<{ at: Date | null }>(NEXT_EDIT);
  return row?.at ?? undefined;
}

/** Forgets what was posted before `before`: those cards are not edited any more. */
export async function forgetPosted(sql: Sql, before: Date): Promise<void> {
  await sql.query(FORGET, [before]);
}

function keyColumns(cards: readonly PostedCard[]): Buffer[] {
  const keys = cards.map(keyOf);
  return [0, 1, 2, 3, 4, 5].map((at) => textArray(keys.map((key) => key[at]!)));
}

function keyOf({ recipientId, noticeId, channel, connection, place, deliveryId }: PostedCard): string[] {
  return [recipientId, noticeId, channel, connection, place, deliveryId];
}

function dueEdit(row: EditRow): Omit<DueEdit, 'claimedUntil'> {
  const { recipient_id: recipientId, channel, connection, place } = row;
  const where = { recipientId, channel, connection, place };
  const card = {
    ...where,
    noticeId: row.notice_id,
    deliveryId: row.delivery_id,
    activityId: row.activity_id,
    postedAt: row.posted_at,
  };
  const reference = {
    ...where,
    person: row.person ?? undefined,
    address: row.address ?? {},
    // Our own conversations need no address. A place elsewhere that was forgotten meanwhile is out of reach.
    state: row.state ?? (channel === 'directline' ? ('ok' as const) : ('gone' as const)),
    lastSeenAt: row.last_seen_at ?? undefined,
    lastError: row.last_error ?? undefined,
    throttledUntil: row.throttled_until ?? undefined,
  };
  return { card, reference, failures: row.edit_failures };
}
