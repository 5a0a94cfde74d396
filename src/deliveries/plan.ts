// Planning: the handler writes deliveries in the transaction that completes its batch, so an event is either planned
// and completed or neither. After the commit it calls `Dispatcher.wake()`.
import { int2Array, textArray, timestamptzArray } from '../kit/arrays.ts';
import { statement, type Tx } from '../kit/database.ts';
import { derivedId } from '../kit/ids.ts';
import { type ChannelName, type Urgency, urgencies } from './channel.ts';

export type PlannedDelivery = {
  readonly noticeId: string;
  readonly recipientId: string;
  readonly channel: ChannelName;
  /** Where on the channel: a mail address, a device. Null where the channel itself knows the recipient's places. */
  readonly endpoint: string | null;
  readonly dueAt: Date;
  readonly urgency: Urgency;
};

const INSERT = statement(
  'deliveries.plan',
  `insert into delivery (id, notice_id, recipient_id, channel, endpoint, urgency, planned_for, due_at)
   select id, notice_id, recipient_id, channel, endpoint, urgency, due_at, due_at
   from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::timestamptz[])
     as planned (id, notice_id, recipient_id, channel, endpoint, urgency, due_at)
   on conflict (id) do nothing`,
);

/**
 * Plans deliveries: one round trip, whatever their number. The id of a delivery is derived from notice, channel and
 * endpoint, so planning the same twice while it is pending makes one. A delivery that has finished is no longer there to
 * conflict with: plan only for notices that the same transaction has inserted.
 */
export async function planDeliveries(tx: Tx, plans: readonly PlannedDelivery[]): Promise<void> {
  if (plans.length === 0) return;
  await tx.query(INSERT, [
    textArray(plans.map((plan) => deliveryId(plan))),
    textArray(plans.map((plan) => plan.noticeId)),
    textArray(plans.map((plan) => plan.recipientId)),
    textArray(plans.map((plan) => plan.channel)),
    textArray(plans.map((plan) => plan.endpoint)),
    int2Array(plans.map((plan) => urgencies.indexOf(plan.urgency))),
    timestamptzArray(plans.map((plan) => plan.dueAt)),
  ]);
}

/** The id that a planned delivery has or will have. */
export function deliveryId(plan: Pick<PlannedDelivery, 'noticeId' | 'channel' | 'endpoint'>): string {
  return derivedId('dlv', plan.noticeId, plan.channel, plan.endpoint ?? '');
}
