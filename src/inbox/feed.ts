// Reads an inbox: pages backwards from the newest item, and forwards from a position (what a stream resumes from).
import { type Sql, type Statement, statement } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import { type Counts, emptyHead, type Head, type InboxItem } from './item.ts';
import { cardOf, type Notice } from './notice.ts';

export const inboxFilters = ['all', 'unread', 'unseen', 'archived'] as const;
export type InboxFilter = (typeof inboxFilters)[number];

export type InboxPage = Counts & {
  readonly items: readonly InboxItem[];
  /** Open the stream after this position to miss nothing. */
  readonly position: number;
  /** The `cursor` of the next, older page, if there is one. */
  readonly next: string | undefined;
};

type ItemRow = {
  id: string;
  position: number;
  card: string;
  category: string;
  notification: string;
  topic: string;
  urgency: Notice['urgency'];
  created_at: Date;
  seen_at: Date | null;
  read_at: Date | null;
  archived_at: Date | null;
  recalled_at: Date | null;
  recall_reason: string | null;
};

const COLUMNS = `n.id, i.position, n.card, n.category, n.notification, n.topic, n.urgency, i.created_at, i.seen_at,
  i.read_at, i.archived_at, n.recalled_at, n.recall_reason`;
const JOINED = `inbox_item i join notice n on n.recipient_id = i.recipient_id and n.id = i.notice_id`;

const HEADS = statement(
  'inbox.heads',
  `select recipient_id, last_position as position, unseen, unread, marks from inbox
   where recipient_id = any($1::text[])`,
);

const AFTER = statement(
  'inbox.after',
  `select ${COLUMNS} from ${JOINED} where i.recipient_id = $1 and i.position > $2 order by i.position limit $3`,
);

const FIND = statement(
  'inbox.find-items',
  `select ${COLUMNS} from ${JOINED} where i.recipient_id = $1 and i.notice_id = any($2::text[]) order by i.position desc`,
);

const shown = {
  all: 'i.archived_at is null',
  unread: 'i.archived_at is null and i.recalled_at is null and i.read_at is null',
  unseen: 'i.archived_at is null and i.recalled_at is null and i.seen_at is null',
  archived: 'i.archived_at is not null',
} as const;

const BEFORE = Object.fromEntries(
  inboxFilters.map((filter) => [
    filter,
    statement(
      `inbox.before-${filter}`,
      `select ${COLUMNS} from ${JOINED}
       where i.recipient_id = $1 and i.position < $2 and ${shown[filter]} order by i.position desc limit $3`,
    ),
  ]),
) as Record<InboxFilter, Statement>; // true: one entry per filter

export type InboxQuery = {
  readonly cursor?: string | undefined;
  /** 1 to 200; 50 when left out. */
  readonly limit?: number | undefined;
  readonly filter?: InboxFilter | undefined;
};

/** One page, newest first, with the counts of the whole inbox. An unknown person's inbox is empty. */
export async function listInbox(sql: Sql, recipientId: string, query: InboxQuery = {}): Promise<InboxPage> {
  const { limit = 50, filter = 'all' } = query;
  // The head comes first: an item that arrives in between is on the page and comes again on the stream, never on neither.
  const head = await readHead(sql, recipientId);
  const before = query.cursor === undefined ? head.position + 1 : parseCursor(query.cursor);
  const rows = await sql.query<ItemRow>(BEFORE[filter], [recipientId, before, limit + 1]);
  const items = rows.slice(0, limit).map(itemOf);
  const next = rows.length > limit ? String(items.at(-1)!.position) : undefined;
  return { items, unseen: head.unseen, unread: head.unread, position: head.position, next };
}

/** The items of one person with these ids; those that are not in the inbox are missing. */
export async function findItems(sql: Sql, recipientId: string, ids: readonly string[]): Promise<InboxItem[]> {
  return (await sql.query<ItemRow>(FIND, [recipientId, ids])).map(itemOf);
}

/** The items after a position, oldest first. */
export async function itemsAfter(sql: Sql, recipientId: string, after: number, limit: number): Promise<InboxItem[]> {
  return (await sql.query<ItemRow>(AFTER, [recipientId, after, limit])).map(itemOf);
}

export async function readHead(sql: Sql, recipientId: string): Promise<Head> {
  return (await readHeads(sql, [recipientId])).get(recipientId) ?? emptyHead;
}

/** The heads of the inboxes that have ever had an item. */
export async function readHeads(sql: Sql, recipientIds: readonly string[]): Promise<Map<string, Head>> {
  const rows = await sql.query<Head & { recipient_id: string }>(HEADS, [recipientIds]);
  return new Map(rows.map(({ recipient_id, ...head }) => [recipient_id, head]));
}

/** The position that a cursor of a page says. */
export function parseCursor(cursor: string): number {
  if (/^[1-9]\d{0,14}$/.test(cursor)) return Number(cursor);
  throw new Refusal('bad_request', 'The cursor is not one that an inbox page gave out.', { path: 'cursor' });
}

function itemOf(row: ItemRow): InboxItem {
  const card = cardOf(row);
  return {
    id: row.id,
    position: row.position,
    title: card.title,
    body: card.body ?? '',
    card,
    category: row.category,
    notification: row.notification,
    topic: row.topic,
    urgency: row.urgency,
    createdAt: row.created_at,
    seenAt: row.seen_at,
    readAt: row.read_at,
    archivedAt: row.archived_at,
    recalledAt: row.recalled_at,
  };
}
