// What still waits for an answer of a person, in the order of their inbox.
import { type Sql, statement } from '../../kit/database.ts';

// Whoever asked for something themselves cannot answer it, and need not see it among what they have to do.
const ASKS = statement(
  'decisions.asks',
  `select i.notice_id as "noticeId", i.position
   from asked a join question q on q.id = a.question_id
     join inbox_item i on i.recipient_id = a.recipient_id and i.notice_id = a.notice_id
   where a.recipient_id = $1 and q.state = 'open' and (q.expires_at is null or q.expires_at > $4)
     and q.requester is distinct from a.recipient_id
     and i.archived_at is null and i.recalled_at is null and i.position < $2
   order by i.position desc limit $3`,
);

export type Asks = { readonly noticeId: string; readonly position: number };

/** Notices in the person's inbox that ask them something that is open, newest first, before a position. */
export function asksOf(
  sql: Sql,
  recipientId: string,
  before: number,
  limit: number,
  now = new Date(),
): Promise<Asks[]> {
  return sql.query<Asks>(ASKS, [recipientId, before, limit, now]);
}
