import { expect, it } from 'vitest';
import type { Sql } from '../../kit/database.ts';
import type { TopicEntry } from '../entities/catalogue.ts';
import { Block, BlockWriter } from '../log/block.ts';
import { Partition } from './partition.ts';

it('looks again at the next block when it could not look at what came before one', async () => {
  let looks = 0;
  const sql: Sql = {
    query: async () => {
      looks++;
      throw new Error('Connection terminated unexpectedly');
    },
  };
  const topic = { id: 1, name: 't' } as TopicEntry;
  const partition = new Partition({ topic, part: 0, epoch: 1, end: 1 }, sql, { total: 0, each: 0, used: 0 });
  for (const first of [5, 7]) partition.append({ first } as Block);
  await new Promise((resolve) => setImmediate(resolve)); // A rejection that nobody handles would fail this run.
  expect(looks).toBe(2);
  expect(partition.end).toBe(1);
});

it('gives the memory of a block back when it leaves unread, and keeps it for whoever has read from it', () => {
  const sql: Sql = { query: async () => [] };
  const topic = { id: 1, name: 't' } as TopicEntry;
  const partition = new Partition({ topic, part: 0, epoch: 1, end: 1 }, sql, { total: 0, each: 150_000, used: 0 });
  const blocks = [1, 2, 3, 4].map((first) => {
    const writer = new BlockWriter();
    writer.add({ messageId: `m${first}`, body: Buffer.alloc(100_000, first) }, { bits: new Uint8Array(0) });
    const { body, index } = writer.finish();
    return new Block({ topic: 't', partition: 0, first, enqueuedAt: new Date() }, body, index);
  });
  // Somebody is far behind, and there is room for one block.
  partition.cursors.set(1, { next: 1, appended: () => {}, close: () => {} } as never);
  partition.append(blocks[0]!);
  const message = partition.find(1)!.message(0);
  for (const block of blocks.slice(1)) partition.append(block);
  expect(blocks.map((block) => block.body.length > 0)).toEqual([true, false, false, true]);
  expect(message.body).toEqual(Buffer.alloc(100_000, 1));
  expect(partition.find(4)!.message(0).body).toEqual(Buffer.alloc(100_000, 4));
  partition.release();
  expect(blocks.map((block) => block.body.length > 0)).toEqual([true, false, false, true]);
});
