// The legs of a send, as they are kept: one per platform, because each push service has its own pace.
//   due --claim--> leased --chunk settled--> leased ... --walked, nothing to try again--> ended
//    ^               |--yield: others wait, the lane is down, or something is to be tried again later--> due
//    `--lease lapses-'
// A chunk is settled in one statement: the cursor, a byte of outcome per push, the failures that matter. It is fenced by the
// attempt and by the number of the chunk: a late node writes nothing, and a statement whose answer was lost can be repeated.

import { int4Array, textArray, timestamptzArray } from '../kit/arrays.ts';
import { type Sql, statement } from '../kit/database.ts';
import type { Platform } from './drivers/driver.ts';
import { lookAgainMs } from './lanes.ts';
import type { OutcomeCounts, SendJob } from './sends.ts';

export type LegPlatform = Platform | '*';
export type LegKey = {
  readonly hub: string;
  readonly send: string;
  readonly platform: LegPlatform;
  readonly attempt: number;
};

export type Leg = LegKey & {
  readonly job: SendJob;
  readonly startedAt: Date;
  /** The number of the last device whose chunk is settled; of a send to addresses, how many are. */
  readonly reached: string;
  readonly walked: boolean;
  readonly chunks: number;
  readonly outcomes: OutcomeCounts;
  /** When something is to be tried again next. */
  readonly retryAt: Date | undefined;
};

export type FailureRow = {
  readonly place: number;
  readonly platform: Platform;
  readonly deviceId: string | undefined;
  readonly part: string;
  readonly outcome: string;
  readonly cause: string;
  readonly dueAt: Date | undefined;
};

export type SettledChunk = {
  readonly chunk: number;
  readonly reached: string;
  readonly walked: boolean;
  readonly outcomes: OutcomeCounts;
  /** A byte per push. */
  readonly codes: Uint8Array;
  /** Four bytes per push. */
  readonly devices: Uint8Array;
  readonly failures: readonly FailureRow[];
};

/** A failure whose time to be tried again has come. */
export type DueFailure = {
  readonly chunk: number;
  readonly place: number;
  readonly platform: Platform;
  readonly deviceId: string | undefined;
  readonly part: string;
  readonly tries: number;
};

export type RetriedFailure = Pick<DueFailure, 'chunk' | 'place' | 'tries'> &
  Pick<FailureRow, 'outcome' | 'cause' | 'dueAt'>;

/** Long enough for a pause of the database, short enough for whoever takes over. */
export const leaseMs = 10_000;
/** A leg whose lane takes nothing, or that fails, for so long loses the send; as with Azure. */
export const giveUpMs = 30 * 60_000;

// A send that was cancelled gives its leg back without a job. Whoever cancels touches the send alone, and so does whoever
// closes it: nobody holds a send while waiting for a leg.
const claim = statement(
  'hub.leg-claim',
  `with leg as (
     update hub_send_leg set attempt = attempt + 1, leased_until = $2
     where (hub, send, platform) = (select hub, send, platform from hub_send_leg
       where ended_at is null and due_at <= $1 and (leased_until is null or leased_until <= $1)
       order by due_at limit 1 for update skip locked)
     returning hub, send, platform, attempt, reached, walked, chunks, outcomes),
   begun as (
     update hub_send set state = 'Processing', started_at = coalesce(started_at, $1) from leg
     where hub_send.hub = leg.hub and hub_send.id = leg.send and state in ('Scheduled', 'Enqueued') returning 1)
   select leg.*, coalesce(hub_send.started_at, $1) as started_at,
     case when state = 'Processing' or exists (select from begun) then job end as job,
     (select min(due_at) from hub_send_failure as failure
      where failure.hub = leg.hub and failure.send = leg.send and failure.leg = leg.platform) as retry_at
   from leg join hub_send on hub_send.hub = leg.hub and hub_send.id = leg.send`,
);
const renew = statement(
  'hub.leg-renew',
  `update hub_send_leg set leased_until = $5
   where hub = $1 and send = $2 and platform = $3 and attempt = $4 and ended_at is null returning 1`,
);
const settle = statement(
  'hub.leg-settle',
  `with leg as (
     update hub_send_leg set reached = $6, walked = $7, outcomes = $8, leased_until = $9, chunks = chunks + 1
     where hub = $1 and send = $2 and platform = $3 and attempt = $4 and chunks = $5 and ended_at is null
     returning hub, send, platform),
   chunk as (
     insert into hub_send_chunk (hub, send, platform, chunk, after_id, last_id, outcomes, devices, settled_at)
     select hub, send, platform, $5, (select reached from hub_send_leg where hub = $1 and send = $2 and platform = $3),
       $6, $10, $11, $12 from leg where length($10::bytea) > 0),
   failures as (
     insert into hub_send_failure (hub, send, leg, chunk, place, platform, device_id, part, outcome, cause, due_at, at)
     select leg.hub, leg.send, leg.platform, $5, place, failure.platform, device_id, part, outcome, cause,
       nullif(due_at, 'epoch'), $12
     from leg cross join unnest($13::int[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[], $19::timestamptz[])
       as failure (place, platform, device_id, part, outcome, cause, due_at))
   select 1 from leg`,
);
const isSettled = statement(
  'hub.leg-is-settled',
  'select 1 from hub_send_leg where hub = $1 and send = $2 and platform = $3 and attempt = $4 and chunks > $5',
);
const findDue = statement(
  'hub.failure-due',
  `select chunk, place, platform, device_id, part, tries from hub_send_failure
   where hub = $1 and send = $2 and leg = $3 and due_at <= $4 order by due_at limit $5`,
);
const retried = statement(
  'hub.failure-retried',
  `with leg as (
     update hub_send_leg set outcomes = $5, leased_until = $6
     where hub = $1 and send = $2 and platform = $3 and attempt = $4 and ended_at is null returning 1)
   update hub_send_failure as failure set outcome = news.outcome, cause = news.cause, due_at = nullif(news.due_at, 'epoch'),
     tries = news.tries, at = $7
   from leg, unnest($8::int[], $9::int[], $10::int[], $11::text[], $12::text[], $13::timestamptz[])
     as news (chunk, place, tries, outcome, cause, due_at)
   where failure.hub = $1 and send = $2 and failure.leg = $3 and failure.chunk = news.chunk and failure.place = news.place
   returning 1`,
);
const nextDue = statement(
  'hub.failure-next',
  'select min(due_at) as at from hub_send_failure where hub = $1 and send = $2 and leg = $3',
);
const release = statement(
  'hub.leg-release',
  `update hub_send_leg set leased_until = null, due_at = $5
   where hub = $1 and send = $2 and platform = $3 and attempt = $4 and ended_at is null`,
);
const end = statement(
  'hub.leg-end',
  `update hub_send_leg set leased_until = null, ended_at = $5, abandoned = $6
   where hub = $1 and send = $2 and platform = $3 and attempt = $4 and ended_at is null`,
);
// The pushes that a refused key kept from going out come with their legs.
const resume = statement(
  'hub.leg-resume',
  `with leg as (
     update hub_send_leg as leg set due_at = least(leg.due_at, $2) from hub_send
     where leg.hub = $1 and leg.ended_at is null and hub_send.hub = leg.hub and hub_send.id = leg.send
       and hub_send.state = 'Processing'
     returning leg.hub, leg.send, leg.platform)
   update hub_send_failure as failure set due_at = $2 from leg
   where failure.hub = leg.hub and failure.send = leg.send and failure.leg = leg.platform
     and failure.due_at > $2 and outcome = 'InvalidCredentials'`,
);
const split = statement(
  'hub.leg-split',
  `with leg as (
     delete from hub_send_leg where hub = $1 and send = $2 and platform = $3 and attempt = $4 and chunks = 0 returning 1)
   insert into hub_send_leg (hub, send, platform, due_at)
   select $1, $2, each, $5 from leg cross join unnest($6::text[]) as each`,
);
// After a leg has ended, in a statement of its own: of two that end together the later one sees both.
const close = statement(
  'hub.send-close',
  `update hub_send set ended_at = $3, state = case
       when exists (select from hub_send_leg where hub = $1 and send = $2 and abandoned) then 'Abandoned'
       when exists (select from hub_send_leg where hub = $1 and send = $2 and outcomes <> '{}') then 'Completed'
       else 'NoTargetFound' end
   where hub = $1 and id = $2 and ended_at is null
     and not exists (select from hub_send_leg where hub = $1 and send = $2 and ended_at is null)`,
);
// What a node left that died between the two.
const closeForgotten = statement(
  'hub.send-close-forgotten',
  `select hub, id from hub_send where ended_at is null and started_at < $1
     and not exists (select from hub_send_leg as leg where leg.hub = hub_send.hub and leg.send = hub_send.id and leg.ended_at is null)`,
);

type LegRow = LegKey & {
  readonly reached: string;
  readonly walked: boolean;
  readonly chunks: number;
  readonly outcomes: string;
  readonly started_at: Date;
  readonly job: string | null;
  readonly retry_at: Date | null;
};

/** The leg that has waited longest, leased. Undefined when nothing is due; 'canceled' when it was, and is done. */
export async function claimLeg(sql: Sql, now: Date): Promise<Leg | 'canceled' | undefined> {
  const [row] = await sql.query<LegRow>(claim, [now, new Date(now.getTime() + leaseMs)]);
  if (row === undefined) return undefined;
  const { hub, send, platform, attempt, reached, walked, chunks } = row;
  const key = { hub, send, platform, attempt };
  if (row.job === null) {
    await endLeg(sql, key, now, false);
    return 'canceled';
  }
  return {
    ...key,
    reached,
    walked,
    chunks,
    // Both were written by this room.
    job: JSON.parse(row.job) as SendJob,
    outcomes: JSON.parse(row.outcomes) as OutcomeCounts,
    startedAt: row.started_at,
    retryAt: row.retry_at ?? undefined,
  };
}

/** False: another node has it by now, and this one must stop. */
export async function renewLeg(sql: Sql, leg: LegKey, now: Date): Promise<boolean> {
  return (await sql.query(renew, [...keyOf(leg), leaseEnd(now)])).length > 0;
}

/** False: another node has the leg by now. May be repeated when its answer was lost. */
export async function settleChunk(sql: Sql, leg: LegKey, settled: SettledChunk, now: Date): Promise<boolean> {
  const { chunk, reached, walked, outcomes, codes, devices, failures } = settled;
  const values = [
    ...keyOf(leg),
    chunk,
    reached,
    walked,
    JSON.stringify(outcomes),
    leaseEnd(now),
    codes,
    devices,
    now,
    int4Array(failures.map(({ place }) => place)),
    textArray(failures.map(({ platform }) => platform)),
    textArray(failures.map(({ deviceId }) => deviceId ?? null)),
    textArray(failures.map(({ part }) => part)),
    textArray(failures.map(({ outcome }) => outcome)),
    textArray(failures.map(({ cause }) => cause)),
    timestamptzArray(failures.map(({ dueAt }) => dueAt ?? never)),
  ];
  if ((await sql.query(settle, values)).length > 0) return true;
  return (await sql.query(isSettled, [...keyOf(leg), chunk])).length > 0;
}

/** What is to be tried again by now, longest due first. */
export async function findDueFailures(sql: Sql, leg: LegKey, now: Date, limit: number): Promise<DueFailure[]> {
  type Row = Omit<DueFailure, 'deviceId'> & { readonly device_id: string | null };
  const { hub, send, platform } = leg;
  const rows = await sql.query<Row>(findDue, [hub, send, platform, now, limit]);
  return rows.map(({ device_id, ...row }) => ({ ...row, deviceId: device_id ?? undefined }));
}

/** False: another node has the leg by now. `outcomes` are the leg's, with what became final. May be repeated. */
export async function settleRetried(
  sql: Sql,
  leg: LegKey,
  outcomes: OutcomeCounts,
  failures: readonly RetriedFailure[],
  now: Date,
): Promise<boolean> {
  const values = [
    ...keyOf(leg),
    JSON.stringify(outcomes),
    leaseEnd(now),
    now,
    int4Array(failures.map(({ chunk }) => chunk)),
    int4Array(failures.map(({ place }) => place)),
    int4Array(failures.map(({ tries }) => tries)),
    textArray(failures.map(({ outcome }) => outcome)),
    textArray(failures.map(({ cause }) => cause)),
    timestamptzArray(failures.map(({ dueAt }) => dueAt ?? never)),
  ];
  return (await sql.query(retried, values)).length > 0;
}

/** When something of this leg is to be tried again next. */
export async function nextRetry(sql: Sql, { hub, send, platform }: LegKey): Promise<Date | undefined> {
  const [row] = await sql.query<{ at: Date | null }>(nextDue, [hub, send, platform]);
  return row?.at ?? undefined;
}

/** Gives the leg back; anybody may go on with it from `dueAt` on. */
export async function releaseLeg(sql: Sql, leg: LegKey, dueAt: Date): Promise<void> {
  await sql.query(release, [...keyOf(leg), dueAt]);
}

/**
 * What waits for a lane of this hub goes on once every node has seen that it has other credentials. Of a run that is not
 * over this sees nothing; it looks for itself when it gives its leg back. So the credentials have to be committed by then.
 */
export async function resumeLegs(sql: Sql, hub: string, now: Date): Promise<void> {
  await sql.query(resume, [hub, new Date(now.getTime() + lookAgainMs + 500)]);
}

/** Ends the leg, and the send with its last leg. */
export async function endLeg(sql: Sql, leg: LegKey, now: Date, abandoned: boolean): Promise<void> {
  await sql.query(end, [...keyOf(leg), now, abandoned]);
  await sql.query(close, [leg.hub, leg.send, now]);
}

/** Instead of the leg for all platforms one for each. */
export async function splitLeg(sql: Sql, leg: LegKey, platforms: readonly Platform[], now: Date): Promise<void> {
  await sql.query(split, [...keyOf(leg), now, platforms]);
}

/** Sends whose legs have all ended, but whose node died before it could say so. */
export async function closeForgottenSends(sql: Sql, now: Date): Promise<void> {
  const before = new Date(now.getTime() - leaseMs);
  const rows = await sql.query<{ hub: string; id: string }>(closeForgotten, [before]);
  for (const { hub, id } of rows) await sql.query(close, [hub, id, now]);
}

/** Stands for no time in arrays, which have no nulls. */
const never = new Date(0);

function keyOf({ hub, send, platform, attempt }: LegKey): [string, string, string, number] {
  return [hub, send, platform, attempt];
}

function leaseEnd(now: Date): Date {
  return new Date(now.getTime() + leaseMs);
}
