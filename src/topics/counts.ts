// How many messages of a subscription are in which state, at their owners.
import type { SubscriptionEntry } from './catalogue.ts';
import type { Partition } from './partition.ts';

export type Counts = {
  /** Waiting or locked. */
  readonly active: number;
  readonly locked: number;
  readonly deferred: number;
  readonly deadLettered: number;
  /** Could not be forwarded. */
  readonly transferDeadLettered: number;
};

export function countsOf(partitions: readonly Partition[], subscription: SubscriptionEntry): Counts {
  const counts = { active: 0, locked: 0, deferred: 0, deadLettered: 0, transferDeadLettered: 0 };
  for (const partition of partitions) {
    const cursor = partition.cursors.get(subscription.id);
    if (!cursor) continue;
    counts.active += cursor.active;
    counts.locked += cursor.locked;
    counts.deferred += cursor.deferred;
    counts.deadLettered += cursor.dead.count;
    counts.transferDeadLettered += cursor.transfer.count;
  }
  return counts;
}
