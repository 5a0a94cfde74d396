import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { giveBackMemory } from './memory.ts';

test('what nothing holds any more is given back at once, and programs get no `gc` by it', async () => {
  const left = new WeakRef({ much: new Array(1_000) });
  await setImmediate(); // what a job has just made is held until its end
  giveBackMemory();
  expect(left.deref()).toBeUndefined();
  expect(globalThis).not.toHaveProperty('gc');
});
