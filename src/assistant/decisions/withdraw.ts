// Withdraws questions that are no longer asked: a newer event of the topic is about the same thing (it has the same key),
// or somebody says so. Whoever answers an old card is told so, instead of deciding on an amount that has changed.
import { int4Array, int8Array, textArray } from '../../kit/arrays.ts';
import { statement, type Tx } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';
import { follow } from './work.ts';

/** An event that takes the place of earlier ones of its topic. */
export type Replacement = {
  readonly topic: string;
  readonly partition: number;
  readonly sequence: number;
  readonly key: string;
};

// Between partitions there is no order: there, what is handled later counts as newer.
const REPLACE = statement(
  'decisions.replace',
  `update question as q set state = 'withdrawn', settled_at = $5
   from unnest($1::text[], $2::int[], $3::int8[], $4::text[]) as newer (topic, partition, sequence, key)
   where q.state = 'open' and q.topic = newer.topic and q.key = newer.key
     and (q.partition <> newer.partition and q.created_at < $5 or q.partition = newer.partition and q.sequence < newer.sequence)
   returning q.id`,
);

const WITHDRAW = statement(
  'decisions.withdraw',
  `update question set state = 'withdrawn', settled_at = $2 where id = $1 and state = 'open' returning id`,
);

const RECALLED = statement(
  'decisions.withdraw-recalled',
  `update question as q set state = 'withdrawn', settled_at = $2
   where q.state = 'open' and q.id in (select question_id from asked where notice_id = any($1::text[]))
     and not exists (
       select from asked a join notice n on n.recipient_id = a.recipient_id and n.id = a.notice_id
       where a.question_id = q.id and n.recalled_at is null)
   returning q.id`,
);

const STATE = statement('decisions.state', 'select state from question where id = $1');

/** Withdraws what the events replace; returns how many questions. Call it after the questions of these events are open. */
export async function replaceQuestions(tx: Tx, newer: readonly Replacement[], now: Date): Promise<number> {
  if (newer.length === 0) return 0;
  const rows = await tx.query<{ id: string }>(REPLACE, [
    textArray(newer.map(({ topic }) => topic)),
    int4Array(newer.map(({ partition }) => partition)),
    int8Array(newer.map(({ sequence }) => sequence)),
    textArray(newer.map(({ key }) => key)),
    now,
  ]);
  return follow(tx, rows, now);
}

/** Withdraws one question. Throws `not_found`, or `conflict` when it is settled already. */
export async function withdrawQuestion(tx: Tx, id: string, now: Date): Promise<void> {
  const rows = await tx.query<{ id: string }>(WITHDRAW, [id, now]);
  if ((await follow(tx, rows, now)) > 0) return;
  const [found] = await tx.query<{ state: string }>(STATE, [id]);
  if (!found) throw new Refusal('not_found', `There is no question ${id}.`);
  throw new Refusal('conflict', `The question is ${found.state} already.`, { state: found.state });
}

/** Withdraws the questions that nobody is asked any more, as these notices were recalled; returns how many. */
export async function withdrawRecalled(tx: Tx, noticeIds: readonly string[], now: Date): Promise<number> {
  return follow(tx, await tx.query<{ id: string }>(RECALLED, [textArray(noticeIds), now]), now);
}
