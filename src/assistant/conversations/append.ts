// Says things in conversations, a whole batch at a time: one round trip locks the heads and looks for what is there
// already, a second one writes. A conversation's numbers have no gaps, because its head stays locked until the commit.
import { int8Array, textArray, timestamptzArray } from '../../kit/arrays.ts';
import { statement, type Tx } from '../../kit/database.ts';
import { freshId } from '../../kit/ids.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { Activity, Author } from './activity.ts';
import { noConversation } from './conversation.ts';

export type NewActivity = {
  readonly conversationId: string;
  readonly activity: Activity;
  /** The same id again in the same conversation appends nothing. A fresh one if left out. */
  readonly id?: string;
  /** `carillon` if left out. */
  readonly author?: Author;
};

export type Posted = {
  readonly id: string;
  readonly sequence: number;
  readonly timestamp: Date;
  /** True when the id was there before, and nothing was written. */
  readonly known: boolean;
};

type Head = { id: string; agent: string; sequence: number; at: Date };
type Known = { conversationId: string; id: string; sequence: number; createdAt: Date };

const LOCK_HEADS = statement(
  'assistant.lock-heads',
  `select id, agent, last_sequence as sequence, last_at as at from conversation where id = any($1::text[])
   order by id for update`,
);
// Runs after the heads are locked, and with a snapshot of its own: it sees what the last holder of a head has committed.
const FIND_KNOWN = statement(
  'assistant.find-known',
  `select activity.conversation_id as "conversationId", activity.id, sequence, created_at as "createdAt"
   from unnest($1::text[], $2::text[]) as given (conversation_id, id)
   join activity on activity.conversation_id = given.conversation_id and activity.id = given.id`,
);
const INSERT = statement(
  'assistant.insert-activities',
  `insert into activity (conversation_id, sequence, id, author, content, created_at)
   select * from unnest($1::text[], $2::int8[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])`,
);
const MOVE_HEADS = statement(
  'assistant.move-heads',
  `update conversation set last_sequence = moved.sequence, last_at = moved.at
   from unnest($1::text[], $2::int8[], $3::timestamptz[]) as moved (id, sequence, at) where conversation.id = moved.id`,
);

/**
 * Appends activities, in their order, and tells where they are; in the same order. What clients get is completed: id,
 * timestamp (later than all before it in the conversation), conversation, channel, and the agent as sender where none is
 * named. Refuses (`conversation_not_found`, details: `conversations`) the whole batch if one is missing. After the
 * commit call `ConversationStreams.wake` with the conversations.
 */
export async function appendActivities(tx: Tx, given: readonly NewActivity[], now = new Date()): Promise<Posted[]> {
  if (given.length === 0) return [];
  const items = given.map((item) => ({ ...item, id: item.id ?? freshId('act', now.getTime()) }));
  const withId = items.filter((_, at) => given[at]!.id !== undefined);
  const [heads, known] = await Promise.all([
    lockHeads(tx, items),
    withId.length === 0 ? [] : tx.query<Known>(FIND_KNOWN, [conversationsOf(withId), idsOf(withId)]),
  ]);
  const there = new Map<string, Posted>();
  for (const { conversationId, id, sequence, createdAt } of known)
    there.set(`${conversationId} ${id}`, { id, sequence, timestamp: createdAt, known: true });
  const rows: Row[] = [];
  const posted = items.map((item) => {
    const key = `${item.conversationId} ${item.id}`;
    const before = there.get(key);
    if (before) return before;
    const row = place(heads.get(item.conversationId)!, item, now);
    rows.push(row);
    there.set(key, { ...row.posted, known: true });
    return row.posted;
  });
  await write(tx, rows, heads);
  return posted;
}

type Row = NewActivity & { readonly content: string; readonly posted: Posted };

async function lockHeads(tx: Tx, items: readonly NewActivity[]): Promise<Map<string, Head>> {
  const ids = [...new Set(items.map(({ conversationId }) => conversationId))].sort();
  const rows = await tx.query<Head>(LOCK_HEADS, [textArray(ids)]);
  const heads = new Map(rows.map((row) => [row.id, row]));
  const missing = ids.filter((id) => !heads.has(id));
  if (missing.length > 0) throw noConversation(...missing);
  return heads;
}

/** Gives it the next place of its conversation. Clients sort by time, so no two have the same. */
function place(head: Head, item: NewActivity & { readonly id: string }, now: Date): Row {
  head.sequence++;
  head.at = new Date(Math.max(now.getTime(), head.at.getTime() + 1));
  const posted = { id: item.id, sequence: head.sequence, timestamp: head.at, known: false };
  return { ...item, content: contentOf(item.activity, head, item.id, head.at), posted };
}

/** The activity as it is stored and sent. */
function contentOf(activity: Activity, head: Pick<Head, 'id' | 'agent'>, id: string, at: Date): string {
  const content = JSON.stringify({
    ...activity,
    id,
    timestamp: at.toISOString(),
    channelId: 'directline',
    from: activity.from ?? { id: head.agent, role: 'bot' },
    conversation: { id: head.id },
  });
  // PostgreSQL has no NUL in texts; JSON writes it as an escape, which is harmless there and everywhere.
  return content;
}

async function write(tx: Tx, rows: readonly Row[], heads: ReadonlyMap<string, Head>): Promise<void> {
  if (rows.length === 0) return;
  const moved = [...new Set(rows.map(({ conversationId }) => conversationId))].map((id) => heads.get(id)!);
  await Promise.all([
    tx.query(INSERT, [
      conversationsOf(rows),
      int8Array(rows.map(({ posted }) => posted.sequence)),
      textArray(rows.map(({ posted }) => posted.id)),
      textArray(rows.map(({ author }) => author ?? 'carillon')),
      textArray(rows.map(({ content }) => content)),
      timestamptzArray(rows.map(({ posted }) => posted.timestamp)),
    ]),
    tx.query(MOVE_HEADS, [
      textArray(moved.map(({ id }) => id)),
      int8Array(moved.map(({ sequence }) => sequence)),
      timestamptzArray(moved.map(({ at }) => at)),
    ]),
  ]);
}

const FIND_ONE = statement(
  'assistant.activity-for-replace',
  `select created_at as "createdAt", author from activity where conversation_id = $1 and id = $2`,
);
const REPLACE = statement(
  'assistant.replace-activity',
  'update activity set sequence = $3, content = $4 where conversation_id = $1 and id = $2',
);

export type Replacement = {
  readonly conversationId: string;
  readonly id: string;
  readonly activity: Activity;
  /** Replaces only what this one wrote; anything if left out. */
  readonly author?: Author;
};

/**
 * Puts another activity in the place of one: the id and the time stay, so that clients replace it where it stands, and
 * it gets the next number, so that streams and pollers see it. Refuses `conversation_not_found`, `activity_not_found`.
 */
export async function replaceActivity(tx: Tx, { conversationId, id, activity, author }: Replacement): Promise<Posted> {
  const [heads, found] = await Promise.all([
    lockHeads(tx, [{ conversationId, activity }]),
    tx.query<{ createdAt: Date; author: Author }>(FIND_ONE, [conversationId, id]),
  ]);
  const [old] = found;
  if (!old || (author !== undefined && old.author !== author))
    throw new Refusal('activity_not_found', `There is no such activity in the conversation ${conversationId}.`);
  const head = heads.get(conversationId)!;
  const sequence = head.sequence + 1;
  await Promise.all([
    tx.query(REPLACE, [conversationId, id, sequence, contentOf(activity, head, id, old.createdAt)]),
    tx.query(MOVE_HEADS, [textArray([conversationId]), int8Array([sequence]), timestamptzArray([head.at])]),
  ]);
  return { id, sequence, timestamp: old.createdAt, known: false };
}

function conversationsOf(rows: readonly NewActivity[]): Buffer {
  return textArray(rows.map(({ conversationId }) => conversationId));
}

function idsOf(rows: readonly { readonly id: string }[]): Buffer {
  return textArray(rows.map(({ id }) => id));
}
