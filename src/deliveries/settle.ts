// Settling: what a worker's attempts came to, written durably. Each verdict is fenced by the attempt number of its claim:
// a worker whose lease has lapsed changes nothing once another has claimed the delivery. Settlements of all lanes gather
// while the one before is being written (group commit), so a channel that sends one by one costs few transactions.
import { type Database, type Sql, statement, type Tx } from '../kit/database.ts';
import type { ChannelName, ClaimedDelivery } from './channel.ts';
import type { Verdict } from './judge.ts';

export type Settlement = {
  readonly delivery: ClaimedDelivery;
  readonly verdict: Verdict;
  readonly at: Date;
  readonly tookMs: number;
};

/** An endpoint that its provider says is dead. */
export type GoneEndpoint = {
  readonly channel: ChannelName;
  readonly recipientId: string;
  readonly endpoint: string | null;
  readonly cause: string;
};

/** Marks or prunes endpoints in the transaction that drops their deliveries. */
export type MarkGone = (tx: Tx, gone: readonly GoneEndpoint[]) => Promise<void>;

// A finished delivery is deleted and lives on as its attempt. `leased_until is not null` makes a second settlement of the
// same attempt a no-op, so it is safe to repeat one whose commit was in doubt.
const SETTLE = statement(
  'deliveries.settle',
  `with verdict as (
     select * from unnest($1::text[], $2::int[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[],
       $7::text[], $8::text[], $9::text[], $10::int[], $11::int[])
       as v (id, attempt, kind, at, due_at, reason, cause, detail, provider_id, took_ms, failures)
   ), finished as (
     delete from delivery using verdict v
     where delivery.id = v.id and delivery.attempt = v.attempt and delivery.leased_until is not null
       and v.kind in ('delivered', 'dropped')
     returning delivery.id, notice_id, recipient_id, channel
   ), kept as (
     update delivery
     set leased_until = null, claimed_by = null,
       state = case v.kind when 'dead' then 'dead' else 'pending' end,
       died_at = case v.kind when 'dead' then v.at end,
       reason = v.reason,
       due_at = coalesce(v.due_at, delivery.due_at),
       failures = v.failures,
       cause = coalesce(v.cause, delivery.cause),
       detail = coalesce(v.detail, delivery.detail)
     from verdict v
     where delivery.id = v.id and delivery.attempt = v.attempt and delivery.leased_until is not null
       and v.kind in ('retry', 'back', 'dead')
     returning delivery.id, notice_id, recipient_id, channel
   ), settled as (
     select * from finished union all select * from kept
   ), recorded as (
     insert into attempt (at, delivery_id, notice_id, recipient_id, channel, attempt, outcome, cause, detail,
       provider_id, took_ms)
     select v.at, s.id, s.notice_id, s.recipient_id, s.channel, v.attempt, v.kind, v.cause, v.detail, v.provider_id,
       v.took_ms
     from settled s join verdict v on v.id = s.id
     where v.kind <> 'back'
   )
   select id from settled`,
);

/** Writes the settlements. Returns the ids of those that still were this worker's to settle. */
export async function settle(sql: Sql, settlements: readonly Settlement[]): Promise<Set<string>> {
  const verdicts = settlements.map((each) => each.verdict);
  const rows = await sql.query<{ id: string }>(SETTLE, [
    settlements.map((each) => each.delivery.id),
    settlements.map((each) => each.delivery.attempt),
    verdicts.map((verdict) => verdict.kind),
    settlements.map((each) => each.at),
    verdicts.map((verdict) => ('dueAt' in verdict ? verdict.dueAt : undefined)),
    verdicts.map((verdict) => ('reason' in verdict ? verdict.reason : undefined)),
    verdicts.map((verdict) => ('cause' in verdict ? storable(verdict.cause, 100) : undefined)),
    verdicts.map((verdict) => ('detail' in verdict ? storable(verdict.detail, 500) : undefined)),
    verdicts.map((verdict) => ('providerId' in verdict ? storable(verdict.providerId, 300) : undefined)),
    settlements.map((each) => Math.round(each.tookMs)),
    settlements.map(({ delivery, verdict }) => delivery.failures + (verdict.kind === 'back' ? 0 : 1)),
  ]);
  return new Set(rows.map((row) => row.id));
}

// Foreign servers wrote these texts: one that PostgreSQL cannot store must not keep a whole group from being settled.
function storable(text: string | undefined, length: number): string | undefined {
  return text?.replaceAll('\0', '').slice(0, length).toWellFormed();
}

type Waiting = {
  readonly settlements: readonly Settlement[];
  readonly resolve: (settled: Set<string>) => void;
  readonly reject: (error: unknown) => void;
};

export type SettlerDeps = {
  readonly database: Database;
  readonly markGone: MarkGone | undefined;
  /** Told when `markGone` throws. */
  readonly markGoneFailed: (error: unknown) => void;
};

/** Gathers settlements of all lanes into one transaction at a time. */
export class Settler {
  readonly #deps: SettlerDeps;
  #waiting: Waiting[] = [];
  #writing = false;

  constructor(deps: SettlerDeps) {
    this.#deps = deps;
  }

  /** Resolves after the commit with the ids that were settled; rejects if the database failed. Safe to repeat then. */
  settle(settlements: readonly Settlement[]): Promise<Set<string>> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ settlements, resolve, reject });
      void this.#write();
    });
  }

  async #write(): Promise<void> {
    if (this.#writing) return;
    this.#writing = true;
    while (this.#waiting.length > 0) await this.#writeGroup(this.#waiting.splice(0));
    this.#writing = false;
  }

  async #writeGroup(group: readonly Waiting[]): Promise<void> {
    try {
      const settled = await this.#commit(group.flatMap((each) => each.settlements));
      for (const each of group) each.resolve(settled);
    } catch (error) {
      for (const each of group) each.reject(error);
    }
  }

  async #commit(settlements: readonly Settlement[]): Promise<Set<string>> {
    const { database, markGone } = this.#deps;
    const dropped = settlements.filter((each) => each.verdict.kind === 'dropped');
    if (!markGone || dropped.length === 0) return settle(database, settlements);
    const marking: { failure?: unknown } = {};
    try {
      return await database.transaction(async (tx) => {
        const settled = await settle(tx, settlements);
        const gone = dropped.filter((each) => settled.has(each.delivery.id)).map(goneEndpoint);
        if (gone.length > 0) await markGone(tx, gone).catch((error: unknown) => rethrow(marking, error));
        return settled;
      });
    } catch (error) {
      // The mark only spares us later attempts; the outcomes must not wait for it, or everything would be sent again.
      if (!('failure' in marking)) throw error;
      this.#deps.markGoneFailed(marking.failure);
      return settle(database, settlements);
    }
  }
}

function rethrow(marking: { failure?: unknown }, error: unknown): never {
  marking.failure = error;
  throw error;
}

function goneEndpoint({ delivery, verdict }: Settlement): GoneEndpoint {
  const { channel, recipientId, endpoint } = delivery;
  return { channel, recipientId, endpoint, cause: verdict.kind === 'dropped' ? verdict.cause : '' };
}
