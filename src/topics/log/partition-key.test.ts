import { expect, it } from 'vitest';
import { partitionOfKey } from './partition-key.ts';

// As `mapPartitionKeyToId` of @azure/event-hubs 6.0.4 answers: keys shorter than, as long as and longer than its step of
// twelve bytes, and one that is longer in UTF-8 than in characters.
it.each([
  ['', [0, 0, 0]],
  ['a', [0, 4, 28]],
  ['key-1', [0, 6, 6]],
  ['twelve bytes', [0, 6, 14]],
  ['thirteen byte', [1, 1, 1]],
  ['x'.repeat(24), [1, 5, 29]],
  ['x'.repeat(25), [1, 5, 21]],
  ['日本語', [1, 1, 25]],
  ['7cc0ac25-0f2c-4a4b-9d4f-2b4b9c6f0d0f', [0, 2, 26]],
])('the key %j has the partition that Event Hubs clients expect', (key, places) => {
  expect([2, 8, 32].map((partitions) => partitionOfKey(key, partitions))).toEqual(places);
});
