// What is decided when an entity is made, and stays. Cursors and senders sort messages by it: what is there would lie where
// nobody looks for it.
//   partitions: a key's messages are all in one of them, which one hangs on how many there are.
//   requiresSession: to a receiver of sessions a message without one is a dead letter; to any other, sessions have no order.
// Duplicate detection is none of it: ids are remembered while it is on, and nothing that is there depends on them.
import { Refusal } from '../../kit/refusal.ts';
import type { TopicEntry } from './catalogue.ts';
import type { SubscriptionSettings } from './settings.ts';

/** Refuses another number of partitions than there are. */
export function keepPartitions({ name, kind, partitions }: TopicEntry, given: number | undefined): void {
  if (given === undefined || given === partitions) return;
  const is = `The number of partitions of "${name}" is ${partitions}, and that cannot be changed`;
  throw new Refusal('conflict', `${is}: make another ${kind} with ${given}.`, { setting: 'partitions' });
}

/** Refuses the change of a queue or subscription (by its path) to sessions or back. */
export function keepSessions(
  path: string,
  kind: 'queue' | 'subscription',
  before: SubscriptionSettings,
  after: SubscriptionSettings,
): void {
  if (before.requiresSession === after.requiresSession) return;
  const is = `requiresSession of "${path}" is ${before.requiresSession}, and that cannot be changed`;
  const other = `make another ${kind} with requiresSession ${after.requiresSession}`;
  throw new Refusal('conflict', `${is}: ${other}, and delete this one when its messages are done.`, {
    setting: 'requiresSession',
  });
}
