// What follows from settled questions, as rows: claimed under a lease, done or postponed.
//   due --claim--> under way (due again when the lease ends) --done--> done
//                       |--postpone--> due later        `--give up--> has a cause, until it is redriven
import { type Sql, statement, type Tx } from '../../kit/database.ts';
import { QUESTION_COLUMNS, type QuestionRow } from './question.ts';

export type WorkKind = 'reply' | 'tell';

export type Work = {
  readonly kind: WorkKind;
  /** 1 for the first try. */
  readonly attempt: number;
  /** When an earlier try began that may or may not have got through. */
  readonly triedAt: Date | undefined;
  /** tell: the last recipient who was told. */
  readonly afterId: string;
  readonly question: QuestionRow;
  readonly deciderName: string | undefined;
};

type WorkRow = QuestionRow & {
  kind: WorkKind;
  attempts: number;
  before_tried_at: Date | null;
  after_id: string;
  display_name: string | null;
};

const FOLLOW = statement(
  'decisions.follow',
  `insert into question_work (question_id, kind, due_at)
   select q.id, kind, $2 from question q, unnest(array['reply', 'tell']) as kinds (kind)
   where q.id = any($1::text[]) and (kind = 'tell' or q.reply_to is not null)
   on conflict do nothing`,
);

const CLAIM = statement(
  'decisions.claim-work',
  `with due as (
     select question_id, kind, tried_at from question_work
     where done_at is null and cause is null and due_at <= $1 order by due_at limit $3 for update skip locked
   ), claimed as (
     update question_work as w set attempts = attempts + 1, tried_at = $1, due_at = $2, claimed_by = $4 from due
     where w.question_id = due.question_id and w.kind = due.kind
     returning w.question_id, w.kind, w.attempts, w.after_id, due.tried_at as before_tried_at
   )
   select c.kind, c.attempts, c.after_id, c.before_tried_at, p.display_name, ${QUESTION_COLUMNS}
   from claimed c join question q on q.id = c.question_id left join recipient p on p.id = q.decided_by`,
);

const DONE = statement(
  'decisions.work-done',
  'update question_work set done_at = $3 where question_id = $1 and kind = $2',
);
const POSTPONE = statement(
  'decisions.postpone-work',
  'update question_work set due_at = $3, claimed_by = null where question_id = $1 and kind = $2 and done_at is null',
);
const RENEW = statement(
  'decisions.renew-work',
  'update question_work set due_at = $3, after_id = $4 where question_id = $1 and kind = $2 and done_at is null',
);
const TAKE_BACK = statement(
  'decisions.take-back-work',
  `update question_work set due_at = $2
   where done_at is null and cause is null and due_at > $2 and claimed_by = any($1::int[])`,
);
const GIVE_UP = statement(
  'decisions.give-up-work',
  'update question_work set cause = $3 where question_id = $1 and kind = $2',
);
const REDRIVE = statement(
  'decisions.redrive-work',
  `update question_work set cause = null, attempts = 0, due_at = $1 where cause is not null and done_at is null
   returning question_id`,
);

/** Call it in the transaction that settles questions; returns how many. Where nobody said where to, there is no reply. */
export async function follow(tx: Tx, settled: readonly { readonly id: string }[], now: Date): Promise<number> {
  if (settled.length > 0) await tx.query(FOLLOW, [settled.map(({ id }) => id), now]);
  return settled.length;
}

/** Takes what is due until `leaseUntil`, for this run of the node: whoever dies with it gives it back by that. */
export async function claimWork(
  sql: Sql,
  now: Date,
  leaseUntil: Date,
  limit: number,
  run?: number | undefined,
): Promise<Work[]> {
  const rows = await sql.query<WorkRow>(CLAIM, [now, leaseUntil, limit, run ?? null]);
  return rows.map(({ kind, attempts, before_tried_at, after_id, display_name, ...question }) => ({
    kind,
    attempt: attempts,
    triedAt: before_tried_at ?? undefined,
    afterId: after_id,
    question,
    deciderName: display_name ?? undefined,
  }));
}

export async function workDone(sql: Sql, { question, kind }: Work, now: Date): Promise<void> {
  await sql.query(DONE, [question.id, kind, now]);
}

export async function postponeWork(sql: Sql, { question, kind }: Work, dueAt: Date): Promise<void> {
  await sql.query(POSTPONE, [question.id, kind, dueAt]);
}

/** Holds it until `leaseUntil`, and notes how far it has come. */
export async function renewWork(sql: Sql, { question, kind, afterId }: Work, leaseUntil: Date): Promise<void> {
  await sql.query(RENEW, [question.id, kind, leaseUntil, afterId]);
}

/** Makes due what runs that are dead were carrying out; wake the decisions after the commit. */
export async function takeBackWork(sql: Sql, runs: readonly number[], now: Date): Promise<void> {
  await sql.query(TAKE_BACK, [runs, now]);
}

export async function giveUpWork(sql: Sql, { question, kind }: Work, cause: string): Promise<void> {
  await sql.query(GIVE_UP, [question.id, kind, cause.slice(0, 500)]);
}

/** Gives all that was given up another run; returns how many. */
export async function redriveWork(sql: Sql, now: Date): Promise<number> {
  return (await sql.query(REDRIVE, [now])).length;
}
