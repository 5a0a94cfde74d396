// The states of inbox items, and the counts that follow from them.
//
//   new --seen--> seen --read--> read --unread--> seen         each --archived--> archived --unarchived--> as it was
//
// Reading and archiving imply seeing. The head of the inbox is locked before any item is looked at, so that whoever
// changes states or adds items does it one after the other, and the counts move by exactly what changed.
import { type Statement, statement, type Tx } from '../kit/database.ts';
import { emptyHead, type Head } from './item.ts';

export const marks = ['seen', 'read', 'unread', 'archived', 'unarchived'] as const;
export type Mark = (typeof marks)[number];
/** What happens to items: they are marked, the questions on their cards are settled, or other words are to be shown. */
export type Change = Mark | 'settled' | 'updated';

/** Which items: those of these ids (at most 1,000), or all that are not archived, up to a position the person has seen. */
export type Which = { readonly ids: readonly string[] } | { readonly all: true; readonly upTo?: number | undefined };

export type Marked = {
  /** The ids of the items whose state changed. */
  readonly ids: readonly string[];
  readonly head: Head;
};

const LOCK = statement(
  'inbox.lock',
  'select last_position as position, unseen, unread, marks from inbox where recipient_id = $1 for update',
);

const COUNT = statement(
  'inbox.count',
  `update inbox set unseen = unseen + $2, unread = unread + $3, marks = marks + 1 where recipient_id = $1
   returning last_position as position, unseen, unread, marks`,
);

const rules: Record<Mark, { readonly set: string; readonly changes: string }> = {
  seen: { set: 'seen_at = $3', changes: 'seen_at is null' },
  read: { set: 'seen_at = coalesce(i.seen_at, $3), read_at = $3', changes: 'read_at is null' },
  // `$3` (now) must stand in every statement, or its type is unknown.
  unread: { set: 'read_at = null', changes: 'read_at is not null and $3::timestamptz is not null' },
  archived: { set: 'seen_at = coalesce(i.seen_at, $3), archived_at = $3', changes: 'archived_at is null' },
  unarchived: { set: 'archived_at = null', changes: 'archived_at is not null and $3::timestamptz is not null' },
};

const selections = {
  ids: 'notice_id = any($2::text[])',
  all: 'archived_at is null and position <= $2::int8',
} as const;

const MARK_IDS = statements('ids');
const MARK_ALL = statements('all');

function statements(selection: keyof typeof selections): Record<Mark, Statement> {
  const entries = marks.map((mark) => {
    const { set, changes } = rules[mark];
    return [
      mark,
      statement(
        `inbox.mark-${mark}-${selection}`,
        `with old as (
           select position, (seen_at is null and archived_at is null and recalled_at is null)::int as unseen,
             (read_at is null and archived_at is null and recalled_at is null)::int as unread
           from inbox_item where recipient_id = $1 and ${selections[selection]} and ${changes}
         )
         update inbox_item i set ${set} from old where i.recipient_id = $1 and i.position = old.position
         returning i.notice_id as id,
           (i.seen_at is null and i.archived_at is null and i.recalled_at is null)::int - old.unseen as unseen,
           (i.read_at is null and i.archived_at is null and i.recalled_at is null)::int - old.unread as unread`,
      ),
    ];
  });
  return Object.fromEntries(entries) as Record<Mark, Statement>; // true: one entry per mark
}

type ChangeRow = { id: string; unseen: number; unread: number };

/** Marks items of one person and returns what changed. Ids that are not in the inbox are passed over. */
export async function markItems(
  tx: Tx,
  recipientId: string,
  which: Which,
  as: Mark,
  now = new Date(),
): Promise<Marked> {
  const [head] = await tx.query<Head>(LOCK, [recipientId]);
  if (!head) return { ids: [], head: emptyHead };
  const changed = await change(tx, recipientId, which, as, head, now);
  if (changed.length === 0) return { ids: [], head };
  const sum = (key: 'unseen' | 'unread') => changed.reduce((total, row) => total + row[key], 0);
  const [counted] = await tx.query<Head>(COUNT, [recipientId, sum('unseen'), sum('unread')]);
  return { ids: changed.map((row) => row.id), head: counted! };
}

function change(tx: Tx, recipientId: string, which: Which, as: Mark, head: Head, now: Date): Promise<ChangeRow[]> {
  if ('ids' in which) return tx.query<ChangeRow>(MARK_IDS[as], [recipientId, which.ids, now]);
  return tx.query<ChangeRow>(MARK_ALL[as], [recipientId, which.upTo ?? head.position, now]);
}

const FORGET = ['inbox_item', 'inbox', 'notice'].map((table) =>
  statement(`inbox.forget-${table}`, `delete from ${table} where recipient_id = $1`),
);

/** Removes a person's inbox and notices. */
export async function forgetInbox(tx: Tx, recipientId: string): Promise<void> {
  for (const forget of FORGET) await tx.query(forget, [recipientId]);
}
