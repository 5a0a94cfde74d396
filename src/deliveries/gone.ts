// Endpoints that their provider called dead, for channels whose room keeps no endpoints of its own (mail). Whoever finds
// endpoints for a plan leaves them out; after a while they are tried again, because mailboxes do come back.
import { type Sql, statement, type Tx } from '../kit/database.ts';
import type { ChannelName } from './channel.ts';
import type { GoneEndpoint } from './settle.ts';

/** How long a dead endpoint is left alone. */
export const GONE_FOR_MS = 30 * 86_400_000;

const MARK = statement(
  'deliveries.gone.mark',
  `insert into gone_endpoint (channel, endpoint, cause, last_at)
   select distinct on (channel, endpoint) channel, endpoint, cause, $4
   from unnest($1::text[], $2::text[], $3::text[]) as marked (channel, endpoint, cause)
   order by channel, endpoint
   on conflict (channel, endpoint) do update set cause = excluded.cause, last_at = excluded.last_at`,
);

const FIND = statement(
  'deliveries.gone.find',
  `select endpoint, cause from gone_endpoint where channel = $1 and endpoint = any ($2::text[]) and last_at > $3`,
);

const FORGIVE = statement('deliveries.gone.forgive', 'delete from gone_endpoint where channel = $1 and endpoint = $2');

/** Remembers endpoints as dead: a `MarkGone` for the dispatcher. Deliveries without an endpoint are passed over. */
export async function markGone(tx: Tx, gone: readonly GoneEndpoint[], now = new Date()): Promise<void> {
  const named = gone.filter((each) => each.endpoint !== null);
  if (named.length === 0) return;
  const column = (key: 'channel' | 'endpoint' | 'cause') => named.map((each) => each[key]);
  await tx.query(MARK, [column('channel'), column('endpoint'), column('cause'), now]);
}

/** Those of `endpoints` that are dead at `now`, each with its cause. One round trip. */
export async function findGone(
  sql: Sql,
  channel: ChannelName,
  endpoints: readonly string[],
  now: Date,
): Promise<ReadonlyMap<string, string>> {
  if (endpoints.length === 0) return new Map();
  const since = new Date(now.getTime() - GONE_FOR_MS);
  const rows = await sql.query<{ endpoint: string; cause: string }>(FIND, [channel, endpoints, since]);
  return new Map(rows.map((row) => [row.endpoint, row.cause]));
}

/** Makes an endpoint usable again at once, e.g. because its owner says that it works. */
export async function forgive(sql: Sql, channel: ChannelName, endpoint: string): Promise<void> {
  await sql.query(FORGIVE, [channel, endpoint]);
}
