// Deliveries of notices that are taken back before they went out, dead letters too. What a worker has in its hands at that
// moment may still go out: its settlement finds nothing to settle, and the history says so.
import { textArray } from '../kit/arrays.ts';
import { statement, type Tx } from '../kit/database.ts';

// In order of id, so that two that cancel the same do not wait for each other for ever.
const CANCEL = statement(
  'deliveries.cancel',
  `with wanted as (
     select id from delivery where notice_id = any($1::text[]) order by id for update
   ), gone as (
     delete from delivery using wanted where delivery.id = wanted.id
     returning delivery.id, notice_id, recipient_id, channel, attempt, leased_until
   ), recorded as (
     insert into attempt (at, delivery_id, notice_id, recipient_id, channel, attempt, outcome, cause, detail)
     select $2, id, notice_id, recipient_id, channel, attempt, 'dropped', 'recalled',
       case when leased_until > $2 then 'It was being sent at that moment and may have gone out.' end
     from gone
   )
   select count(*) as count from gone`,
);

/** Cancels what is still to be delivered of these notices (at most some hundred); returns how many deliveries. */
export async function cancelDeliveries(tx: Tx, noticeIds: readonly string[], now: Date): Promise<number> {
  if (noticeIds.length === 0) return 0;
  const [row] = await tx.query<{ count: number }>(CANCEL, [textArray(noticeIds), now]);
  return row!.count;
}
