// Questions: what the cards with actions of one notification of one event ask. They are opened in the transaction that
// writes the notices, so there is no card that nobody could answer.

import { textArray, timestamptzArray } from '../../kit/arrays.ts';
import { type Sql, statement, type Tx } from '../../kit/database.ts';
import { derivedId } from '../../kit/ids.ts';
import type { Decision, QuestionState } from '../cards/decision.ts';

/** What the message of the event said about answering it; kept with the question. */
export type Request = {
  readonly messageId: string;
  readonly correlationId?: string | undefined;
  readonly replyTo?: string | undefined;
  readonly replyToSessionId?: string | undefined;
};

/** How a notification takes its answers, for one event. */
export type Terms = {
  /** A topic or queue for the answer. */
  readonly replyTo?: string | undefined;
  readonly expiresAt?: Date | undefined;
  /** Who must not answer: the recipient who asked. */
  readonly requester?: string | undefined;
  /** A newer question of the same topic and key withdraws this one. */
  readonly key?: string | undefined;
  /** Every recipient answers for themselves; else the first answer counts for all. */
  readonly each?: boolean | undefined;
};

/** A notice that asks. */
export type Ask = Terms & {
  readonly noticeId: string;
  readonly recipientId: string;
  readonly topic: string;
  readonly partition: number;
  readonly sequence: number;
  readonly eventId: string;
  readonly notification: string;
  readonly request: Request;
  readonly createdAt: Date;
};

export type QuestionRow = {
  id: string;
  topic: string;
  partition: number;
  sequence: number;
  event_id: string;
  notification: string;
  request_id: string | null;
  correlation_id: string | null;
  reply_to: string | null;
  reply_session: string | null;
  requester: string | null;
  key: string | null;
  created_at: Date;
  expires_at: Date | null;
  state: QuestionState;
  settled_at: Date | null;
  decided_by: string | null;
  notice_id: string | null;
  action_id: string | null;
  label: string | null;
  reason: string | null;
  inputs: string | null;
  surface: string | null;
  attempt_key: string | null;
};

export const QUESTION_COLUMNS = `q.id, q.topic, q.partition, q.sequence, q.event_id, q.notification, q.request_id,
  q.correlation_id, q.reply_to, q.reply_session, q.requester, q.key, q.created_at, q.expires_at, q.state, q.settled_at,
  q.decided_by, q.notice_id, q.action_id, q.label, q.reason, q.inputs, q.surface, q.attempt_key`;

const OPEN = statement(
  'decisions.open',
  `insert into question (id, topic, partition, sequence, event_id, notification, request_id, correlation_id, reply_to,
     reply_session, requester, key, created_at, expires_at)
   select id, topic, partition, sequence, event_id, notification, request_id, correlation_id, reply_to, reply_session,
     requester, key, created_at, expires_at
   from unnest($1::text[], $2::text[], $3::int[], $4::int8[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
     $10::text[], $11::text[], $12::text[], $13::timestamptz[], $14::timestamptz[])
     as given (id, topic, partition, sequence, event_id, notification, request_id, correlation_id, reply_to,
       reply_session, requester, key, created_at, expires_at)
   order by id
   on conflict do nothing`,
);

const ASK = statement(
  'decisions.ask',
  `insert into asked (notice_id, question_id, recipient_id)
   select * from unnest($1::text[], $2::text[], $3::text[]) on conflict do nothing`,
);

export function questionId({ topic, partition, sequence, notification, recipientId, each }: Ask): string {
  const own = each ? [recipientId] : [];
  return derivedId('qst', topic, partition, sequence, notification, ...own);
}

/** Opens the questions of notices that are new; all in two statements. */
export async function openQuestions(tx: Tx, asks: readonly Ask[]): Promise<void> {
  if (asks.length === 0) return;
  const ids = asks.map(questionId);
  const questions = [...new Map(asks.map((ask, i) => [ids[i]!, ask]))];
  await Promise.all([insertQuestions(tx, questions), insertAsked(tx, asks, ids)]);
}

async function insertQuestions(tx: Tx, questions: readonly (readonly [string, Ask])[]): Promise<void> {
  const column = <T>(pick: (ask: Ask) => T) => questions.map(([, ask]) => pick(ask));
  const texts = (pick: (ask: Ask) => string | undefined) => textArray(column((ask) => pick(ask) ?? null));
  await tx.query(OPEN, [
    textArray(questions.map(([id]) => id)),
    texts(({ topic }) => topic),
    column(({ partition }) => partition),
    column(({ sequence }) => sequence),
    texts(({ eventId }) => eventId),
    texts(({ notification }) => notification),
    texts(({ request }) => request.messageId),
    texts(({ request }) => request.correlationId),
    texts(({ request, replyTo }) => request.replyTo ?? replyTo),
    texts(({ request }) => request.replyToSessionId),
    texts(({ requester }) => requester),
    texts(({ key }) => key),
    timestamptzArray(column(({ createdAt }) => createdAt)),
    column(({ expiresAt }) => expiresAt ?? null),
  ]);
}

async function insertAsked(tx: Tx, asks: readonly Ask[], ids: readonly string[]): Promise<void> {
  await tx.query(ASK, [
    textArray(asks.map(({ noticeId }) => noticeId)),
    textArray(ids),
    textArray(asks.map(({ recipientId }) => recipientId)),
  ]);
}

const DECISIONS = statement(
  'decisions.of-notices',
  `select a.notice_id as asked_by, p.display_name, q.requester is not distinct from a.recipient_id as own, ${QUESTION_COLUMNS}
   from asked a join question q on q.id = a.question_id left join recipient p on p.id = q.decided_by
   where a.notice_id = any($1::text[])`,
);

/** Where the questions of these notices stand, by notice id; notices that ask nothing are missing. One round trip. */
export async function decisionsOf(
  sql: Sql,
  noticeIds: readonly string[],
  now = new Date(),
): Promise<Map<string, Decision>> {
  if (noticeIds.length === 0) return new Map();
  type Row = QuestionRow & { asked_by: string; display_name: string | null; own: boolean };
  const rows = await sql.query<Row>(DECISIONS, [noticeIds]);
  return new Map(
    rows.map((row) => {
      const decision = decisionOf(row, row.display_name ?? undefined, now);
      return [row.asked_by, row.own && decision.state === 'open' ? { ...decision, ownRequest: true } : decision];
    }),
  );
}

/** A question whose time is over is expired, also before the row says so. */
export function decisionOf(row: QuestionRow, name: string | undefined, now: Date): Decision {
  const late = row.state === 'open' && row.expires_at !== null && row.expires_at <= now;
  const at = late ? row.expires_at : row.settled_at;
  return {
    state: late ? 'expired' : row.state,
    ...(row.expires_at && { expiresAt: row.expires_at }),
    ...(at && { at }),
    ...(row.state === 'decided' && {
      by: { id: row.decided_by!, ...(name !== undefined && { name }) },
      actionId: row.action_id!,
      label: row.label!,
      ...(row.reason !== null && { reason: row.reason }),
      ...(row.inputs !== null && { inputs: JSON.parse(row.inputs) as Record<string, string> }), // true: decide wrote it
      surface: row.surface!,
    }),
  };
}
