// Notices that are taken back or corrected after they were written. The heads of the inboxes are locked first, as whoever
// changes an inbox does; pages hear of it by `InboxStream.marked`, after the commit.
import { int4Array, textArray } from '../kit/arrays.ts';
import { statement, type Tx } from '../kit/database.ts';
import type { Head } from './item.ts';
import type { NoticeKey } from './notice.ts';
import type { InboxStream } from './stream.ts';

export type Changed = {
  /** Those that were changed: the others are gone, or recalled before. */
  readonly notices: readonly NoticeKey[];
  /** Of the people who have such a notice in their inbox. */
  readonly heads: ReadonlyMap<string, Head>;
};

const LOCK = statement(
  'inbox.change.lock',
  'select recipient_id from inbox where recipient_id = any($1::text[]) order by recipient_id for update',
);

const RECALL = statement(
  'inbox.change.recall',
  `update notice as n set recalled_at = $3, changed_at = $3, recall_reason = $4
   from unnest($1::text[], $2::text[]) as wanted (recipient_id, id)
   where n.recipient_id = wanted.recipient_id and n.id = wanted.id and n.recalled_at is null
   returning n.recipient_id as "recipientId", n.id as "noticeId"`,
);

const RECALL_ITEMS = statement(
  'inbox.change.recall-items',
  `update inbox_item as i set recalled_at = $3
   from unnest($1::text[], $2::text[]) as wanted (recipient_id, id)
   where i.recipient_id = wanted.recipient_id and i.notice_id = wanted.id and i.recalled_at is null
   returning i.recipient_id as id, (i.seen_at is null and i.archived_at is null)::int as unseen,
     (i.read_at is null and i.archived_at is null)::int as unread`,
);

const REWRITE = statement(
  'inbox.change.rewrite',
  `update notice as n set card = wanted.card, changed_at = $4
   from unnest($1::text[], $2::text[], $3::text[]) as wanted (recipient_id, id, card)
   where n.recipient_id = wanted.recipient_id and n.id = wanted.id and n.recalled_at is null
   returning n.recipient_id as "recipientId", n.id as "noticeId"`,
);

const COUNT = statement(
  'inbox.change.count',
  `update inbox set unseen = inbox.unseen - gone.unseen, unread = inbox.unread - gone.unread, marks = inbox.marks + 1
   from unnest($1::text[], $2::int[], $3::int[]) as gone (recipient_id, unseen, unread)
   where inbox.recipient_id = gone.recipient_id
   returning inbox.recipient_id, last_position as position, inbox.unseen, inbox.unread, marks`,
);

/** Marks the notices as recalled; at most some hundred at a time. */
export async function recallInInboxes(
  tx: Tx,
  keys: readonly NoticeKey[],
  reason: string | undefined,
  now: Date,
): Promise<Changed> {
  await lock(tx, keys);
  const notices = await tx.query<NoticeKey>(RECALL, [...columns(keys), now, reason ?? null]);
  type Gone = { id: string; unseen: number; unread: number };
  const gone = await tx.query<Gone>(RECALL_ITEMS, [...columns(notices), now]);
  return { notices, heads: await count(tx, gone) };
}

/** Gives the notices other cards, as JSON; at most some hundred at a time. */
export async function rewriteInInboxes(
  tx: Tx,
  cards: readonly (NoticeKey & { readonly card: string })[],
  now: Date,
): Promise<Changed> {
  await lock(tx, cards);
  const values = [...columns(cards), textArray(cards.map(({ card }) => card)), now];
  const notices = await tx.query<NoticeKey>(REWRITE, values);
  const touched = notices.map(({ recipientId: id }) => ({ id, unseen: 0, unread: 0 }));
  return { notices, heads: await count(tx, touched) };
}

/** Tells the open pages. Call it after the commit. */
export function tellChanged(stream: Pick<InboxStream, 'marked'>, { notices, heads }: Changed): void {
  for (const [recipientId, of] of Map.groupBy(notices, ({ recipientId }) => recipientId)) {
    const head = heads.get(recipientId);
    if (head) stream.marked(recipientId, { ids: of.map(({ noticeId }) => noticeId), head }, 'updated');
  }
}

async function lock(tx: Tx, keys: readonly NoticeKey[]): Promise<void> {
  await tx.query(LOCK, [columns(keys)[0]]);
}

/** One count for each person, however many of their notices changed. */
async function count(
  tx: Tx,
  gone: readonly { readonly id: string; readonly unseen: number; readonly unread: number }[],
): Promise<Map<string, Head>> {
  if (gone.length === 0) return new Map();
  const people = [...Map.groupBy(gone, ({ id }) => id)];
  const sum = (key: 'unseen' | 'unread') =>
    int4Array(people.map(([, rows]) => rows.reduce((total, row) => total + row[key], 0)));
  const rows = await tx.query<Head & { recipient_id: string }>(COUNT, [
    textArray(people.map(([id]) => id)),
    sum('unseen'),
    sum('unread'),
  ]);
  return new Map(rows.map(({ recipient_id, ...head }) => [recipient_id, head]));
}

function columns(keys: readonly NoticeKey[]): [Buffer, Buffer] {
  return [textArray(keys.map(({ recipientId }) => recipientId)), textArray(keys.map(({ noticeId }) => noticeId))];
}
