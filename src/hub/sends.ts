// Sends as they are kept, from the request to the telemetry:
//   Scheduled | Enqueued --first leg claimed--> Processing --last leg ended--> Completed | NoTargetFound | Abandoned
//       `---cancel---> Canceled
// They are carried out in legs, see legs.ts. A request id that came before is the same send again: a client repeats a
// request whose answer it did not get.

import { type Sql, statement } from '../kit/database.ts';
import { freshId } from '../kit/ids.ts';
import { Refusal } from '../kit/refusal.ts';
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

/** Settings; see docs/settings.md. */
export type SendLimits = {
  readonly notificationBytes: number;
  readonly batchAddresses: number;
  readonly testDevices: number;
  readonly daysAhead: number;
};

/** Azure's own. */
export const azureSendLimits: SendLimits = {
  notificationBytes: 64 * 1024,
  batchAddresses: 1_000,
  testDevices: 10,
  daysAhead: 7,
};

export type OutcomeCounts = { [platform in Platform]?: { [name in OutcomeName | 'Skipped']?: number } };

export type Send = {
  readonly hub: string;
  readonly id: string;
  readonly state: SendState;
  readonly job: SendJob;
  /** What is final so far. */
  readonly outcomes: OutcomeCounts;
  readonly enqueuedAt: Date;
  readonly startedAt: Date | undefined;
  readonly endedAt: Date | undefined;
};

const insertSend = statement(
  'hub.send-insert',
  `with send as (
     insert into hub_send (hub, id, request_id, state, job, due_at, enqueued_at) values ($1, $2, $3, $4, $5, $6, $7)
     on conflict (hub, request_id) where request_id is not null do nothing returning hub, id, due_at)
   insert into hub_send_leg (hub, send, platform, due_at) select hub, id, $8, due_at from send returning send`,
);
const findByRequest = statement('hub.send-by-request', 'select id from hub_send where hub = $1 and request_id = $2');
/** Clocks differ; what is due earlier was meant for another day. */
const mostLateMs = 5 * 60_000;
const columns = `hub, id, state, job, enqueued_at, started_at, ended_at,
  array(select outcomes from hub_send_leg as leg where leg.hub = hub_send.hub and leg.send = hub_send.id) as outcomes`;
const findOne = statement('hub.send-find', `select ${columns} from hub_send where hub = $1 and id = $2`);
const newest = statement(
  'hub.send-list',
  `select ${columns} from hub_send where hub = $1 and id < $2 order by id desc limit $3`,
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
  readonly outcomes: readonly string[];
  readonly enqueued_at: Date;
  readonly started_at: Date | null;
  readonly ended_at: Date | null;
};

/**
 * Durable when it returns, or with the caller's transaction. The id of the send, or of the earlier one with the same
 * `requestId`. Refuses (`bad_request`) what was due long ago, or is in more than `daysAhead`.
 */
export async function enqueueSend(
  sql: Sql,
  hub: string,
  job: SendJob,
  now: Date,
  options: {
    readonly requestId?: string | undefined;
    readonly dueAt?: Date | undefined;
    readonly daysAhead?: number;
  } = {},
): Promise<string> {
  const { requestId = null, dueAt = now, daysAhead = azureSendLimits.daysAhead } = options;
  const ahead = dueAt.getTime() - now.getTime();
  if (ahead > daysAhead * 86_400_000)
    throw new Refusal('bad_request', `A send can be scheduled ${daysAhead} days ahead at most.`);
  if (ahead < -mostLateMs)
    throw new Refusal(
      'bad_request',
      `The time of the send is over: ${dueAt.toISOString()}, and it is ${now.toISOString()}.`,
    );
  const id = freshId('nh', now.getTime());
  const state = dueAt > now ? 'Scheduled' : 'Enqueued';
  const platform = job.message.kind === 'native' ? job.message.platform : '*';
  const values = [hub, id, requestId, state, JSON.stringify(job), dueAt, now, platform];
  const [made] = await sql.query(insertSend, values);
  if (made !== undefined) return id;
  const [earlier] = await sql.query<{ id: string }>(findByRequest, [hub, requestId]);
  return earlier!.id;
}

export async function findSend(sql: Sql, hub: string, id: string): Promise<Send | undefined> {
  const [row] = await sql.query<SendRow>(findOne, [hub, id]);
  return row && sendOf(row);
}

/** The newest first; ids begin with their time. `before`: the id where the page before ended. */
export async function listSends(sql: Sql, hub: string, before: string | undefined, limit: number): Promise<Send[]> {
  return (await sql.query<SendRow>(newest, [hub, before ?? 'nh_~', limit])).map(sendOf);
}

/** Whether it was still to come. */
export async function cancelSend(sql: Sql, hub: string, id: string, now: Date): Promise<boolean> {
  return (await sql.query(cancelOne, [hub, id, now])).length > 0;
}

/** Adds `counts` to `sum`. */
function addCounts(sum: OutcomeCounts, counts: OutcomeCounts): void {
  for (const [platform, names] of Object.entries(counts) as [Platform, Readonly<Record<string, number>>][])
    for (const [name, count] of Object.entries(names)) addCount(sum, platform, name as OutcomeName, count);
}

export function addCount(sum: OutcomeCounts, platform: Platform, name: OutcomeName | 'Skipped', count = 1): void {
  if (count === 0) return;
  const counts = sum[platform] ?? {};
  sum[platform] = counts;
  counts[name] = (counts[name] ?? 0) + count;
}

function sendOf(row: SendRow): Send {
  const outcomes: OutcomeCounts = {};
  // All of this was written by this room.
  for (const text of row.outcomes) addCounts(outcomes, JSON.parse(text) as OutcomeCounts);
  return {
    hub: row.hub,
    id: row.id,
    state: row.state,
    job: JSON.parse(row.job) as SendJob,
    outcomes,
    enqueuedAt: row.enqueued_at,
    startedAt: row.started_at ?? undefined,
    endedAt: row.ended_at ?? undefined,
  };
}
