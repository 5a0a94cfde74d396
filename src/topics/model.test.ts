// The broker against a model of what it promises: random operations on one queue, restarts included, the same on a
// simple list; and sessions, whose order must hold whoever takes them. Shrinks by fast-check; a failure prints its seed and path.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { say, text } from '../../test/support/broker.ts';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
import { Broker } from './broker.ts';
import type { Received } from './receive/received.ts';
import type { Receiver } from './receive/receiver.ts';

const MOST_DELIVERIES = 3;

/** What the model knows of a message. `atLeast`: a restart may count the delivery that it interrupted. */
type Model = {
  readonly sequence: number;
  readonly text: string;
  state: 'waiting' | 'locked' | 'deferred' | 'dead' | 'done';
  atLeast: number;
  /** It has a time to live, which is over. */
  readonly mortal?: boolean;
};

type World = {
  broker: Broker;
  readonly name: string;
  readonly messages: Map<number, Model>;
  locked: Received[];
  sent: number;
  /** Numbers of what waits for its time, which is far off. */
  readonly scheduled: number[];
  /** Ids that were sent here, with the numbers they got. */
  readonly ids: Map<string, number>;
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
    'schedule',
    'schedule soon',
    'cancel',
    'expire',
    'forward',
    'purge',
    'purge dead',
    'replay',
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
      for (const [i, { sequence, duplicate }] of (await world.broker.publish(world.name, batch)).entries()) {
        expect(duplicate).toBe(false);
        world.messages.set(sequence, { sequence, text: text(batch[i]!), state: 'waiting', atLeast: 0 });
        world.ids.set(text(batch[i]!), sequence);
      }
    },
    'repeat an id': async (world, n) => {
      const [id, sequence] = [...world.ids][n] ?? [];
      if (id === undefined) return;
      const [receipt] = await world.broker.publish(world.name, [say(id, { messageId: id })]);
      expect(receipt).toMatchObject({ duplicate: true, sequence });
    },
    receive: async (world, n) => {
      const expected = waiting(world, 'waiting');
      const got = await world.broker.receiver(world.name).receive({ max: n + 1 });
      expect(got.length > 0).toBe(expected.length > 0);
      for (const message of got) {
        const model = world.messages.get(message.sequence)!;
        expect(model.state).toBe('waiting');
        expect(message.deliveryCount).toBeGreaterThanOrEqual(model.atLeast);
        expect(text(message)).toBe(model.text);
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
      const expected = [...all.map((model) => model.sequence), ...world.scheduled].sort((a, b) => a - b);
      expect(peeked.map(({ message }) => message.sequence)).toEqual(expected);
    },
    schedule: async (world) => {
      const id = `${++world.sent}`;
      const scheduledAt = new Date(Date.now() + 3_600_000);
      const [receipt] = await world.broker.publish(world.name, [say(id, { messageId: id, scheduledAt })]);
      world.scheduled.push(receipt!.sequence);
    },
    cancel: async (world, n) => {
      const [sequence] = world.scheduled.splice(n % Math.max(1, world.scheduled.length), 1);
      if (sequence === undefined) return;
      await world.broker.cancelScheduled(world.name, [sequence]);
      await expect(world.broker.cancelScheduled(world.name, [sequence])).rejects.toThrow(/scheduled/);
    },
    'schedule soon': async (world) => {
      const id = `${++world.sent}`;
      await world.broker.publish(world.name, [say(id, { messageId: id, scheduledAt: new Date(Date.now() + 5) })]);
      await arrive(world, 1);
    },
    forward: async (world, n) => {
      const count = (n % 3) + 1;
      const batch = Array.from({ length: count }, () => say(`${++world.sent}`));
      await world.broker.publish(`${world.name}-entrance`, batch);
      await arrive(world, count);
    },
    expire: async (world) => {
      const id = `${++world.sent}`;
      const [receipt] = await world.broker.publish(world.name, [say(id, { messageId: id, timeToLiveMs: 1 })]);
      const before = waiting(world, 'dead').length;
      const { sequence } = receipt!;
      world.messages.set(sequence, { sequence, text: id, state: 'dead', atLeast: 0, mortal: true });
      // Behind messages that live longer it is found when somebody looks that far.
      await eventually(async () => {
        const dead = world.broker.receiver(`${world.name}/$DeadLetterQueue`);
        const found = (await dead.peek({ max: 1000 })).some(({ message }) => message.sequence === sequence);
        if (!found) await look(world);
        expect(found).toBe(true);
        // The row is there a moment before the owner has heard that it is.
        expect((await world.broker.counts(world.name)).deadLettered).toBe(before + 1);
      });
    },
    purge: async (world) => {
      const gone = [...waiting(world, 'waiting'), ...waiting(world, 'deferred')];
      expect(await world.broker.purge(world.name)).toBe(gone.length);
      for (const model of gone) model.state = 'done';
    },
    'purge dead': async (world) => {
      const gone = waiting(world, 'dead');
      expect(await world.broker.purge(`${world.name}/$DeadLetterQueue`)).toBe(gone.length);
      for (const model of gone) model.state = 'done';
    },
    replay: async (world) => {
      const all = [...world.messages.values()];
      // What lies aside stays there and comes from the log as well; what has expired expires again: not modelled.
      if (all.some(({ state, mortal }) => state === 'dead' || state === 'deferred' || mortal)) return;
      await world.broker.replay(world.name, 'oldest');
      for (const model of all) Object.assign(model, { state: 'waiting', atLeast: 0 });
      world.locked = [];
    },
    restart: async (world) => {
      await world.broker.stop();
      world.broker = await start();
      for (const { sequence } of world.locked) world.messages.get(sequence)!.state = 'waiting';
      world.locked = [];
    },
  };

  /** So many messages come by themselves: scheduled or forwarded. */
  async function arrive(world: World, count: number): Promise<void> {
    await eventually(async () => {
      const peeked = await world.broker.receiver(world.name).peek({ max: 1000 });
      const fresh = peeked.filter(({ message, state }) => state === 'active' && !world.messages.has(message.sequence));
      expect(fresh).toHaveLength(count);
      for (const { message } of fresh) {
        const { sequence } = message;
        world.messages.set(sequence, { sequence, text: text(message), state: 'waiting', atLeast: 0 });
      }
    });
  }

  /** Reaches everything that waits. */
  async function look(world: World): Promise<void> {
    const receiver = world.broker.receiver(world.name);
    await receiver.release(await receiver.receive({ max: 1000 }));
  }

  async function checkCounts(world: World): Promise<void> {
    const of = (state: Model['state']) => waiting(world, state).length;
    expect(await world.broker.countScheduled(world.name)).toBe(world.scheduled.length);
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
      await broker.createQueue(name, {
        settings,
        queue: { maxDeliveryCount: MOST_DELIVERIES, deadLetterOnExpiry: true },
      });
      await broker.createQueue(`${name}-entrance`, { queue: { forwardTo: name } });
      const world: World = { broker, name, messages: new Map(), locked: [], sent: 0, scheduled: [], ids: new Map() };
      try {
        for (const { what, n } of script) {
          await run[what]!(world, n);
          await checkCounts(world);
        }
        expect(failures).toEqual([]);
      } finally {
        await world.broker.deleteTopic(`${name}-entrance`);
        await world.broker.deleteTopic(name);
        await world.broker.stop();
      }
    });
    await fc.assert(property, { numRuns: 25, seed, interruptAfterTimeLimit: 90_000 });
  });

  it('and sessions agree: one holder at a time, everything in order, whatever is abandoned', {
    timeout: 120_000,
  }, async () => {
    const seed = Number(process.env.MODEL_SEED ?? Date.now() % 2 ** 31);
    const what = fc.constantFrom('publish', 'accept', 'receive', 'complete', 'abandon', 'release', 'state', 'restart');
    const step = fc.record({ what, n: fc.integer({ min: 0, max: 9 }) });
    let runs = 0;
    const property = fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80 }), async (script) => {
      let broker = await start();
      const name = `sessions-${seed}-${++runs}`;
      await broker.createQueue(name, { queue: { requiresSession: true, maxDeliveryCount: 1_000 } });
      const waitingOf = new Map<string, number[]>(['a', 'b', 'c'].map((id) => [id, []]));
      const states = new Map<string, string>();
      let held = new Map<string, { receiver: Receiver; taken: Received[] }>();
      let sent = 0;
      const doStep = async ({ what, n }: { what: string; n: number }) => {
        const id = ['a', 'b', 'c'][n % 3]!;
        const mine = held.get(id);
        if (what === 'publish') {
          await broker.publish(name, [say(`${++sent}`, { sessionId: id })]);
          waitingOf.get(id)!.push(sent);
        } else if (what === 'accept') {
          const accepting = broker.acceptSession(name, { id });
          if (mine) await expect(accepting).rejects.toMatchObject({ code: 'session_locked' });
          else held.set(id, { receiver: (await accepting)!, taken: [] });
        } else if (what === 'restart') {
          await broker.stop();
          broker = await start();
          held = new Map();
        } else if (mine) await withSession(what, n, id, mine);
      };
      const withSession = async (
        what: string,
        n: number,
        id: string,
        mine: { receiver: Receiver; taken: Received[] },
      ) => {
        const { receiver, taken } = mine;
        const left = waitingOf.get(id)!;
        if (what === 'receive') {
          const got = await receiver.receive({ max: n + 1 });
          expect(got.map((message) => Number(text(message)))).toEqual(left.slice(taken.length, taken.length + n + 1));
          taken.push(...got);
        } else if (what === 'complete') {
          await receiver.complete(taken);
          left.splice(0, taken.length);
          taken.length = 0;
        } else if (what === 'abandon') {
          await receiver.abandon(taken);
          taken.length = 0;
        } else if (what === 'release') {
          await receiver.close();
          held.delete(id);
        } else {
          expect((await receiver.getSessionState())?.toString()).toBe(states.get(id));
          states.set(id, `${n}`);
          await receiver.setSessionState(Buffer.from(`${n}`));
        }
      };
      try {
        for (const each of script) {
          await doStep(each);
          const active = [...waitingOf.values()].reduce((sum, left) => sum + left.length, 0);
          expect(await broker.counts(name)).toMatchObject({ active, deadLettered: 0 });
        }
      } finally {
        await broker.deleteTopic(name);
        await broker.stop();
      }
    });
    await fc.assert(property, { numRuns: 10, seed, interruptAfterTimeLimit: 60_000 });
  });
});
