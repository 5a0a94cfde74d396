import { expect, it } from 'vitest';
import type { Sql } from '../../kit/database.ts';
import type { TopicEntry } from '../entities/catalogue.ts';
import type { Block } from '../log/block.ts';
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
