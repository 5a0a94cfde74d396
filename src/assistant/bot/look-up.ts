// What the assistant looks up for its answers.
import { type Sql, statement } from '../../kit/database.ts';

export type NoticeKey = { readonly recipientId: string; readonly noticeId: string };

const OPEN_ASKED = statement(
  'assistant.open-asked',
  `select a.recipient_id as "recipientId", a.notice_id as "noticeId"
   from asked a join question q on q.id = a.question_id
     join notice n on n.recipient_id = a.recipient_id and n.id = a.notice_id
   where a.recipient_id = $1 and n.recalled_at is null and q.requester is distinct from a.recipient_id and q.state = 'open' and (q.expires_at is null or q.expires_at > $3)
   order by q.created_at desc, q.id limit $2`,
);
const BY_ACTIVITY = statement(
  'assistant.notice-of-activity',
  'select notice_id as id from posted_card where recipient_id = $1 and activity_id = $2 limit 1',
);
const LAST_POSTED = statement(
  'assistant.last-posted',
  'select notice_id as id from posted_card where recipient_id = $1 order by posted_at desc limit 1',
);
const LAST_NOTICE = statement(
  'assistant.last-notice',
  'select notice_id as id from inbox_item where recipient_id = $1 order by position desc limit 1',
);
const WHY = statement(
  'assistant.why',
  `select detail from trace where recipient_id = $1 and notice_id = $2 and step = 'decide' order by at desc limit 1`,
);

/** Notices that wait for an answer of this person, newest first. */
export function openAsked(sql: Sql, recipientId: string, limit: number): Promise<NoticeKey[]> {
  return sql.query<NoticeKey>(OPEN_ASKED, [recipientId, limit, new Date()]);
}

/** The notice that this activity shows; else the one that was posted last, else the newest of the inbox. */
export async function lastShown(sql: Sql, recipientId: string, activityId: unknown): Promise<string | undefined> {
  const idIn = (rows: { id?: unknown }[]) => (rows[0] === undefined ? undefined : String(rows[0].id));
  const replied =
    typeof activityId === 'string' ? idIn(await sql.query(BY_ACTIVITY, [recipientId, activityId])) : undefined;
  return (
    replied ?? idIn(await sql.query(LAST_POSTED, [recipientId])) ?? idIn(await sql.query(LAST_NOTICE, [recipientId]))
  );
}

/** What the decision trace says; undefined where it was forgotten. */
export async function whyOf(sql: Sql, recipientId: string, noticeId: string): Promise<string | undefined> {
  const [row] = await sql.query<{ detail: string | null }>(WHY, [recipientId, noticeId]);
  return row?.detail ?? undefined;
}
