// Bringing back what the last owner knew: where each subscription was, what it had done beyond that, delivery counts,
// how much is unread, and what is held.
import type { Sql } from '../../kit/database.ts';
import type { SubscriptionEntry } from '../entities/catalogue.ts';
import { hasBit } from '../log/bits.ts';
import type { Block } from '../log/block.ts';
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

/** Registers a cursor for each subscription, then counts what they have before them. Leaves none behind when it fails. */
export async function openCursors(
  partition: Partition,
  subscriptions: readonly SubscriptionEntry[],
  pasts: Pasts,
  deps: CursorDeps,
): Promise<Cursor[]> {
  // Registered before the count, so that what is appended meanwhile is seen; `end` says up to where to count here.
  const end = partition.end;
  const behind: Behind[] = [];
  const cursors = subscriptions.map((subscription) => {
    const recovered = pasts.of(subscription, partition.part, partition.epoch);
    const cursor = new Cursor(partition, subscription, recovered, pasts.held(subscription, partition.part), deps);
    partition.cursors.set(subscription.id, cursor);
    const trusted = subscription.starts[partition.part] ?? 0;
    if (cursor.next < end) {
      behind.push({ cursor, from: cursor.next, trusted, ahead: recovered.done.size, wholeFrom: end, count: 0 });
    }
    return cursor;
  });
  try {
    if (behind.length > 0) await countUnread(partition, behind, end);
  } catch (error) {
    // Whoever tries again begins with new ones.
    for (const cursor of cursors) {
      cursor.close();
      partition.cursors.delete(cursor.subscription.id);
    }
    throw error;
  }
  for (const { cursor, count, ahead } of behind) {
    cursor.unread += count - ahead;
    cursor.watchExpiry(Date.now() + 1_000);
  }
  for (const cursor of cursors) if (cursor.sessions) cursor.pump();
  return cursors;
}

/** A cursor that has something to read. */
type Behind = {
  readonly cursor: Cursor;
  readonly from: number;
  /** Of what is older than this only reading tells; until then it counts as a whole. */
  readonly trusted: number;
  /** What was done beyond `from`, before. */
  readonly ahead: number;
  /** Where the block ends that holds `from`: from there on tallies tell. */
  wholeFrom: number;
  /** Selected messages from `from` to the end. */
  count: number;
};

/** Of the block in which each begins by its bits, of all later ones by their tallies: the log is gone through once. */
async function countUnread(partition: Partition, behind: readonly Behind[], end: number): Promise<void> {
  for (const [from, some] of Map.groupBy(behind, (each) => each.from)) {
    const first = await partition.load(from);
    for (const each of some) countFirst(each, first, end);
  }
  const byBit = new Map(behind.map((each) => [each.cursor.subscription.bit, each]));
  const strangers = behind.filter((each) => each.trusted > each.wholeFrom);
  const begin = Math.min(...behind.map((each) => each.wholeFrom));
  for (const tally of await readTallies(partition.sql, partition.topic.id, partition.part, begin, end)) {
    for (const [bit, selected] of tally.selected) {
      const each = byBit.get(bit);
      if (each && tally.first >= each.wholeFrom && tally.first >= each.trusted) each.count += selected;
    }
    for (const each of strangers) {
      if (tally.first >= each.wholeFrom && tally.first < each.trusted) each.count += tally.count;
    }
  }
}

function countFirst(each: Behind, first: Block | undefined, end: number): void {
  const { from, trusted, cursor } = each;
  each.wholeFrom = first?.end ?? from;
  if (!first) return;
  for (let i = Math.max(0, from - first.first); i < first.count && first.first + i < end; i++) {
    if (first.first + i < trusted || hasBit(first.bits[i]!, cursor.subscription.bit)) each.count++;
  }
}
