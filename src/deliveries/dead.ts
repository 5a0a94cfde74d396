// Dead letters: deliveries that will not be tried again by themselves. They are kept with their cause until a human
// redrives them: one, those of a cause, or all.
import { type Database, type Sql, statement } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import type { ChannelName } from './channel.ts';
import type { DeathReason } from './judge.ts';

export type DeadLetter = {
  readonly id: string;
  readonly noticeId: string;
  readonly recipientId: string;
  readonly channel: ChannelName;
  readonly endpoint: string | null;
  readonly reason: DeathReason;
  readonly cause: string;
  readonly detail: string | null;
  readonly attempts: number;
  readonly plannedFor: Date;
  readonly diedAt: Date;
};

export type DeadFilter = { readonly channel?: ChannelName | undefined; readonly cause?: string | undefined };
export type DeadPage = { readonly items: readonly DeadLetter[]; readonly next: string | undefined };
export type DeadCount = {
  readonly channel: ChannelName;
  readonly reason: DeathReason;
  readonly cause: string;
  readonly count: number;
};
export type RedriveSelection =
  | { readonly ids: readonly string[] }
  | ({ readonly cause: string } & DeadFilter)
  | { readonly all: true; readonly channel?: ChannelName | undefined };

const LIST = statement(
  'deliveries.dead.list',
  `select id, notice_id as "noticeId", recipient_id as "recipientId", channel, endpoint, reason, cause, detail,
     failures as attempts, planned_for as "plannedFor", died_at as "diedAt"
   from delivery
   where state = 'dead' and ($1::text is null or channel = $1) and ($2::text is null or cause = $2)
     and ($3::timestamptz is null or (died_at, id) < ($3, $4))
   order by died_at desc, id desc
   limit $5`,
);

const COUNT = statement(
  'deliveries.dead.count',
  `select channel, reason, cause, count(*) as count from delivery
   where state = 'dead' group by channel, reason, cause order by count desc, channel, cause`,
);

// A redriven delivery starts anew: its age counts from now. Its attempt number goes on, because that is its fence.
const REDRIVE = statement(
  'deliveries.redrive',
  `update delivery
   set state = 'pending', died_at = null, reason = null, failures = 0, planned_for = $4, due_at = $4
   where id = any (array(
     select id from delivery
     where state = 'dead' and died_at <= $4 and ($1::text[] is null or id = any ($1))
       and ($2::text is null or channel = $2) and ($3::text is null or cause = $3)
     limit $5
     for update skip locked
   ))
   returning id`,
);

/** Rows per transaction of a redrive: it never holds many locks, and what it has freed is sent meanwhile. */
const REDRIVE_CHUNK = 1_000;

/** Dead letters, newest first. `limit` is 1 to 500; `after` is the `next` of the page before. */
export async function listDead(
  sql: Sql,
  input: DeadFilter & { readonly after?: string | undefined; readonly limit?: number | undefined },
): Promise<DeadPage> {
  const limit = Math.min(Math.max(input.limit ?? 50, 1), 500);
  const after = input.after === undefined ? [null, null] : parseCursor(input.after);
  const items = await sql.query<DeadLetter>(LIST, [input.channel, input.cause, ...after, limit]);
  const last = items.length === limit ? items.at(-1) : undefined;
  return { items, next: last && `${last.diedAt.getTime()}.${last.id}` };
}

/** How many dead letters there are of each channel, reason and cause, the most frequent first. */
export function countDead(sql: Sql): Promise<DeadCount[]> {
  return sql.query<DeadCount>(COUNT);
}

/**
 * Makes dead letters pending and due at once; returns how many. In chunks of their own transactions: what dies again
 * meanwhile is not taken twice. Wake the dispatcher afterwards.
 */
export async function redrive(database: Database, selection: RedriveSelection, now: Date): Promise<number> {
  const ids = 'ids' in selection ? selection.ids : null;
  const channel = 'channel' in selection ? selection.channel : null;
  const cause = 'cause' in selection ? selection.cause : null;
  for (let total = 0; ; ) {
    const rows = await database.query(REDRIVE, [ids, channel, cause, now, REDRIVE_CHUNK]);
    total += rows.length;
    if (rows.length < REDRIVE_CHUNK) return total;
  }
}

function parseCursor(text: string): [Date, string] {
  const match = /^(\d{1,15})\.(dlv_\w+)$/.exec(text);
  if (!match) throw new Refusal('bad_request', 'The cursor is not one that a page of dead letters returned.');
  return [new Date(Number(match[1])), match[2]!];
}
