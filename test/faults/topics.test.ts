// Nodes of one database that are killed at random moments under load. Nothing that was acknowledged is lost, nothing
// whose completion was confirmed comes again. The seed is printed; FAULT_SEED repeats it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { Broker } from '../../src/topics/broker.ts';
import { PARTITION_SPAN } from '../../src/topics/message.ts';
import { useDatabase } from '../support/database.ts';

const ROUNDS = 4;
/** Several, so that nodes share them, and every kill moves some. */
const PARTITIONS = 4;

describe('topics under kill -9', () => {
  const { database, url } = useDatabase();

  it('lose nothing that was promised and repeat nothing that was confirmed', async () => {
    const seed = Number(process.env.FAULT_SEED ?? Date.now() % 100_000);
    console.log(`seed ${seed}`);
    const dice = lcg(seed);
    const setup = await Broker.start({ database, emit: () => {}, node: { id: 'setup' } });
    await setup.createTopic('t', { partitions: PARTITIONS, settings: { duplicateDetection: true } });
    await setup.createSubscription('t', 's', { maxDeliveryCount: 1_000 });
    await setup.createSubscription('t', 'all');
    await setup.stop();
    const published = new Set<string>();
    const completed: string[] = [];
    const start = async (id: string, first: number): Promise<ChildProcess> => {
      const script = new URL('topics-child.ts', import.meta.url).pathname;
      const child = spawn(process.execPath, [script, url, id, 't', 's', `${first}`], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const ready = Promise.withResolvers<void>();
      createInterface({ input: child.stdout! }).on('line', (line) => {
        const [kind, names = ''] = line.split(' ');
        if (kind === 'ready') ready.resolve();
        else if (kind === 'published') for (const name of names.split(',')) published.add(name);
        else completed.push(...names.split(','));
      });
      await ready.promise;
      return child;
    };
    let numbers = 0;
    const next = (id: string) => {
      numbers += 1_000_000;
      return start(id, numbers);
    };
    let [a, b] = [await next('a0'), await next('b0')];
    for (let round = 1; round <= ROUNDS; round++) {
      await new Promise((resolve) => setTimeout(resolve, 500 + dice() * 1_500));
      a.kill('SIGKILL');
      await once(a, 'exit');
      // The other one goes on; every second time the dead one's successor has its id, as after a restart.
      [a, b] = [b, await next(round % 2 ? `a${round}` : `b${round - 1}`)];
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    for (const child of [a, b]) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await drain(completed);
    const all = await drainAll();
    console.log(`published ${published.size}, completed ${completed.length}, in the log ${all.length}`);
    expect(published.size).toBeGreaterThan(100);
    expect(new Set(all).size).toBe(all.length);
    const logged = new Set(all);
    expect([...published].filter((name) => !logged.has(name))).toEqual([]);
    expect(new Set(completed).size).toBe(completed.length);
    const done = new Set(completed);
    // What was completed without the answer arriving is in neither list; nothing else may be missing.
    expect(all.filter((name) => !done.has(name)).length).toBeLessThanOrEqual((ROUNDS + 2) * 40);
  });

  /** What is left comes to a last node once the leases of the dead have run out. */
  async function drain(completed: string[]): Promise<void> {
    await using broker = await Broker.start({ database, emit: () => {}, node: { id: 'last' } });
    const receiver = broker.receiver('t/Subscriptions/s');
    for (let quiet = Date.now(); Date.now() - quiet < 8_000; ) {
      const messages = await receiver.receive({ max: 500, waitMs: 500 });
      if (messages.length === 0) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        continue;
      }
      quiet = Date.now();
      await receiver.complete(messages);
      completed.push(...messages.map((message) => message.messageId));
    }
  }

  async function drainAll(): Promise<string[]> {
    await using broker = await Broker.start({ database, emit: () => {}, node: { id: 'last' } });
    const names: string[] = [];
    for (let part = 0; part < PARTITIONS; part++) {
      for (let from = part * PARTITION_SPAN + 1; ; ) {
        const page = await broker.browse('t', { from, limit: 1000 });
        if (page.length === 0) break;
        names.push(...page.map((message) => message.messageId));
        from = page.at(-1)!.sequence + 1;
      }
    }
    return names;
  }
});

function lcg(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
