// Sends as they are kept, from the request to the telemetry:
//   Scheduled --due--> Enqueued --claim--> Processing --last page--> Completed | NoTargetFound
//       `---cancel---> Canceled               `---lease lapses---> claimed again, goes on after the last page written
// A request id that came before is the same send again: a client repeats a request whose answer it did not get.

import { type Database, type Sql, statement } from '../kit/database.ts';
import { freshId } from '../kit/ids.ts';
import type { Message } from './aims.ts';
import type { Platform } from './drivers/driver.ts';
import type { PushChannel } from './installation.ts';
import type { OutcomeName } from './outcome-name.ts';

export type SendState =
  | 'Scheduled'
  | 'Enqueued'
  | 'Processing'
  | 'Completed'
  | 'NoTargetFound'
  | 'Canceled'
  | 'Abandoned';

/** `tags`: an expression that was checked; undefined for everybody. `to`: these addresses instead of devices. */
export type SendJob = {
  readonly message: Message;
  readonly tags?: string | undefined;
  readonly to?: readonly PushChannel[] | undefined;
};

export type OutcomeCounts = { [platform in Platform]?: { [name in OutcomeName | 'Skipped']?: number } };

export type Send = {
  readonly hub: string;
  readonly id: string;
  readonly state: SendState;
  readonly job: SendJob;
  readonly attempt: number;
  readonly reached: string;
  readonly outcomes: OutcomeCounts;
  readonly enqueuedAt: Date;
  readonly startedAt: Date | undefined;
  readonly endedAt: Date | undefined;
};

const leaseMs = 60_000;
const columns = 'hub, id, state, job, attempt, reached, outcomes, enqueued_at, started_at, ended_at';

const insertSend = statement(
  'hub.send-insert',
  `insert into hub_send (hub, id, request_id, state, job, due_at, enqueued_at) values ($1, $2, $3, $4, $5, $6, $7)
   on conflict (hub, request_id) where request_id is not null do nothing returning id`,
);
const findByRequest = statement('hub.send-by-request', 'select id from hub_send where hub = $1 and request_id = $2');
const findOne = statement('hub.send-find', `select ${columns} from hub_send where hub = $1 and id = $2`);
const claimOne = statement(
  'hub.send-claim',
  `update hub_send set state = 'Processing', attempt = attempt + 1, leased_until = $2, started_at = coalesce(started_at, $1)
   where (hub, id) = (select hub, id from hub_send
     where ended_at is null and due_at <= $1 and (leased_until is null or leased_until < $1)
     order by due_at limit 1 for update skip locked)
   returning ${columns}`,
);
const writeProgress = statement(
  'hub.send-progress',
  `update hub_send set reached = $4, outcomes = $5, leased_until = $6, state = $7, ended_at = $8
   where hub = $1 and id = $2 and attempt = $3 and ended_at is null returning id`,
);
const cancelOne = statement(
  'hub.send-cancel',
  `update hub_send set state = 'Canceled', ended_at = $3 where hub = $1 and id = $2 and state = 'Scheduled' returning id`,
);

type SendRow = {
  readonly hub: string;
  readonly id: string;
  readonly state: SendState;
  readonly job: string;
  readonly attempt: number;
  readonly reached: string;
  readonly outcomes: string;
  readonly enqueued_at: Date;
  readonly started_at: Date | null;
  readonly ended_at: Date | null;
};

/** Durable when it returns. The id of the send, or of the earlier one with the same `requestId`. */
export async function enqueueSend(
  database: Database,
  hub: string,
  job: SendJob,
  now: Date,
  options: { readonly requestId?: string | undefined; readonly dueAt?: Date | undefined } = {},
): Promise<string> {
  const { requestId = null, dueAt = now } = options;
  const id = freshId('nh', now.getTime());
  const state = dueAt > now ? 'Scheduled' : 'Enqueued';
  const values = [hub, id, requestId, state, JSON.stringify(job), dueAt, now];
  const [made] = await database.query(insertSend, values);
  if (made !== undefined) return id;
  const [earlier] = await database.query<{ id: string }>(findByRequest, [hub, requestId]);
  return earlier!.id;
}

export async function findSend(sql: Sql, hub: string, id: string): Promise<Send | undefined> {
  const [row] = await sql.query<SendRow>(findOne, [hub, id]);
  return row && sendOf(row);
}

/** Whether it was still to come. */
export async function cancelSend(sql: Sql, hub: string, id: string, now: Date): Promise<boolean> {
  return (await sql.query(cancelOne, [hub, id, now])).length > 0;
}

export async function claimSend(sql: Sql, now: Date): Promise<Send | undefined> {
  const [row] = await sql.query<SendRow>(claimOne, [now, new Date(now.getTime() + leaseMs)]);
  return row && sendOf(row);
}

/** False: another node has it by now, and this one must stop. */
export async function writeSendProgress(
  sql: Sql,
  { hub, id, attempt }: Pick<Send, 'hub' | 'id' | 'attempt'>,
  progress: Pick<Send, 'reached' | 'outcomes' | 'state'>,
  now: Date,
): Promise<boolean> {
  const { reached, outcomes, state } = progress;
  const lease = new Date(now.getTime() + leaseMs);
  const ended = state === 'Processing' ? null : now;
  const values = [hub, id, attempt, reached, JSON.stringify(outcomes), lease, state, ended];
  return (await sql.query(writeProgress, values)).length > 0;
}

function sendOf(row: SendRow): Send {
  return {
    hub: row.hub,
    id: row.id,
    state: row.state,
    // Both were written by this file.
    job: JSON.parse(row.job) as SendJob,
    outcomes: JSON.parse(row.outcomes) as OutcomeCounts,
    attempt: row.attempt,
    reached: row.reached,
    enqueuedAt: row.enqueued_at,
    startedAt: row.started_at ?? undefined,
    endedAt: row.ended_at ?? undefined,
  };
}
