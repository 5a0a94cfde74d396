// Reading the decision trace: by event ("whom did it reach, and why not the others?") and by recipient ("why did I not
// get it?"). What became of each planned delivery, its attempts, is shown as further steps of the same story.
import { type Sql, statement } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import type { ChannelName } from './channel.ts';
import { PLANNED } from './trace.ts';

export type TraceStep = {
  readonly at: Date;
  /** The four say which event this is about; null on an attempt, whose notice says it. */
  readonly topic: string | null;
  readonly partition: number | null;
  readonly sequence: number | null;
  readonly eventId: string | null;
  readonly notification: string | null;
  readonly recipientId: string | null;
  readonly noticeId: string | null;
  readonly channel: ChannelName | null;
  /** `attempt` for what a channel did; else the handler's own step. */
  readonly step: string;
  readonly outcome: string;
  readonly detail: string | null;
};

export type TracePage = { readonly items: readonly TraceStep[]; readonly next: string | undefined };

export type EventKey =
  | { readonly topic: string; readonly sequence: number; readonly partition?: number | undefined }
  | { readonly topic: string; readonly eventId: string };

type Page = { readonly after?: string | undefined; readonly limit?: number | undefined };
type DecisionRow = TraceStep & { readonly id: number };

const DECISION = `at, topic, partition, sequence, event_id as "eventId", notification, recipient_id as "recipientId",
  notice_id as "noticeId", channel, step, outcome, detail, id`;

const BY_SEQUENCE = statement(
  'deliveries.trace.by_sequence',
  `select ${DECISION} from trace
   where topic = $1 and sequence = $2 and ($3::int is null or partition = $3)
     and ($4::timestamptz is null or (at, id) > ($4, $5::int8))
   order by at, id limit $6`,
);

const FIND_EVENT = statement(
  'deliveries.trace.find_event',
  `select topic, partition, sequence from trace
   where event_id = $2 and topic = $1 and recipient_id is null order by at desc limit 1`,
);

const ATTEMPTS = statement(
  'deliveries.trace.attempts',
  `select a.at, a.notice_id as "noticeId", a.recipient_id as "recipientId", a.channel, a.outcome,
     concat_ws(': ', a.cause, a.detail) as detail, a.attempt
   from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) as planned (recipient_id, notice_id, channel, at)
   join attempt a on a.recipient_id = planned.recipient_id and a.at >= planned.at
     and a.notice_id = planned.notice_id and a.channel = planned.channel
   order by a.at, a.attempt`,
);

// Two histories merged by time. The key breaks ties, so that a page can end between rows of the same millisecond.
const BY_RECIPIENT = statement(
  'deliveries.trace.by_recipient',
  `select * from (
     (select at, 't' || lpad(id::text, 19, '0') as key, topic, partition, sequence, event_id as "eventId", notification,
        recipient_id as "recipientId", notice_id as "noticeId", channel, step, outcome, detail
      from trace
      where recipient_id = $1 and ($2::timestamptz is null or (at <= $2
        and (at, 't' || lpad(id::text, 19, '0')) < ($2, $3)))
      order by at desc, key desc limit $4)
     union all
     (select at, 'u' || lpad(attempt::text, 10, '0') || delivery_id, null, null, null, null, null,
        recipient_id, notice_id, channel, 'attempt', outcome, concat_ws(': ', cause, detail)
      from attempt
      where recipient_id = $1 and ($2::timestamptz is null or (at <= $2
        and (at, 'u' || lpad(attempt::text, 10, '0') || delivery_id) < ($2, $3)))
      order by at desc, 2 desc limit $4)
   ) as steps
   order by at desc, key desc limit $4`,
);

/** The story of one event, oldest first; each planned delivery is followed by its attempts. `limit` is 1 to 1000. */
export async function traceOfEvent(sql: Sql, event: EventKey, page: Page = {}): Promise<TracePage> {
  const key = 'eventId' in event ? await findEvent(sql, event.topic, event.eventId) : event;
  if (!key) return { items: [], next: undefined };
  const limit = clamp(page.limit ?? 200, 1_000);
  const [at, id] = page.after === undefined ? [null, null] : parseCursor(page.after, /^\d+$/);
  const rows = await sql.query<DecisionRow>(BY_SEQUENCE, [key.topic, key.sequence, key.partition, at, id, limit]);
  const attempts = await attemptsOf(sql, rows);
  const last = rows.length === limit ? rows.at(-1) : undefined;
  return {
    items: rows.flatMap(({ id: _, ...step }) => [step, ...(isPlan(step) ? (attempts.get(storyKey(step)) ?? []) : [])]),
    next: last && `${last.at.getTime()}.${last.id}`,
  };
}

/** What was decided about one recipient and what came of it, newest first. `limit` is 1 to 500. */
export async function traceOfRecipient(sql: Sql, recipientId: string, page: Page = {}): Promise<TracePage> {
  const limit = clamp(page.limit ?? 50, 500);
  const [at, key] = page.after === undefined ? [null, null] : parseCursor(page.after, /^[tu]\d+\w*$/);
  const rows = await sql.query<TraceStep & { key: string }>(BY_RECIPIENT, [recipientId, at, key, limit]);
  const last = rows.length === limit ? rows.at(-1) : undefined;
  return {
    items: rows.map(({ key: _, ...step }) => ({ ...step, detail: step.detail || null })),
    next: last && `${last.at.getTime()}.${last.key}`,
  };
}

/** Where the event of this id is; the latest one, if there are several. */
export async function findEvent(sql: Sql, topic: string, eventId: string) {
  const rows = await sql.query<{ topic: string; partition: number; sequence: number }>(FIND_EVENT, [topic, eventId]);
  return rows[0];
}

async function attemptsOf(sql: Sql, rows: readonly TraceStep[]): Promise<Map<string, TraceStep[]>> {
  const plans = rows.filter(isPlan);
  const found = new Map<string, TraceStep[]>();
  if (plans.length === 0) return found;
  const attempts = await sql.query<TraceStep & { attempt: number }>(ATTEMPTS, [
    plans.map((plan) => plan.recipientId),
    plans.map((plan) => plan.noticeId),
    plans.map((plan) => plan.channel),
    plans.map((plan) => plan.at),
  ]);
  const plansByKey = new Map(plans.map((plan) => [storyKey(plan), plan]));
  for (const { attempt: _, ...row } of attempts) {
    const plan = plansByKey.get(storyKey(row));
    if (!plan) continue;
    const { topic, partition, sequence, eventId, notification } = plan;
    const event = { topic, partition, sequence, eventId, notification };
    const step = { ...event, ...row, step: 'attempt', detail: row.detail || null };
    const story = found.get(storyKey(row));
    if (story) story.push(step);
    else found.set(storyKey(row), [step]);
  }
  return found;
}

function isPlan(step: TraceStep): boolean {
  return step.outcome === PLANNED && step.recipientId !== null && step.noticeId !== null && step.channel !== null;
}

function storyKey(step: Pick<TraceStep, 'recipientId' | 'noticeId' | 'channel'>): string {
  return `${step.recipientId}\n${step.noticeId}\n${step.channel}`;
}

function clamp(limit: number, max: number): number {
  return Math.min(Math.max(Math.trunc(limit), 1), max);
}

function parseCursor(text: string, key: RegExp): [Date, string] {
  const dot = text.indexOf('.');
  const [time, rest] = [text.slice(0, dot), text.slice(dot + 1)];
  if (!/^\d{1,15}$/.test(time) || !key.test(rest)) {
    throw new Refusal('bad_request', 'The cursor is not one that a page of the trace returned.');
  }
  return [new Date(Number(time)), rest];
}
