// Ends questions that nobody answered in time. Answers are refused from that moment on by the time itself; this writes it
// down, so that the backend and the surfaces hear of it.
import { type Database, statement } from '../../kit/database.ts';
import { follow } from './work.ts';

const EXPIRE = statement(
  'decisions.expire',
  `update question set state = 'expired', settled_at = expires_at where id in (
     select id from question where state = 'open' and expires_at is not null and expires_at <= $1
     order by expires_at limit 100 for update skip locked)
   returning id`,
);

/** Expires what is due, at most 100 at a time; returns how many. */
export async function expireQuestions(database: Database, now: Date): Promise<number> {
  return database.transaction(async (tx) => follow(tx, await tx.query<{ id: string }>(EXPIRE, [now]), now));
}
