// Claiming: a worker takes due deliveries by a lease. The row's `attempt` counts its claims and fences the settlement.
import { type Sql, statement } from '../kit/database.ts';
import { type ChannelName, type ClaimedDelivery, type Urgency, urgencies } from './channel.ts';

type ClaimedRow = {
  id: string;
  notice_id: string;
  recipient_id: string;
  endpoint: string | null;
  urgency: number;
  attempt: number;
  failures: number;
  planned_for: Date;
  due_at: Date;
};

// One index range per urgency, the urgent first, and no sorting: the outer limit stops pulling once it has enough.
// Rows that are being sent stay in the index until they are settled and are skipped here; there are only as many as are
// in flight. A claim of a lapsed lease counts as a failure, so that a delivery that kills its workers ends as well.
export const CLAIM = statement(
  'deliveries.claim',
  `update delivery
   set attempt = attempt + 1, failures = failures + (leased_until is not null)::int, leased_until = $4, claimed_by = $5
   where id = any (array(
     select due.id
     from (values (2::smallint), (1::smallint), (0::smallint)) as lane (urgency)
     cross join lateral (
       select id from delivery
       where channel = $1 and urgency = lane.urgency and state = 'pending' and due_at <= $2
         and (leased_until is null or leased_until <= $2)
       order by due_at
       limit $3
       for update skip locked
     ) as due
     limit $3
   ))
   returning id, notice_id, recipient_id, endpoint, urgency, attempt, failures, planned_for, due_at`,
);

const NEXT_DUE = statement(
  'deliveries.next_due',
  `select min(time) as next_due from (
     select leased_until as time from delivery
     where channel = $1 and urgency in (0, 1, 2) and state = 'pending' and due_at <= $2 and leased_until > $2
     union all
     select future.due_at
     from (values (2::smallint), (1::smallint), (0::smallint)) as lane (urgency)
     cross join lateral (
       select due_at from delivery
       where channel = $1 and urgency = lane.urgency and state = 'pending' and due_at > $2
       order by due_at
       limit 1
     ) as future
   ) as times`,
);

// A renewal that was held up on its way must not shorten what a later one has set.
const RENEW = statement(
  'deliveries.renew',
  `update delivery set leased_until = greatest(delivery.leased_until, $3)
   from unnest($1::text[], $2::int[]) as held (id, attempt)
   where delivery.id = held.id and delivery.attempt = held.attempt and delivery.leased_until is not null`,
);

// A lease that has lapsed counts as a failure at the next claim. One that failed before waits for the end of its lease: a
// server that dies over and over again must not use up all attempts within seconds.
const TAKE_BACK = statement(
  'deliveries.take_back',
  `update delivery set leased_until = $2
   where state = 'pending' and due_at <= $2 and leased_until > $2 and claimed_by = any($1::int[]) and failures = 0`,
);

/** Claims at most `limit` due deliveries for this run of the node, the urgent ones first, then by due time. */
export async function claimDue(
  sql: Sql,
  input: { channel: ChannelName; limit: number; now: Date; leaseMs: number; run?: number | undefined },
): Promise<ClaimedDelivery[]> {
  const until = new Date(input.now.getTime() + input.leaseMs);
  const rows = await sql.query<ClaimedRow>(CLAIM, [input.channel, input.now, input.limit, until, input.run ?? null]);
  // `returning` follows the storage, not the order of the claim.
  rows.sort((a, b) => b.urgency - a.urgency || a.due_at.getTime() - b.due_at.getTime());
  return rows.map((row) => claimed(input.channel, row));
}

/**
 * When there may be something to claim again, given that everything claimable at `now` has been claimed: the next due
 * time, or the end of a lease. Undefined if nothing is pending.
 */
export async function nextDue(sql: Sql, channel: ChannelName, now: Date): Promise<Date | undefined> {
  const rows = await sql.query<{ next_due: Date | null }>(NEXT_DUE, [channel, now]);
  return rows[0]?.next_due ?? undefined;
}

/** Moves the end of the leases that this worker still holds. */
export async function renewLeases(sql: Sql, held: readonly ClaimedDelivery[], until: Date): Promise<void> {
  await sql.query(RENEW, [held.map((each) => each.id), held.map((each) => each.attempt), until]);
}

/** Lets the leases of runs that are dead lapse; wake the lanes after the commit. */
export async function takeBackDeliveries(sql: Sql, runs: readonly number[], now: Date): Promise<void> {
  await sql.query(TAKE_BACK, [runs, now]);
}

function claimed(channel: ChannelName, row: ClaimedRow): ClaimedDelivery {
  return {
    id: row.id,
    noticeId: row.notice_id,
    recipientId: row.recipient_id,
    channel,
    endpoint: row.endpoint,
    urgency: urgencies[row.urgency] as Urgency, // the column's check allows 0 to 2
    attempt: row.attempt,
    failures: row.failures,
    plannedFor: row.planned_for,
    dueAt: row.due_at,
  };
}
