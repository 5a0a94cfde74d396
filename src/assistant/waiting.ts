// People who were never in a conversation. A delivery for each of their notices would be work that nobody may ever see, so
// the trace only says that the notice waits; when such a person opens the conversation, what waits is delivered into it.

import type { Urgency } from '../deliveries/channel.ts';
import { planDeliveries } from '../deliveries/plan.ts';
import { textArray } from '../kit/arrays.ts';
import { type Database, type Sql, statement } from '../kit/database.ts';
import type { Profile } from '../people/recipient.ts';
import type { Conversation } from './conversations/conversation.ts';
import type { Poster } from './poster.ts';
import { captureReference } from './references/references.ts';

const WAITS = { unreachable: 'waits: the conversation was never opened' } as const;
/** How far back a newcomer is told, and of how many notices at most. */
const BACK_MS = 30 * 86_400_000;
const MOST = 20;
/** When it is looked at again: a batch of the handler that was under way may not have known of the newcomer yet. */
const AGAIN_AFTER_MS: readonly number[] = [1_000, 10_000];

const KNOWN = statement(
  'assistant.known-people',
  `select id from unnest($1::text[]) as given (id)
   where exists (select from conversation_reference r where r.recipient_id = given.id)`,
);
// Only of the newest is asked what is there already, or each look would bring older ones.
const WAITING = statement(
  'assistant.waiting-notices',
  `select notice_id as "noticeId", urgency from (
     select * from (
       select distinct on (t.notice_id) t.recipient_id, t.notice_id, t.at, n.urgency from trace t
         join notice n on n.recipient_id = t.recipient_id and n.id = t.notice_id
        where t.recipient_id = $1 and t.at > $2 and n.recalled_at is null and t.step = 'decide' and t.outcome = 'notice'
          and t.detail like '%conversation ' || $3 || '%'
        order by t.notice_id, t.at) as every
     order by at desc limit $4) as waiting
   where not exists (
     select from posted_card p where p.recipient_id = waiting.recipient_id and p.notice_id = waiting.notice_id)
   order by at desc`,
);

type Reached = ReadonlyMap<string, readonly null[] | typeof WAITS>;

/** For the handler: who has been in a conversation, or can be found by what is known of them. The others' notices wait. */
export function conversationEndpoints(
  posters: readonly Poster[],
): (sql: Sql, ids: readonly string[], people: Promise<ReadonlyMap<string, Profile>>) => Promise<Reached> {
  const likely = posters.filter((poster) => poster.likely !== undefined);
  return async (sql, ids, people) => {
    const rows = await sql.query<{ id: string }>(KNOWN, [textArray(ids)]);
    const known = new Set(rows.map(({ id }) => id));
    const reachable = (id: string, person: Profile) =>
      known.has(id) || likely.some((poster) => poster.likely!(person).length > 0);
    return new Map([...(await people)].map(([id, person]) => [id, reachable(id, person) ? [null] : WAITS]));
  };
}

export type NewcomersDeps = {
  readonly database: Database;
  /** Called after deliveries were planned. */
  readonly planned: () => void;
  readonly fault: (error: unknown) => void;
  readonly againAfterMs?: readonly number[];
};

/** Remembers where people were seen on Direct Line; who is seen there for the first time gets what waits for them. */
export class Newcomers {
  readonly #deps: NewcomersDeps;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #bringing = new Set<Promise<void>>();
  #stopped = false;

  constructor(deps: NewcomersDeps) {
    this.#deps = deps;
  }

  /** They opened the conversation, or said something there. */
  async seen({ id: place, recipientId, agent: connection, locale }: Conversation): Promise<void> {
    const address = locale === undefined ? {} : { locale };
    const where = { recipientId, channel: 'directline', connection, place } as const;
    if (!(await captureReference(this.#deps.database, { ...where, address, seenAt: new Date() }))) return;
    await this.#bring(recipientId);
    for (const afterMs of this.#stopped ? [] : (this.#deps.againAfterMs ?? AGAIN_AFTER_MS)) {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        void this.#bring(recipientId);
      }, afterMs).unref();
      this.#timers.add(timer);
    }
  }

  /** Lets what is under way end. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    await Promise.all(this.#bringing);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Never fails: it is tried again. */
  #bring(recipientId: string): Promise<void> {
    const { database, planned, fault } = this.#deps;
    const bringing = planWaiting(database, recipientId)
      .then((count) => (count > 0 ? planned() : undefined), fault)
      .finally(() => this.#bringing.delete(bringing));
    this.#bringing.add(bringing);
    return bringing;
  }
}

/** Plans what waits for somebody who has come, and returns how much that is; what is there already is passed over. */
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
