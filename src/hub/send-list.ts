// Sends for people: the newest first, and what each came to.

import { type Sql, statement } from '../kit/database.ts';
import { findSend, type Send } from './sends.ts';

const newest = statement(
  'hub.send-list',
  'select id from hub_send where hub = $1 and id < $2 order by id desc limit $3',
);

/** Ids begin with their time, so their order is that of their coming. `before`: the id where the page before ended. */
export async function listSends(sql: Sql, hub: string, before: string | undefined, limit: number): Promise<Send[]> {
  const rows = await sql.query<{ id: string }>(newest, [hub, before ?? 'nh_~', limit]);
  const sends = await Promise.all(rows.map(({ id }) => findSend(sql, hub, id)));
  return sends.filter((send) => send !== undefined);
}
