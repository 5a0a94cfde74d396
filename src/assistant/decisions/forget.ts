// Questions end: with the people who are forgotten, and after their time.
import { type Database, statement, type Tx } from '../../kit/database.ts';
import { follow } from './work.ts';

/** Stands where a person's id stood. What was decided stays; who it was does not. */
const SOMEBODY = 'forgotten';
const PER_TRANSACTION = 500;

const FORGET_ASKED = statement('decisions.forget-asked', 'delete from asked where recipient_id = $1');
const FORGET_ANSWERS = statement(
  'decisions.forget-answers',
  `update answer set actor_id = '${SOMEBODY}', reason = null where actor_id = $1`,
);
const FORGET_DECIDER = statement(
  'decisions.forget-decider',
  `update question set decided_by = '${SOMEBODY}', reason = null, inputs = null where decided_by = $1`,
);

// The notices that ask it go with their age; then nobody could answer any more.
const WITHDRAW_OLD = statement(
  'decisions.withdraw-old',
  `update question set state = 'withdrawn', settled_at = $2 where id in (
     select id from question where state = 'open' and created_at < $1 order by created_at limit ${PER_TRANSACTION}
     for update skip locked)
   returning id`,
);

const OLD = statement(
  'decisions.old',
  `select q.id from question q
   where q.state <> 'open' and q.settled_at < $1 and not exists (
     select 1 from question_work w where w.question_id = q.id and w.done_at is null and w.cause is null)
   order by q.settled_at limit ${PER_TRANSACTION}`,
);
const DELETE = ['asked', 'question_work', 'answer'].map((table) =>
  statement(`decisions.delete-${table}`, `delete from ${table} where question_id = any($1::text[])`),
);
const DELETE_QUESTIONS = statement('decisions.delete-questions', 'delete from question where id = any($1::text[])');

/** Takes a person out of what they were asked and what they answered. */
export async function forgetAnswers(tx: Tx, recipientId: string): Promise<void> {
  for (const forget of [FORGET_ASKED, FORGET_ANSWERS, FORGET_DECIDER]) await tx.query(forget, [recipientId]);
}

export type QuestionRetention = { readonly now: Date; readonly keepDays: number; readonly signal?: AbortSignal };

/** Withdraws open questions older than `keepDays`, and deletes those that were settled that long ago; returns how many. */
export async function forgetOldQuestions(
  database: Database,
  { now, keepDays, signal }: QuestionRetention,
): Promise<number> {
  const before = new Date(now.getTime() - keepDays * 86_400_000);
  await untilNone(signal, () =>
    database.transaction(async (tx) => follow(tx, await tx.query<{ id: string }>(WITHDRAW_OLD, [before, now]), now)),
  );
  return untilNone(signal, () => database.transaction((tx) => deleteOld(tx, before)));
}

async function deleteOld(tx: Tx, before: Date): Promise<number> {
  const ids = (await tx.query<{ id: string }>(OLD, [before])).map(({ id }) => id);
  if (ids.length > 0) for (const each of [...DELETE, DELETE_QUESTIONS]) await tx.query(each, [ids]);
  return ids.length;
}

async function untilNone(signal: AbortSignal | undefined, work: () => Promise<number>): Promise<number> {
  for (let total = 0; ; ) {
    const done = signal?.aborted ? 0 : await work();
    if (done === 0) return total;
    total += done;
  }
}
