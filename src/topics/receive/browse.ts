// Looking at the log without being a subscription: by number or time, forwards or newest first.
import { type Sql, statement } from '../../kit/database.ts';
import type { TopicEntry } from '../entities/catalogue.ts';
import { readBlocks } from '../log/read.ts';
import { type Message, PARTITION_SPAN, partitionOf } from '../message.ts';

export type BrowseOptions = {
  /** First sequence to show. Absent: from the oldest on. */
  readonly from?: number;
  /** Shows what comes before this sequence, newest first. `Infinity`: from the newest. */
  readonly before?: number;
  /** At most 1,000; 100 unless told. */
  readonly limit?: number;
  /** Which partition, when neither `from` nor `before` says it. */
  readonly partition?: number;
};

const BLOCK_BEFORE = statement(
  'topics.browse.before',
  `select first_seq from block where topic = $1 and part = $2 and first_seq < $3 order by first_seq desc limit 1`,
);

export async function browse(sql: Sql, topic: TopicEntry, options: BrowseOptions): Promise<Message[]> {
  const limit = Math.max(1, Math.min(options.limit ?? 100, 1000));
  return options.before === undefined
    ? browseForwards(sql, topic, options, limit)
    : browseBackwards(sql, topic, options.before, options.partition ?? 0, limit);
}

async function browseForwards(sql: Sql, topic: TopicEntry, options: BrowseOptions, limit: number): Promise<Message[]> {
  const part = options.from === undefined ? (options.partition ?? 0) : partitionOf(options.from);
  const messages: Message[] = [];
  for (let from = options.from ?? part * PARTITION_SPAN + 1; messages.length < limit; ) {
    const blocks = await readBlocks(sql, placeOf(topic, part), from, { bytes: 1024 * 1024 });
    if (blocks.length === 0) break;
    for (const block of blocks) {
      for (let i = Math.max(0, from - block.first); i < block.count && messages.length < limit; i++) {
        if (!block.isCopy(i)) messages.push(block.message(i));
      }
      from = block.end;
    }
  }
  return messages;
}

async function browseBackwards(
  sql: Sql,
  topic: TopicEntry,
  before: number,
  partition: number,
  limit: number,
): Promise<Message[]> {
  const part = Number.isFinite(before) ? partitionOf(before) : partition;
  const messages: Message[] = [];
  for (let below = Math.min(before, Number.MAX_SAFE_INTEGER); messages.length < limit; ) {
    const [row] = await sql.query<{ first_seq: number }>(BLOCK_BEFORE, [topic.id, part, below]);
    if (!row) break;
    const [block] = await readBlocks(sql, placeOf(topic, part), row.first_seq, { limit: 1 });
    if (!block) break;
    for (let i = Math.min(block.count, below - block.first) - 1; i >= 0 && messages.length < limit; i--) {
      if (!block.isCopy(i)) messages.push(block.message(i));
    }
    below = block.first;
  }
  return messages;
}

function placeOf(topic: TopicEntry, partition: number) {
  return { topicId: topic.id, topic: topic.name, partition };
}
