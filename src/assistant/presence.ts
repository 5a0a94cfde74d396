// What came while a person was away: when they open the conversation again, one line counts it. Away is who has had no
// stream open; the times are those of the reference, so they hold on every node.
import { type Database, type Sql, statement } from '../kit/database.ts';
import { derivedId } from '../kit/ids.ts';
import { appendActivities } from './conversations/append.ts';
import type { Conversation } from './conversations/conversation.ts';

export type PresenceDeps = {
  readonly database: Database;
  readonly wake: (conversationIds: readonly string[]) => void;
  /** `Newcomers.seen`. */
  readonly seen: (conversation: Conversation) => Promise<void>;
};

const LAST_SEEN = statement(
  'assistant.last-seen',
  `select last_seen_at as at from conversation_reference
   where recipient_id = $1 and channel = 'directline' and connection = $2 and place = $3`,
);
const COUNT_SINCE = statement(
  'assistant.posted-since',
  `select count(distinct notice_id) as count from posted_card c
   where recipient_id = $1 and channel = 'directline' and place = $2 and ($3::timestamptz is null or posted_at > $3)
     and delivery_id like 'dlv%' and not exists (
       select from notice n where n.recipient_id = c.recipient_id and n.id = c.notice_id and n.recalled_at is not null)`,
);
const WENT = statement(
  'assistant.person-went',
  `update conversation_reference set last_seen_at = greatest(last_seen_at, $2), updated_at = $2
   where channel = 'directline' and place = $1`,
);

/** The person has opened the conversation. */
export async function personCame({ database, wake, seen }: PresenceDeps, conversation: Conversation): Promise<void> {
  const { id: place } = conversation;
  const lastSeen = await lastSeenAt(database, conversation);
  const count = await postedSince(database, conversation, lastSeen);
  await seen(conversation);
  if (count === 0) return;
  const text = count === 1 ? 'One notice came while you were away.' : `${count} notices came while you were away.`;
  // Two pages that open at once say it once.
  const id = derivedId('act', place, 'away', lastSeen?.toISOString() ?? 'never');
  await database.transaction((tx) =>
    appendActivities(tx, [{ conversationId: place, id, activity: { type: 'message', text } }]),
  );
  wake([place]);
}

/** The last page of the conversation has closed. */
export async function personWent({ database }: Pick<PresenceDeps, 'database'>, conversationId: string): Promise<void> {
  await database.query(WENT, [conversationId, new Date()]);
}

async function lastSeenAt(sql: Sql, { id, recipientId, agent }: Conversation): Promise<Date | undefined> {
  const [row] = await sql.query<{ at: Date | null }>(LAST_SEEN, [recipientId, agent, id]);
  return row?.at ?? undefined;
}

async function postedSince(sql: Sql, { id, recipientId }: Conversation, since: Date | undefined): Promise<number> {
  const [row] = await sql.query<{ count: number }>(COUNT_SINCE, [recipientId, id, since ?? null]);
  return row!.count;
}
