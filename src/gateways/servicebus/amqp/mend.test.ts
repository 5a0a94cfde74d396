import { expect, it } from 'vitest';
import { meant } from './mend.ts';

/** The first ten numbers, so that one that goes through all of them is not waited for. */
function numbers(first: number, last: number | null, ids: readonly number[]): number[] {
  const found: number[] = [];
  for (const id of meant({ first, last }, { size: ids.length, ids })) if (found.push(id) === 10) break;
  return found;
}

it('looks only at what is held when a disposition names more numbers than that', () => {
  expect(numbers(0, 2 ** 32 - 1, [5, 9])).toEqual([5, 9]);
  expect(numbers(6, 2 ** 32 - 1, [5, 9])).toEqual([9]);
  expect(numbers(0, 2 ** 32 - 1, [])).toEqual([]);
});

it('takes the numbers from the first to the last, round the end of 32 bits', () => {
  expect(numbers(7, null, [1, 7, 8])).toEqual([7]);
  expect(numbers(2 ** 32 - 1, 0, [2 ** 32 - 1, 0, 1])).toEqual([2 ** 32 - 1, 0]);
});
