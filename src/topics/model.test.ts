// The broker against a model of what it promises: random operations on one queue, restarts included, the same on a
// simple list. Shrinks by fast-check; a failure prints its seed and path.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { say, text } from '../../test/support/broker.ts';
import { useDatabase } from '../../test/support/database.ts';
import { Broker } from './broker.ts';
import type { Received } from './receiver.ts';

const MOST_DELIVERIES = 3;

/** What the model knows of a message. `atLeast`: a restart may count the delivery that it interrupted. */
type Model = { readonly sequence: number; state: 'waiting' | 'locked' | 'deferred' | 'dead' | 'done'; atLeast: number };

type World = {
  broker: Broker;
  readonly name: string;
  readonly messages: Map<number, Model>;
  locked: Received[];
  sent: number;
};

type Step = { readonly what: string; readonly n: number };

const steps: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom(
    'publish',
    'publish',
    'receive',
    'receive',
    'complete',
    'complete',
    'abandon',
    'change',
    'release',
    'defer',
    'take deferred',
    'dead-letter',
    'redrive',
    'receive dead',
    'repeat an id',
    'peek',
    'restart',
  ),
  n: fc.integer({ min: 0, max: 9 }),
});

const waiting = ({ messages }: World, state: Model['state']) =>
  [...messages.values()].filter((message) => message.state === state).sort((a, b) => a.sequence - b.sequence);

function pick(world: World, n: number): { message: Received; model: Model } | undefined {
  if (world.locked.length === 0) return undefined;
  const [message] = world.locked.splice(n % world.locked.length, 1);
  return { message: message!, model: world.messages.get(message!.sequence)! };
}

/** One more unsuccessful delivery: the last allowed one kills. */
function count(model: Model): void {
  model.atLeast++;
  model.state = model.atLeast >= MOST_DELIVERIES ? 'dead' : 'waiting';
}

describe('the model', () => {
  const { database } = useDatabase();
  const failures: unknown[] = [];
  const start = () =>
    Broker.start({
      database,
      node: { id: 'model' },
      emit: (signal) => {
        if (signal.name === 'topics.task_failed') failures.push(signal.error);
      },
    });

  const run: Record<string, (world: World, n: number) => Promise<void>> = {
    publish: async (world, n) => {
      const batch = Array.from({ length: (n % 4) + 1 }, () => {
        const id = `${++world.sent}`;
        return say(id, { messageId: id });
      });
      for (const receipt of await world.broker.publish(world.name, batch)) {
        expect(receipt.duplicate).toBe(false);
        world.messages.set(receipt.sequence, { sequence: receipt.sequence, state: 'waiting', atLeast: 0 });
      }
    },
    'repeat an id': async (world, n) => {
      if (world.sent === 0) return;
      const id = `${(n % world.sent) + 1}`;
      const [receipt] = await world.broker.publish(world.name, [say(id, { messageId: id })]);
      expect(receipt).toMatchObject({ duplicate: true, sequence: Number(id) });
    },
    receive: async (world, n) => {
      const expected = waiting(world, 'waiting');
      const got = await world.broker.receiver(world.name).receive({ max: n + 1 });
      expect(got.length > 0).toBe(expected.length > 0);
      for (const message of got) {
        const model = world.messages.get(message.sequence)!;
        expect(model.state).toBe('waiting');
        expect(message.deliveryCount).toBeGreaterThanOrEqual(model.atLeast);
        expect(text(message)).toBe(`${message.sequence}`);
        model.atLeast = message.deliveryCount;
        model.state = 'locked';
        world.locked.push(message);
      }
    },
    complete: async (world, n) => {
      const picked = pick(world, n);
      if (!picked) return;
      await world.broker.receiver(world.name).complete(picked.message);
      picked.model.state = 'done';
    },
    abandon: async (world, n) => {
      const picked = pick(world, n);
      if (!picked) return;
      await world.broker.receiver(world.name).abandon(picked.message);
      count(picked.model);
    },
    change: async (world, n) => {
      const picked = pick(world, n);
      if (!picked) return;
      await world.broker.receiver(world.name).abandon(picked.message, { n });
      count(picked.model);
    },
    release: async (world, n) => {
      const picked = pick(world, n);
      if (!picked) return;
      await world.broker.receiver(world.name).release(picked.message);
      picked.model.state = 'waiting';
    },
    defer: async (world, n) => {
      const picked = pick(world, n);
      if (!picked) return;
      await world.broker.receiver(world.name).defer(picked.message);
      picked.model.atLeast++;
      picked.model.state = 'deferred';
    },
    'take deferred': async (world, n) => {
      const deferred = waiting(world, 'deferred');
      const receiver = world.broker.receiver(world.name);
      if (deferred.length === 0) return;
      const model = deferred[n % deferred.length]!;
      const [message] = await receiver.receiveDeferred([model.sequence]);
      expect(message!.deliveryCount).toBe(model.atLeast);
      if (n % 2) {
        await receiver.complete(message!);
        model.state = 'done';
      } else {
        await receiver.abandon(message!);
        model.atLeast++;
      }
    },
    'dead-letter': async (world, n) => {
      const picked = pick(world, n);
      if (!picked) return;
      await world.broker.receiver(world.name).deadLetter(picked.message, { reason: `r${n % 2}` });
      picked.model.state = 'dead';
    },
    redrive: async (world, n) => {
      const dead = waiting(world, 'dead');
      const some = dead.filter((_, i) => n === 0 || i % n === 0).map((model) => model.sequence);
      expect(await world.broker.redrive(world.name, { sequences: some })).toBe(some.length);
      for (const sequence of some) Object.assign(world.messages.get(sequence)!, { state: 'waiting', atLeast: 0 });
    },
    'receive dead': async (world) => {
      const receiver = world.broker.receiver(`${world.name}/$DeadLetterQueue`);
      const [message] = await receiver.receive();
      expect(message?.sequence).toBe(waiting(world, 'dead')[0]?.sequence);
      if (!message) return;
      await receiver.complete(message);
      world.messages.get(message.sequence)!.state = 'done';
    },
    peek: async (world, n) => {
      const peeked = await world.broker.receiver(world.name).peek({ from: n, max: 1000 });
      const all = [...world.messages.values()].filter(
        ({ state, sequence }) => sequence >= n && state !== 'done' && state !== 'dead',
      );
      expect(peeked.map(({ message }) => message.sequence)).toEqual(
        all.map((model) => model.sequence).sort((a, b) => a - b),
      );
    },
    restart: async (world) => {
      await world.broker.stop();
      world.broker = await start();
      for (const { sequence } of world.locked) world.messages.get(sequence)!.state = 'waiting';
      world.locked = [];
    },
  };

  async function checkCounts(world: World): Promise<void> {
    const of = (state: Model['state']) => waiting(world, state).length;
    expect(await world.broker.counts(world.name)).toMatchObject({
      active: of('waiting') + of('locked'),
      locked: of('locked'),
      deferred: of('deferred'),
      deadLettered: of('dead'),
    });
  }

  it('and the broker agree after every step', { timeout: 120_000 }, async () => {
    let runs = 0;
    const seed = Number(process.env.MODEL_SEED ?? Date.now() % 2 ** 31);
    const property = fc.asyncProperty(fc.array(steps, { minLength: 20, maxLength: 120 }), async (script) => {
      const broker = await start();
      const name = `model-${seed}-${++runs}`;
      const settings = { duplicateDetection: true };
      await broker.createQueue(name, { settings, queue: { maxDeliveryCount: MOST_DELIVERIES } });
      const world: World = { broker, name, messages: new Map(), locked: [], sent: 0 };
      try {
        for (const { what, n } of script) {
          await run[what]!(world, n);
          await checkCounts(world);
        }
        expect(failures).toEqual([]);
      } finally {
        await world.broker.deleteTopic(name);
        await world.broker.stop();
      }
    });
    await fc.assert(property, { numRuns: 25, seed, interruptAfterTimeLimit: 90_000 });
  });
});
