// Questions for whoever looks after the system: which are open, who decided what, what of it the backend has heard.
import { type Sql, statement } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { Decision, QuestionState } from '../cards/decision.ts';
import { decisionOf, QUESTION_COLUMNS, type QuestionRow } from './question.ts';
import type { WorkKind } from './work.ts';

/** A question as lists show it. */
export type QuestionView = {
  readonly id: string;
  readonly topic: string;
  readonly sequence: number;
  readonly eventId: string;
  readonly notification: string;
  readonly createdAt: Date;
  readonly replyTo: string | null;
  readonly correlationId: string | null;
  readonly requester: string | null;
  readonly decision: Decision;
};

/** One question with all that is known of it; of many people only the first 100. */
export type QuestionStory = QuestionView & {
  readonly asked: readonly { readonly recipientId: string; readonly noticeId: string }[];
  /** Every answer that was given, counted or not; the last 100. */
  readonly answers: readonly AnswerView[];
  /** What follows from the decision. */
  readonly work: readonly WorkView[];
};

export type AnswerView = {
  readonly at: Date;
  readonly actorId: string;
  readonly actionId: string;
  readonly surface: string;
  readonly via: string | null;
  /** `decided`, `again`, or the code of the refusal. */
  readonly outcome: string;
};

export type WorkView = {
  readonly kind: WorkKind;
  readonly attempts: number;
  readonly doneAt: Date | null;
  /** Why it was given up. */
  readonly cause: string | null;
};

export type QuestionQuery = {
  readonly state?: QuestionState | undefined;
  readonly recipientId?: string | undefined;
  readonly topic?: string | undefined;
  readonly after?: string | undefined;
  /** 1 to 500; 50 when left out. */
  readonly limit?: number | undefined;
};

// Ids are hashes, so the order is by time, and the id only tells those of one moment apart.
const LIST = statement(
  'decisions.list',
  `select p.display_name, ${QUESTION_COLUMNS} from question q left join recipient p on p.id = q.decided_by
   where ($1::text is null or q.state = $1) and ($2::text is null or q.topic = $2)
     and ($3::text is null or exists (select 1 from asked a where a.question_id = q.id and a.recipient_id = $3))
     and ($4::timestamptz is null or (q.created_at, q.id) < ($4, $5::text))
   order by q.created_at desc, q.id desc limit $6`,
);
const ONE = statement(
  'decisions.one',
  `select p.display_name, ${QUESTION_COLUMNS} from question q left join recipient p on p.id = q.decided_by where q.id = $1`,
);
const ASKED = statement(
  'decisions.asked-first',
  `select recipient_id as "recipientId", notice_id as "noticeId" from asked where question_id = $1
   order by recipient_id limit 100`,
);
const ANSWERS = statement(
  'decisions.answers',
  `select at, actor_id as "actorId", action_id as "actionId", surface, via, outcome from answer where question_id = $1
   order by id desc limit 100`,
);
const WORK = statement(
  'decisions.work',
  `select kind, attempts, done_at as "doneAt", cause from question_work where question_id = $1 order by kind`,
);

type ListRow = QuestionRow & { display_name: string | null };

/** Newest first. `next` goes into `after`. */
export async function listQuestions(
  sql: Sql,
  { state, recipientId, topic, after, limit = 50 }: QuestionQuery,
  now = new Date(),
): Promise<{ items: QuestionView[]; next: string | undefined }> {
  const [at, id] = after === undefined ? [] : parseCursor(after);
  const filters = [state ?? null, topic ?? null, recipientId ?? null, at ?? null, id ?? null];
  const rows = await sql.query<ListRow>(LIST, [...filters, limit + 1]);
  const items = rows.slice(0, limit).map((row) => viewOf(row, now));
  const last = items.at(-1);
  const next = rows.length > limit && last ? `${last.createdAt.getTime()} ${last.id}` : undefined;
  return { items, next };
}

/** Throws `not_found`. */
export async function getQuestion(sql: Sql, id: string, now = new Date()): Promise<QuestionStory> {
  const [[row], asked, answers, work] = await Promise.all([
    sql.query<ListRow>(ONE, [id]),
    sql.query<QuestionStory['asked'][number]>(ASKED, [id]),
    sql.query<AnswerView>(ANSWERS, [id]),
    sql.query<WorkView>(WORK, [id]),
  ]);
  if (!row) throw new Refusal('not_found', `There is no question ${id}.`);
  return { ...viewOf(row, now), asked, answers, work };
}

function viewOf(row: ListRow, now: Date): QuestionView {
  return {
    id: row.id,
    topic: row.topic,
    sequence: row.sequence,
    eventId: row.event_id,
    notification: row.notification,
    createdAt: row.created_at,
    replyTo: row.reply_to,
    correlationId: row.correlation_id,
    requester: row.requester,
    decision: decisionOf(row, row.display_name ?? undefined, now),
  };
}

function parseCursor(cursor: string): [Date, string] {
  const [, at, id] = /^(\d{1,15}) (\S{1,64})$/.exec(cursor) ?? [];
  if (at === undefined || id === undefined) {
    throw new Refusal('bad_request', 'The cursor is not one that a list of questions gave out.', { path: 'cursor' });
  }
  return [new Date(Number(at)), id];
}
