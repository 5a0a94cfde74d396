// How partitions spread over nodes. Every node counts its share from the same rows; one that has more than its share
// lets partitions go, and those that have less take them. A partition is let go when nothing of it is in anybody's
// hands: it hands nothing out for a moment, what is locked is settled, and what its subscriptions have done is written
// down together with the word that nothing was interrupted. So nothing is lost or repeated, and no count rises.
import { steadyNow } from '../../kit/clock.ts';
import { waitFor } from '../log/connection.ts';
import type { Partition } from './partition.ts';

/** How many of `total` partitions this node should own. The shares of all nodes add up to the total. */
export function shareOf(self: string, others: readonly string[], total: number): number {
  const ids = [self, ...others].sort();
  return Math.floor(total / ids.length) + (ids.indexOf(self) < total % ids.length ? 1 : 0);
}

/** Hands out nothing more, and waits for what is out. False: consumers held on for `patienceMs`; it stays paused. */
export async function calm(partition: Partition, patienceMs: number, signal: AbortSignal): Promise<boolean> {
  for (const cursor of partition.cursors.values()) cursor.pause();
  for (const end = steadyNow() + patienceMs; isBusy(partition); await waitFor(10, signal)) {
    if (signal.aborted || partition.lost || steadyNow() > end) return false;
  }
  return true;
}

export function resume(partition: Partition): void {
  for (const cursor of partition.cursors.values()) cursor.resume();
}

export function isBusy(partition: Partition): boolean {
  for (const cursor of partition.cursors.values()) if (cursor.busy) return true;
  return false;
}
