// Reads what was said after a number. The number is the client's watermark.
import { int8Array, textArray } from '../../kit/arrays.ts';
import { type Sql, statement } from '../../kit/database.ts';
import type { Activity } from './activity.ts';

/** `content` is the activity as JSON text. */
export type Said = { readonly conversationId: string; readonly sequence: number; readonly content: string };

/** Where a reader stands: it has everything up to `after`. */
export type Place = { readonly conversationId: string; readonly after: number };

// One index range for each place, whatever their number.
const READ = statement(
  'assistant.read-after',
  `select said.conversation_id as "conversationId", said.sequence, said.content
   from unnest($1::text[], $2::int8[]) as place (conversation_id, after)
   cross join lateral (
     select conversation_id, sequence, content from activity
     where activity.conversation_id = place.conversation_id and sequence > place.after
     order by sequence limit $3
   ) as said order by said.conversation_id, said.sequence`,
);

/** For each place what comes next, at most `limit` of each, in order. */
export function readAfter(sql: Sql, places: readonly Place[], limit: number): Promise<Said[]> {
  return sql.query<Said>(READ, [
    textArray(places.map(({ conversationId }) => conversationId)),
    int8Array(places.map(({ after }) => after)),
    limit,
  ]);
}

const HEADS = statement(
  'assistant.heads',
  'select id, last_sequence as sequence from conversation where id = any($1::text[])',
);

/** The last number of each conversation that exists. */
export async function readHeads(sql: Sql, ids: readonly string[]): Promise<Map<string, number>> {
  const rows = await sql.query<{ id: string; sequence: number }>(HEADS, [textArray(ids)]);
  return new Map(rows.map(({ id, sequence }) => [id, sequence]));
}

const FIND = statement(
  'assistant.activity-find',
  'select content from activity where conversation_id = $1 and id = $2',
);

/** One activity by its id, as clients have it. */
export async function findActivity(sql: Sql, conversationId: string, id: string): Promise<Activity | undefined> {
  const [row] = await sql.query<{ content: string }>(FIND, [conversationId, id]);
  return row && (JSON.parse(row.content) as Activity); // `appendActivities` wrote it
}
