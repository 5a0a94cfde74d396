// What consumers store with a session. It outlives the session's messages.
import { type Sql, statement } from '../../kit/database.ts';

const GET = statement('topics.session.get', 'select state from session where subscription = $1 and session = $2');
const SET = statement(
  'topics.session.set',
  `insert into session (subscription, session, state, updated_at) values ($1, $2, $3, $4)
   on conflict (subscription, session) do update set state = excluded.state, updated_at = excluded.updated_at`,
);
const CLEAR = statement('topics.session.clear', 'delete from session where subscription = $1 and session = $2');
const LIST = statement(
  'topics.session.list',
  `select session from session where subscription = $1 and updated_at > $2 order by session offset $3 limit $4`,
);

export async function getSessionState(sql: Sql, subscription: number, session: string): Promise<Buffer | undefined> {
  const [row] = await sql.query<{ state: Buffer | null }>(GET, [subscription, session]);
  return row?.state ?? undefined;
}

export async function setSessionState(
  sql: Sql,
  subscription: number,
  session: string,
  state: Uint8Array | undefined,
): Promise<void> {
  if (state === undefined) await sql.query(CLEAR, [subscription, session]);
  else await sql.query(SET, [subscription, session, state, new Date()]);
}

/** Sessions whose state was set after `updatedAfter`. */
export async function sessionsWithState(
  sql: Sql,
  subscription: number,
  updatedAfter: Date,
  page: { readonly skip: number; readonly top: number },
): Promise<string[]> {
  const rows = await sql.query<{ session: string }>(LIST, [subscription, updatedAfter, page.skip, page.top]);
  return rows.map((row) => row.session);
}
