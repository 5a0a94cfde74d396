// A topic partition as its owner holds it: the end of the log, a bounded tail of what was appended last, blocks read
// back for those who are behind, and one cursor per subscription.
import type { Sql } from '../../kit/database.ts';
import type { TopicEntry } from '../entities/catalogue.ts';
import type { Block } from '../log/block.ts';
import { readBlocks, readTallies } from '../log/read.ts';
import type { Cursor } from './cursor.ts';

/** Bytes of log that all partitions of a node may keep in memory, and one of them. */
export type MemoryBudget = { readonly total: number; readonly each: number; used: number };

export class Partition {
  topic: TopicEntry;
  readonly part: number;
  readonly epoch: number;
  readonly cursors = new Map<number, Cursor>();
  /** Set when another node took over: nothing of this object counts any more. */
  lost = false;
  /** The sequence after the last of the log. */
  end: number;
  readonly sql: Sql;
  readonly #budget: MemoryBudget;
  /** Contiguous, ends at `end` (or is empty). */
  #tail: Block[] = [];
  #tailBytes = 0;
  readonly #pages = new Map<number, Block>();
  #pageBytes = 0;
  /** Blocks in the middle of what was read last: whoever reaches one makes the next be read. */
  readonly #marks = new Set<number>();
  /** The end of what was read last. */
  #readTo = 0;
  readonly #loading = new Map<number, Promise<Block | undefined>>();

  constructor(place: { topic: TopicEntry; part: number; epoch: number; end: number }, sql: Sql, budget: MemoryBudget) {
    this.topic = place.topic;
    this.part = place.part;
    this.epoch = place.epoch;
    this.end = place.end;
    this.sql = sql;
    this.#budget = budget;
  }

  /** Takes a block that is durable. If it does not follow the tail, another node wrote in between: the log tells. */
  append(block: Block): void {
    if (block.first < this.end) return;
    if (block.first > this.end) {
      // If it fails, the next block tells again.
      void this.catchUp().catch(() => {});
      return;
    }
    this.end = block.end;
    this.#tail.push(block);
    this.#tailBytes += memoryOf(block);
    this.#budget.used += memoryOf(block);
    for (const cursor of this.cursors.values()) cursor.appended(block);
    this.#trim();
  }

  /** Learns what was appended without this owner seeing it. */
  async catchUp(): Promise<void> {
    const rows = await readTallies(this.sql, this.topic.id, this.part, this.end);
    for (const row of rows) {
      if (row.first !== this.end || this.lost) continue;
      this.#dropTail(this.#tail.length);
      this.end += row.count;
      for (const cursor of this.cursors.values()) cursor.grew(row.selected.get(cursor.subscription.bit) ?? 0);
    }
  }

  /** The block that holds the sequence, if it is in memory. */
  find(sequence: number): Block | undefined {
    const first = this.#tail[0];
    if (first && sequence >= first.first) return search(this.#tail, sequence)?.hold();
    return this.#pages.get(sequence);
  }

  /** Reads on before somebody who is behind gets to the end of what was read. */
  readAhead(block: Block): void {
    if (!this.#marks.delete(block.first)) return;
    const from = this.#readTo;
    const tail = this.#tail[0]?.first ?? this.end;
    if (from < tail && !this.#pages.has(from)) void this.load(from).catch(() => {});
  }

  /** Brings the block that holds the sequence, and some after it, into memory. */
  load(sequence: number): Promise<Block | undefined> {
    const known = this.#loading.get(sequence);
    if (known) return known;
    const loading = this.#load(sequence).finally(() => this.#loading.delete(sequence));
    this.#loading.set(sequence, loading);
    return loading;
  }

  async #load(sequence: number): Promise<Block | undefined> {
    const place = { topicId: this.topic.id, topic: this.topic.name, partition: this.part };
    const blocks = await readBlocks(this.sql, place, sequence);
    for (const block of blocks) this.#addPage(block);
    const last = blocks.at(-1);
    if (last) {
      this.#readTo = last.end;
      this.#marks.add(blocks[blocks.length >> 1]!.first);
    }
    return blocks[0];
  }

  #addPage(block: Block): void {
    if (this.#pages.has(block.first)) return;
    this.#pages.set(block.first, block);
    this.#pageBytes += memoryOf(block);
    for (const [first, old] of this.#pages) {
      if (this.#pageBytes <= this.#budget.each || old === block) break;
      this.#pages.delete(first);
      this.#pageBytes -= memoryOf(old);
    }
  }

  /** Lets go of what every cursor has passed, and of the oldest when there is too much. */
  #trim(): void {
    let needed = this.end;
    for (const cursor of this.cursors.values()) needed = Math.min(needed, cursor.next);
    let count = 0;
    let bytes = this.#tailBytes;
    for (const block of this.#tail) {
      const crowded = bytes > this.#budget.each || (this.#budget.used > this.#budget.total && bytes > memoryOf(block));
      if (block.end > needed && !crowded) break;
      bytes -= memoryOf(block);
      count++;
    }
    this.#dropTail(count);
  }

  #dropTail(count: number): void {
    if (count === 0) return;
    const gone = this.#tail.splice(0, count);
    const dropped = gone.reduce((sum, block) => sum + memoryOf(block), 0);
    for (const block of gone) block.letGo();
    this.#tailBytes -= dropped;
    this.#budget.used -= dropped;
  }

  /** Another node owns the partition now, or the broker stops. */
  release(): void {
    this.lost = true;
    this.#dropTail(this.#tail.length);
    this.#pages.clear();
    this.#marks.clear();
    for (const cursor of this.cursors.values()) cursor.close();
  }
}

/** Bytes, about: a small block is mostly what JavaScript keeps around it. */
function memoryOf(block: Block): number {
  return block.body.length + 1_000 + 50 * block.count;
}

function search(blocks: readonly Block[], sequence: number): Block | undefined {
  let low = 0;
  let high = blocks.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const block = blocks[middle]!;
    if (sequence < block.first) high = middle - 1;
    else if (sequence >= block.end) low = middle + 1;
    else return block;
  }
  return undefined;
}
