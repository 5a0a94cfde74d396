// Reads one partition of the log in order, from a place on, without being a subscription: nothing is locked, settled or
// remembered. At the end it waits. What this node appends meanwhile comes by a function call; whoever is behind, or on
// another node than the sender, reads the database.
import type { Sql } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { TopicEntry } from '../entities/catalogue.ts';
import { readHeads } from '../log/append.ts';
import type { Block } from '../log/block.ts';
import { checkPartition } from '../log/check.ts';
import type { Growth } from '../log/growth.ts';
import { firstSequence, readBlocks } from '../log/read.ts';
import { type Message, PARTITION_SPAN } from '../message.ts';
import { browse } from './browse.ts';

/** Where to begin: with a sequence, with what was enqueued at a time or later, with the oldest, or with what is to come. */
export type LogPosition = { readonly sequence: number } | { readonly time: Date } | 'oldest' | 'end';

/** A partition of the log at a glance; `first` and `last` are undefined while nothing is in it. */
export type PartitionState = {
  readonly first: number | undefined;
  readonly last: Pick<Message, 'sequence' | 'enqueuedAt'> | undefined;
  /** The number that comes next. */
  readonly next: number;
  /** Nothing was ever in it. */
  readonly fresh: boolean;
};

/** Bytes of new blocks kept for a reader that is busy; beyond, it reads them from the database later. */
const MOST_KEPT_BYTES = 2 * 1024 * 1024;
const READ_BYTES = 1024 * 1024;

export type LogReaderDeps = { readonly sql: Sql; readonly topic: () => TopicEntry; readonly growth: Growth };

export async function partitionState(sql: Sql, topic: TopicEntry, part: number): Promise<PartitionState> {
  checkPartition(topic, part);
  const [head] = await readHeads(sql, [{ topic: topic.id, part }]);
  const [oldest] = await browse(sql, topic, { partition: part, limit: 1 });
  const [last] = await browse(sql, topic, { partition: part, before: Number.POSITIVE_INFINITY, limit: 1 });
  return { first: oldest?.sequence, last, next: head!.next, fresh: head!.next === part * PARTITION_SPAN + 1 };
}

export class LogReader {
  readonly #deps: LogReaderDeps;
  readonly #part: number;
  #next: number;
  /** What comes next, as far as it is in memory: contiguous, and the first of them holds `#next`. */
  #blocks: Block[] = [];
  #bytes = 0;
  /** Something may have been appended since the database was found to have no more. */
  #grown = true;
  #wake: () => void = () => {};
  readonly #unwatch: () => void;

  private constructor(deps: LogReaderDeps, part: number, next: number) {
    this.#deps = deps;
    this.#part = part;
    this.#next = next;
    this.#unwatch = deps.growth.watch(deps.topic().id, part, (block) => this.#noted(block));
  }

  /** Refuses a partition that is not there, and a sequence that the log has not come to yet. Close what it gives. */
  static async open(deps: LogReaderDeps, part: number, from: LogPosition): Promise<LogReader> {
    const topic = deps.topic();
    checkPartition(topic, part);
    const [head] = await readHeads(deps.sql, [{ topic: topic.id, part }]);
    return new LogReader(deps, part, await placeOf(deps.sql, topic, part, from, head!.next));
  }

  /** Up to `max` messages, as soon as there is one; none when `signal` or the time (ms) ended the wait. */
  async read(max: number, waitMs: number, signal: AbortSignal): Promise<Message[]> {
    const end = performance.now() + waitMs;
    for (;;) {
      const messages = this.#take(max);
      if (messages.length > 0 || signal.aborted) return messages;
      if (await this.#load()) continue;
      const left = end - performance.now();
      if (left <= 0) return [];
      await this.#growth(left, signal);
    }
  }

  /** Reads again from a sequence that was read before. */
  backTo(sequence: number): void {
    this.#next = sequence;
    this.#blocks = [];
    this.#bytes = 0;
    this.#grown = true;
  }

  #take(max: number): Message[] {
    const messages: Message[] = [];
    for (let block = this.#blocks[0]; block && messages.length < max; block = this.#blocks[0]) {
      for (; this.#next < block.end && messages.length < max; this.#next++) {
        const index = this.#next - block.first;
        if (!block.isCopy(index)) messages.push(block.message(index));
      }
      if (this.#next < block.end) break;
      this.#blocks.shift();
      this.#bytes -= block.body.length;
    }
    return messages;
  }

  /** Whether there is more in memory now than before. */
  async #load(): Promise<boolean> {
    if (!this.#grown) return false;
    this.#grown = false;
    const topic = this.#deps.topic();
    const place = { topicId: topic.id, topic: topic.name, partition: this.#part };
    const from = this.#next;
    const blocks = await readBlocks(this.#deps.sql, place, from, { bytes: READ_BYTES });
    if (blocks.length === 0) return this.#blocks.length > 0;
    this.#grown = true; // Until a read finds nothing.
    this.#blocks = blocks;
    this.#bytes = blocks.reduce((sum, block) => sum + block.body.length, 0);
    // What retention has dropped is passed over.
    this.#next = Math.max(from, blocks[0]!.first);
    return true;
  }

  #noted(block: Block | undefined): void {
    const end = this.#blocks.at(-1)?.end ?? this.#next;
    const follows = block !== undefined && block.first === end && (this.#blocks.length > 0 || !this.#grown);
    if (follows && this.#bytes + block.body.length <= MOST_KEPT_BYTES) {
      this.#blocks.push(block);
      this.#bytes += block.body.length;
    } else this.#grown = true;
    this.#wake();
  }

  #growth(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#grown || this.#blocks.length > 0) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#wake = () => {};
        resolve();
      };
      const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1)).unref();
      signal.addEventListener('abort', done);
      this.#wake = done;
      if (signal.aborted) done();
    });
  }

  close(): void {
    this.#unwatch();
    this.#blocks = [];
    this.#wake();
  }
}

async function placeOf(sql: Sql, topic: TopicEntry, part: number, from: LogPosition, next: number): Promise<number> {
  const least = part * PARTITION_SPAN + 1;
  if (from === 'end') return next;
  if (from === 'oldest') return (await firstSequence(sql, topic.id, part)) ?? next;
  if ('time' in from) return (await firstSequence(sql, topic.id, part, from.time)) ?? next;
  if (from.sequence <= next) return Math.max(from.sequence, least);
  const words = `The supplied sequence number '${from.sequence - 1}' is invalid. The last in the partition is '${next - 1}'.`;
  throw new Refusal('bad_request', words, { condition: 'com.microsoft:argument-error' });
}
