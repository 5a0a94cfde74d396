// What this room's tests share: planned deliveries, and a channel that does what it is told and remembers it.
import type { Database } from '../kit/database.ts';
import type { Channel, ChannelName, ClaimedDelivery, Outcome } from './channel.ts';
import { deliveryId, type PlannedDelivery, planDeliveries } from './plan.ts';

export function planned(notice: string, over: Partial<PlannedDelivery> = {}): PlannedDelivery {
  return {
    noticeId: notice,
    recipientId: `person-${notice}`,
    channel: 'email',
    endpoint: `${notice}@example.org`,
    dueAt: new Date(Date.UTC(2026, 0, 1)), // where a ManualClock starts
    urgency: 'normal',
    ...over,
  };
}

/** Plans and commits; returns the ids. */
export async function plan(database: Database, ...plans: readonly PlannedDelivery[]): Promise<string[]> {
  await database.transaction((tx) => planDeliveries(tx, plans));
  return plans.map(deliveryId);
}

export type Answer = (delivery: ClaimedDelivery) => Outcome | Promise<Outcome>;

export class ScriptedChannel implements Channel {
  readonly name: ChannelName;
  readonly batches: (readonly ClaimedDelivery[])[] = [];
  answer: Answer;

  constructor(name: ChannelName, answer: Answer = () => ({ kind: 'delivered', providerId: undefined })) {
    this.name = name;
    this.answer = answer;
  }

  get seen(): string[] {
    return this.batches.flat().map((delivery) => delivery.noticeId);
  }

  async deliver(batch: readonly ClaimedDelivery[]): Promise<Outcome[]> {
    this.batches.push(batch);
    return Promise.all(batch.map((delivery) => this.answer(delivery)));
  }
}
