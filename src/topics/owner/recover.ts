// Bringing back what the last owner knew: where each subscription was, what it had done beyond that, delivery counts,
// how much is unread, and what is held.
import type { Sql } from '../../kit/database.ts';
import type { SubscriptionEntry } from '../entities/catalogue.ts';
import { hasBit } from '../log/bits.ts';
import { readTallies } from '../log/read.ts';
import { PARTITION_SPAN } from '../message.ts';
import { countHeld, type HeldCounts } from '../receive/held.ts';
import { Cursor, type CursorDeps } from './cursor.ts';
import type { Partition } from './partition.ts';
import { decodeProgress, type ProgressRow, type Recovered, readProgress } from './progress.ts';
import { Ranges } from './ranges.ts';

/** The pasts of all subscriptions of some topics. */
export type Pasts = {
  of(subscription: SubscriptionEntry, part: number, epoch: number): Recovered;
  held(subscription: SubscriptionEntry, part: number): HeldCounts;
};

/** The caller owns the partitions it asks about already, so that nothing more is written behind its back. */
export async function readPasts(sql: Sql, topics: readonly number[]): Promise<Pasts> {
  const rows = await readProgress(sql, topics);
  const progress = Map.groupBy(rows, (row) => `${row.subscription}/${row.part}/${row.incarnation}`);
  const held = await countHeld(sql, topics);
  return {
    of: (subscription, part, epoch) => {
      const past = progress.get(`${subscription.id}/${part}/${subscription.incarnation}`) ?? [];
      return recover(subscription, part, epoch, past);
    },
    held: (subscription, part) => held(subscription.id, part),
  };
}

function recover(
  subscription: SubscriptionEntry,
  part: number,
  epoch: number,
  past: readonly ProgressRow[],
): Recovered {
  const floor = (subscription.bases[part] ?? part * PARTITION_SPAN) + 1;
  const recovered: Recovered = { floor, handedOut: floor, done: new Ranges(), counts: new Map() };
  for (const { data } of past) decodeProgress(data, recovered);
  // The owner before this one let go in peace: what it had handed out is settled, or counted in its last word.
  const ended = past.some((row) => row.kind === 2 && row.epoch === epoch - 1);
  if (ended) recovered.handedOut = recovered.floor;
  recovered.floor = recovered.done.nextOutside(recovered.floor);
  recovered.done.dropBelow(recovered.floor);
  for (const sequence of recovered.counts.keys()) {
    if (sequence < recovered.floor || recovered.done.has(sequence)) recovered.counts.delete(sequence);
  }
  return recovered;
}

/** Registers a cursor for the subscription, then counts what it has before it. */
export async function openCursor(
  partition: Partition,
  subscription: SubscriptionEntry,
  pasts: Pasts,
  deps: CursorDeps,
): Promise<void> {
  const recovered = pasts.of(subscription, partition.part, partition.epoch);
  const cursor = new Cursor(partition, subscription, recovered, pasts.held(subscription, partition.part), deps);
  // Registered before the count, so that what is appended meanwhile is seen; `end` says up to where to count here.
  const end = partition.end;
  const ahead = recovered.done.size;
  partition.cursors.set(subscription.id, cursor);
  if (cursor.next < end) {
    cursor.unread += (await countUnread(partition, cursor, end)) - ahead;
    cursor.watchExpiry(Date.now() + 1_000);
  }
  if (cursor.sessions) cursor.pump();
}

/** Selected messages from the cursor to `end`: whole blocks by their tally, the first one by its bits. */
async function countUnread(partition: Partition, cursor: Cursor, end: number): Promise<number> {
  const { bit, starts } = cursor.subscription;
  const from = cursor.next;
  const trusted = starts[partition.part] ?? 0;
  const first = await partition.load(from);
  let count = 0;
  for (let i = Math.max(0, from - (first?.first ?? from)); first && i < first.count && first.first + i < end; i++) {
    if (first.first + i < trusted || hasBit(first.bits[i]!, bit)) count++;
  }
  const tallies = await readTallies(partition.sql, partition.topic.id, partition.part, first?.end ?? from, end);
  // Of what is older than the subscription only reading tells; until then it counts as a whole.
  for (const tally of tallies) count += tally.first < trusted ? tally.count : (tally.selected.get(bit) ?? 0);
  return count;
}
