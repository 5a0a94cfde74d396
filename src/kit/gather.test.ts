import { expect, it } from 'vitest';
import { Gatherer } from './gather.ts';

function slow() {
  const calls: string[][] = [];
  const waiting: PromiseWithResolvers<void>[] = [];
  const gatherer = new Gatherer<string, string>(async (keys) => {
    calls.push([...keys]);
    const gate = Promise.withResolvers<void>();
    waiting.push(gate);
    await gate.promise;
    return new Map(keys.filter((key) => key !== 'none').map((key) => [key, key.toUpperCase()]));
  });
  const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  return { calls, waiting, gatherer, turn };
}

it('asks once for what is asked together, and knows what is not there', async () => {
  const { calls, waiting, gatherer, turn } = slow();
  const answers = Promise.all([gatherer.find('a'), gatherer.find('b'), gatherer.find('a'), gatherer.find('none')]);
  await turn();
  waiting[0]!.resolve();
  expect(await answers).toEqual(['A', 'B', 'A', undefined]);
  expect(calls).toEqual([['a', 'b', 'none']]);
});

it('takes what is asked meanwhile to the next call, which may be newer', async () => {
  const { calls, waiting, gatherer, turn } = slow();
  const first = gatherer.find('a');
  await turn();
  const rest = Promise.all([gatherer.find('a'), gatherer.find('b')]);
  await turn();
  expect(calls).toEqual([['a']]);
  waiting[0]!.resolve();
  expect(await first).toBe('A');
  await turn();
  waiting[1]!.resolve();
  expect(await rest).toEqual(['A', 'B']);
  expect(calls).toEqual([['a'], ['a', 'b']]);
});

it('tells those who asked that it failed, and goes on', async () => {
  const { waiting, gatherer, turn } = slow();
  const first = gatherer.find('a');
  await turn();
  waiting[0]!.reject(new Error('away'));
  await expect(first).rejects.toThrow('away');
  const second = gatherer.find('a');
  await turn();
  waiting[1]!.resolve();
  expect(await second).toBe('A');
});
