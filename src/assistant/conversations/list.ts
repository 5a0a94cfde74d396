// The conversations of a person, for whoever looks after the system; and their end.
import { type Sql, statement, type Tx } from '../../kit/database.ts';
import type { Activity } from './activity.ts';
import { noConversation } from './conversation.ts';

export type ConversationView = {
  readonly id: string;
  readonly agent: string;
  /** The one in which notices wait; the same on all their pages. */
  readonly standing: boolean;
  readonly activities: number;
  readonly lastAt: Date;
  /** When a page connected first. */
  readonly openedAt: Date | null;
  readonly createdAt: Date;
};

const LIST = statement(
  'assistant.list-conversations',
  `select id, agent, standing, (select count(*) from activity a where a.conversation_id = c.id) as activities,
     last_at as "lastAt", opened_at as "openedAt", created_at as "createdAt"
   from conversation c
   where recipient_id = $1 and ($2::timestamptz is null or (last_at, id) < ($2, $3))
   order by last_at desc, id desc limit $4`,
);

const READ_BACK = statement(
  'assistant.read-back',
  `select sequence, author, content from activity where conversation_id = $1 and sequence < $2
   order by sequence desc limit $3`,
);

const OWN = statement('assistant.own-conversation', 'select id from conversation where id = $1 and recipient_id = $2');
const LOCK_OWN = statement(
  'assistant.lock-own-conversation',
  'select id from conversation where id = $1 and recipient_id = $2 for update',
);

const CLOSE = [
  statement('assistant.close-activities', 'delete from activity where conversation_id = $1'),
  statement('assistant.close-uploads', 'delete from upload where conversation_id = $1'),
  statement('assistant.close', 'delete from conversation where id = $1'),
];

type ListPage = { readonly after?: { readonly lastAt: Date; readonly id: string } | undefined; readonly limit: number };

/** The newest first. */
export function listConversations(
  sql: Sql,
  recipientId: string,
  { after, limit }: ListPage,
): Promise<ConversationView[]> {
  return sql.query<ConversationView>(LIST, [recipientId, after?.lastAt ?? null, after?.id ?? null, limit]);
}

export type Told = { readonly sequence: number; readonly author: string; readonly activity: Activity };

/** What was said before the number `before`, the newest first. Refuses (`conversation_not_found`) one of somebody else. */
export async function readBack(
  sql: Sql,
  { recipientId, id, before, limit }: { recipientId: string; id: string; before: number; limit: number },
): Promise<Told[]> {
  if ((await sql.query(OWN, [id, recipientId])).length === 0) throw noConversation(id);
  type Row = { sequence: number; author: string; content: string };
  const rows = await sql.query<Row>(READ_BACK, [id, before, limit]);
  // `appendActivities` wrote them.
  return rows.map(({ content, ...row }) => ({ ...row, activity: JSON.parse(content) as Activity }));
}

/**
 * Ends a conversation and forgets what was said in it; what comes for the person opens another one. After the commit wake
 * its streams: they find nothing and end. Refuses `conversation_not_found`.
 */
export async function closeConversation(tx: Tx, recipientId: string, id: string): Promise<void> {
  // So that nothing is said in between, and left behind; and of two who close it, one is told that it is gone.
  if ((await tx.query(LOCK_OWN, [id, recipientId])).length === 0) throw noConversation(id);
  for (const each of CLOSE) await tx.query(each, [id]);
}
