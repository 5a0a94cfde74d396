// Takes old things out of conversations, so that they do not grow for ever: a chunk per transaction, oldest first.
import { type Database, type Sql, statement, type Tx } from '../../kit/database.ts';

const CHUNK = 2_000;

const DELETE_ACTIVITIES = statement(
  'assistant.forget-activities',
  `delete from activity where (conversation_id, sequence) in
     (select conversation_id, sequence from activity where created_at < $1 limit $2)
   returning 1`,
);
const DELETE_UPLOADS = statement(
  'assistant.forget-uploads',
  'delete from upload where id in (select id from upload where created_at < $1 limit $2) returning 1',
);
// A standing conversation stays: its number must go on growing, or clients that come back would miss what is new.
const DELETE_CONVERSATIONS = statement(
  'assistant.forget-conversations',
  `delete from conversation where id in
     (select id from conversation where last_at < $1 and created_at < $1 and not standing limit $2)
   returning 1`,
);

export type Retention = { readonly now: Date; readonly keepDays: number; readonly signal?: AbortSignal };

/** Deletes what was said, and files, before `keepDays` ago, and conversations idle since then; returns how many rows. */
export async function forgetOldConversations(database: Database, given: Retention): Promise<number> {
  const before = new Date(given.now.getTime() - given.keepDays * 86_400_000);
  let deleted = 0;
  for (const each of [DELETE_ACTIVITIES, DELETE_UPLOADS, DELETE_CONVERSATIONS]) {
    for (let count = CHUNK; count === CHUNK && !given.signal?.aborted; deleted += count)
      count = (await database.query(each, [before, CHUNK])).length;
  }
  return deleted;
}

const OF_PERSON = 'select id from conversation where recipient_id = $1';
const FORGET = [
  statement('assistant.forget-person-activities', `delete from activity where conversation_id in (${OF_PERSON})`),
  statement('assistant.forget-person-uploads', `delete from upload where conversation_id in (${OF_PERSON})`),
  statement('assistant.forget-person', 'delete from conversation where recipient_id = $1 returning id'),
];

/** Forgets a person's conversations. After the commit wake their streams: they find nothing and end. */
export async function forgetConversationsOf(tx: Tx, recipientId: string): Promise<void> {
  await lockConversations(tx, recipientId);
  for (const each of FORGET) await tx.query(each, [recipientId]);
}

const LOCK = statement(
  'assistant.forget-person-lock',
  'select id from conversation where recipient_id = $1 order by id for update',
);

// So that nothing is said in between, and left behind.
function lockConversations(sql: Sql, recipientId: string): Promise<unknown> {
  return sql.query(LOCK, [recipientId]);
}
