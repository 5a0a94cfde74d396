// Duplicate detection: an id is looked for in the slice of time that is now and in the one before. Slices are one class
// of window long (10 min, 1 h, 1 d, 7 d), so both together always cover the topic's window. The database decides; a
// bounded memory of recent ids answers most repeats of one node without asking it.
import { hash } from 'node:crypto';
import { int2Array, int4Array, int8Array, uuidArray } from '../../kit/arrays.ts';
import { type Sql, statement } from '../../kit/database.ts';
import type { TopicSettings } from '../entities/settings.ts';

export type DedupRow = {
  readonly slot: number;
  readonly slotBefore: number;
  readonly slice: number;
  readonly topic: number;
  readonly part: number;
  readonly id: Uint8Array;
  readonly sequence: number;
  /** An id seen at this time (ms) or before it has left the window. */
  readonly since: number;
};

/** Lengths of slices in milliseconds, by class. */
export const CLASSES = [600_000, 3_600_000, 86_400_000, 604_800_000] as const;

/** Where an id is written and looked for at `now`. */
export function placeOf(
  settings: TopicSettings,
  now: number,
): Pick<DedupRow, 'slot' | 'slotBefore' | 'slice' | 'since'> {
  const window = settings.duplicateDetectionWindowMs;
  const index = CLASSES.findIndex((length) => window <= length);
  const slice = Math.floor(now / CLASSES[index]!);
  return { slot: index * 3 + (slice % 3), slotBefore: index * 3 + ((slice + 2) % 3), slice, since: now - window };
}

/** 128 bits of the SHA-256: a collision by chance will not happen, one by intent harms only its sender. */
export function idHash(messageId: string): Uint8Array {
  return hash('sha256', messageId, 'buffer').subarray(0, 16);
}

const FIND_DUPLICATES = statement(
  'topics.dedup.find',
  `select u.n::int as index, max(p.sequence) as sequence, max(p.at) as at
     from unnest($1::smallint[], $2::smallint[], $3::int[], $4::smallint[], $5::uuid[], $6::int[], $7::bigint[])
            with ordinality as u(slot, slot_before, topic, part, id, slice, since, n)
     join dedup p on p.topic = u.topic and p.part = u.part and p.id = u.id and p.at > to_timestamp(u.since / 1000.0)
      and ((p.slot = u.slot and p.slice = u.slice) or (p.slot = u.slot_before and p.slice = u.slice - 1))
    group by u.n`,
);

export type Duplicate = { readonly row: DedupRow; readonly sequence: number; readonly at: Date };

export async function findDuplicates(sql: Sql, rows: readonly DedupRow[]): Promise<Duplicate[]> {
  const found = await sql.query<{ index: number; sequence: number; at: Date }>(FIND_DUPLICATES, [
    int2Array(rows.map((row) => row.slot)),
    int2Array(rows.map((row) => row.slotBefore)),
    int4Array(rows.map((row) => row.topic)),
    int2Array(rows.map((row) => row.part)),
    uuidArray(rows.map((row) => row.id)),
    int4Array(rows.map((row) => row.slice)),
    int8Array(rows.map((row) => row.since)),
  ]);
  return found.map(({ index, sequence, at }) => ({ row: rows[index - 1]!, sequence, at }));
}

type Seen = { readonly sequence: number; readonly at: number };

/**
 * The ids that this node saw last: between `limit` and twice as many. Two maps that take turns, because a map whose oldest
 * entry is always deleted gets slower and slower to begin.
 */
export class RecentIds {
  #seen = new Map<string, Seen>();
  #earlier = new Map<string, Seen>();
  readonly #limit: number;

  constructor(limit = 50_000) {
    this.#limit = limit;
  }

  find(topic: number, part: number, messageId: string, since: number): Seen | undefined {
    const key = `${topic}/${part}/${messageId}`;
    const seen = this.#seen.get(key) ?? this.#earlier.get(key);
    return seen && seen.at > since ? seen : undefined;
  }

  add(topic: number, part: number, messageId: string, seen: Seen): void {
    this.#seen.set(`${topic}/${part}/${messageId}`, seen);
    if (this.#seen.size < this.#limit) return;
    this.#earlier = this.#seen;
    this.#seen = new Map();
  }
}
