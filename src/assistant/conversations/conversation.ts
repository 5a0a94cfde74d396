// Conversations as rows. A person has at most one standing conversation with an agent: what is sent while nobody is
// connected waits there, and every page and phone of that person shows the same.
import { textArray } from '../../kit/arrays.ts';
import { type Sql, statement } from '../../kit/database.ts';
import { freshId } from '../../kit/ids.ts';
import { Refusal } from '../../kit/refusal.ts';

export type Conversation = {
  readonly id: string;
  readonly recipientId: string;
  /** The name of the agent behind it. */
  readonly agent: string;
  readonly channel: 'directline';
  readonly locale?: string;
  readonly createdAt: Date;
};

/** The agent of whoever names none. */
export const DEFAULT_AGENT = 'assistant';

const COLUMNS = `id, recipient_id as "recipientId", agent, channel, locale, created_at as "createdAt"`;

type Row = Omit<Conversation, 'locale'> & { readonly locale: string | null };
type NewConversation = { readonly recipientId: string; readonly agent?: string; readonly locale?: string };

const INSERT = statement(
  'assistant.conversation-insert',
  `insert into conversation (id, recipient_id, agent, standing, locale, last_at, created_at)
   values ($1, $2, $3, false, $4, $5, $5) returning ${COLUMNS}`,
);

/** Opens one more conversation of a person, beside their standing one. */
export async function openConversation(sql: Sql, given: NewConversation, now = new Date()): Promise<Conversation> {
  const { recipientId, agent = DEFAULT_AGENT, locale = null } = given;
  const [row] = await sql.query<Row>(INSERT, [freshId('cnv', now.getTime()), recipientId, agent, locale, now]);
  return conversation(row!);
}

const FIND_STANDING = statement(
  'assistant.conversation-standing',
  `select ${COLUMNS} from conversation where recipient_id = any($1::text[]) and agent = $2 and standing`,
);
// Two at the same time: one inserts, the other finds it afterwards.
const INSERT_STANDING = statement(
  'assistant.conversation-insert-standing',
  `insert into conversation (id, recipient_id, agent, standing, last_at, created_at)
   select id, recipient_id, $3, true, $4, $4 from unnest($1::text[], $2::text[]) as given (id, recipient_id)
   on conflict (recipient_id, agent) where standing do nothing`,
);

/** The standing conversation of a person with an agent, made if there is none. */
export async function conversationOf(sql: Sql, recipientId: string, agent = DEFAULT_AGENT): Promise<Conversation> {
  return (await conversationsOf(sql, [recipientId], agent)).get(recipientId)!;
}

/** The standing conversations of many people, by recipient id; those that are missing are made. */
export async function conversationsOf(
  sql: Sql,
  recipientIds: readonly string[],
  agent = DEFAULT_AGENT,
  now = new Date(),
): Promise<Map<string, Conversation>> {
  const find = async () => {
    const rows = await sql.query<Row>(FIND_STANDING, [textArray(recipientIds), agent]);
    return new Map(rows.map((row) => [row.recipientId, conversation(row)]));
  };
  const found = await find();
  const missing = [...new Set(recipientIds)].filter((id) => !found.has(id)).sort();
  if (missing.length === 0) return found;
  const ids = missing.map(() => freshId('cnv', now.getTime()));
  await sql.query(INSERT_STANDING, [textArray(ids), textArray(missing), agent, now]);
  return find();
}

const FIND = statement('assistant.conversation-find', `select ${COLUMNS} from conversation where id = $1`);

/** Refuses (`conversation_not_found`) an id that is none. */
export async function findConversation(sql: Sql, id: string): Promise<Conversation> {
  const [row] = await sql.query<Row>(FIND, [id]);
  if (!row) throw noConversation(id);
  return conversation(row);
}

const OPEN = statement(
  'assistant.conversation-open',
  `update conversation set opened_at = coalesce(old.opened_at, $2), locale = coalesce($3, conversation.locale)
   from (select id, opened_at from conversation where id = $1 for update) as old
   where conversation.id = old.id returning old.opened_at is null as first`,
);

/** Notes that a client has connected; true for the first time. Refuses (`conversation_not_found`). */
export async function noteOpened(sql: Sql, id: string, locale: string | undefined, now = new Date()): Promise<boolean> {
  const [row] = await sql.query<{ first: boolean }>(OPEN, [id, now, locale ?? null]);
  if (!row) throw noConversation(id);
  return row.first;
}

const CLAIM_GREETING = statement(
  'assistant.conversation-greet',
  'update conversation set greeted_at = $2 where id = $1 and greeted_at is null returning id',
);
const UNDO_GREETING = statement(
  'assistant.conversation-ungreet',
  'update conversation set greeted_at = null where id = $1',
);

/** True for the one caller that is to tell the agent who takes part. If that fails, call {@link undoGreeting}. */
export async function claimGreeting(sql: Sql, id: string, now = new Date()): Promise<boolean> {
  return (await sql.query(CLAIM_GREETING, [id, now])).length === 1;
}

export async function undoGreeting(sql: Sql, id: string): Promise<void> {
  await sql.query(UNDO_GREETING, [id]);
}

export function noConversation(...ids: readonly string[]): Refusal {
  const what =
    ids.length === 1 ? `There is no conversation ${ids[0]}.` : `There are no conversations ${ids.join(', ')}.`;
  return new Refusal('conversation_not_found', what, { conversations: ids });
}

function conversation({ locale, ...row }: Row): Conversation {
  return locale === null ? row : { ...row, locale };
}
