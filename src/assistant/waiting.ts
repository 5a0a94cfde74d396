// People who were never in a conversation. A delivery for each of their notices would be work that nobody may ever see, so
// the trace only says that the notice waits; when such a person opens the conversation, what waits is delivered into it.

import type { Urgency } from '../deliveries/channel.ts';
import { planDeliveries } from '../deliveries/plan.ts';
import { textArray } from '../kit/arrays.ts';
import { type Database, type Sql, statement } from '../kit/database.ts';
import type { Profile } from '../people/recipient.ts';
import type { Poster } from './poster.ts';

const WAITS = { unreachable: 'waits: the conversation was never opened' } as const;
/** How far back a newcomer is told, and of how many notices at most. */
const BACK_MS = 30 * 86_400_000;
const MOST = 20;

const KNOWN = statement(
  'assistant.known-people',
  `select id from unnest($1::text[]) as given (id)
   where exists (select from conversation_reference r where r.recipient_id = given.id)`,
);
const IS_KNOWN = statement(
  'assistant.is-known',
  `select from conversation_reference where recipient_id = $1 and channel = 'directline' limit 1`,
);
const WAITING = statement(
  'assistant.waiting-notices',
  `select notice_id as "noticeId", urgency from (
     select distinct on (t.notice_id) t.notice_id, t.at, n.urgency from trace t
       join notice n on n.recipient_id = t.recipient_id and n.id = t.notice_id
      where t.recipient_id = $1 and t.at > $2 and t.step = 'decide' and t.outcome = 'notice'
        and t.detail like '%conversation ' || $3 || '%'
        and not exists (select from posted_card p where p.recipient_id = t.recipient_id and p.notice_id = t.notice_id)
      order by t.notice_id, t.at) as waiting
   order by at desc limit $4`,
);

type Reached = ReadonlyMap<string, readonly null[] | typeof WAITS>;

/** For the handler: who has been in a conversation, or can be found by what is known of them. The others' notices wait. */
export function conversationEndpoints(
  posters: readonly Poster[],
): (sql: Sql, people: ReadonlyMap<string, Profile>) => Promise<Reached> {
  const likely = posters.filter((poster) => poster.likely !== undefined);
  return async (sql, people) => {
    const rows = await sql.query<{ id: string }>(KNOWN, [textArray([...people.keys()])]);
    const known = new Set(rows.map(({ id }) => id));
    const reachable = (id: string, person: Profile) =>
      known.has(id) || likely.some((poster) => poster.likely!(person).length > 0);
    return new Map([...people].map(([id, person]) => [id, reachable(id, person) ? [null] : WAITS]));
  };
}

/** Whether the person was never in the conversation. Ask before their coming is captured. */
export async function isNewcomer(sql: Sql, recipientId: string): Promise<boolean> {
  return (await sql.query(IS_KNOWN, [recipientId])).length === 0;
}

/**
 * Plans what waits for a newcomer, and returns how much that is. Call it once their coming is captured, and again when
 * batches that were under way then are written: they may not have known of it. What is there already is passed over.
 */
export async function planWaiting(database: Database, recipientId: string, now = new Date()): Promise<number> {
  const since = new Date(now.getTime() - BACK_MS);
  return database.transaction(async (tx) => {
    const values = [recipientId, since, WAITS.unreachable, MOST];
    const waiting = await tx.query<{ noticeId: string; urgency: Urgency }>(WAITING, values);
    const about = { recipientId, channel: 'conversation', endpoint: null } as const;
    // One after the other, the oldest first: that is how they came.
    const plans = waiting.toReversed().map((each, i) => ({ ...about, ...each, dueAt: new Date(now.getTime() + i) }));
    await planDeliveries(tx, plans);
    return plans.length;
  });
}
