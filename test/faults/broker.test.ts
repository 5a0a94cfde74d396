// Queues under faults, over HTTP, with real processes: what was acknowledged comes out, what was completed stays away,
// the order in a session holds, and no two consumers hold one thing at once.
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, inject, it } from 'vitest';
import { Database } from '../../src/kit/database.ts';
import { type Got, QueueClient } from '../support/broker-client.ts';
import { eventually } from '../support/eventually.ts';
import { urlOf } from '../support/postgres.ts';
import { diceOf, seedOfRun } from '../support/random.ts';
import { ServerProcess } from '../support/server-process.ts';

type Tally = {
  acknowledged: Set<string>;
  doubtful: Set<string>;
  completed: Set<string>;
  /** Completed by a call whose answer was lost: done or not. */
  maybeCompleted: Set<string>;
  seenAgain: string[];
  stopSending: boolean;
  stop: boolean;
};

const newTally = (): Tally => ({
  acknowledged: new Set(),
  doubtful: new Set(),
  completed: new Set(),
  maybeCompleted: new Set(),
  seenAgain: [],
  stopSending: false,
  stop: false,
});

/** Sends one message after the other and never repeats one whose answer was lost. */
async function keepSending(queue: QueueClient, name: string, tally: Tally): Promise<void> {
  for (let n = 0; !tally.stopSending && n < 20_000; n++) {
    const messageId = `${name}-${n}`;
    tally.doubtful.add(messageId);
    if (!(await queue.send([{ messageId, body: { n } }]))) continue;
    tally.doubtful.delete(messageId);
    tally.acknowledged.add(messageId);
  }
}

async function keepReceiving(queue: QueueClient, tally: Tally): Promise<void> {
  while (!tally.stop) {
    const messages = await queue.receive({ max: 50, waitMs: 500 });
    noteSeenAgain(messages, tally);
    if (messages.length === 0) continue;
    for (const message of messages) tally.maybeCompleted.add(message.messageId);
    for (const message of await queue.complete(messages)) tally.completed.add(message.messageId);
  }
}

function noteSeenAgain(messages: readonly Got[], tally: Tally): void {
  tally.seenAgain.push(...messages.map((message) => message.messageId).filter((id) => tally.completed.has(id)));
}

async function killAtRandom(server: ServerProcess, times: number, dice: () => number): Promise<void> {
  for (let i = 0; i < times; i++) {
    await pause(300 + dice() * 1200);
    if (i % 2 === 0) {
      await server.end('SIGKILL');
      await server.start();
    } else await server.killPostgres();
    await eventually(() => server.call('GET', '/v1/queues'), 60_000);
  }
}

/** Fails with how far it came. */
async function untilDrained(tally: Tally): Promise<void> {
  await eventually(() => {
    const left = [...tally.acknowledged].filter((id) => !tally.completed.has(id) && !tally.maybeCompleted.has(id));
    expect(left, 'acknowledged, but not completed').toEqual([]);
  }, 90_000);
}

describe('a queue', () => {
  it('loses nothing acknowledged and shows nothing completed again, whatever is killed', async () => {
    const seed = seedOfRun();
    console.log(`seed ${seed}`);
    await using server = await ServerProcess.start();
    const queue = new QueueClient(server, 'work');
    await queue.create({ lockDurationMs: 5_000, maxDeliveryCount: 1000 });
    const tally = newTally();
    const senders = Array.from({ length: 6 }, (_, n) => keepSending(queue, `s${n}`, tally));
    const receivers = Array.from({ length: 3 }, () => keepReceiving(queue, tally));
    await killAtRandom(server, 6, diceOf(seed));
    tally.stopSending = true;
    await Promise.all(senders);
    await untilDrained(tally);
    await eventually(
      async () => expect(await queue.counts()).toMatchObject({ active: 0, locked: 0, deadLettered: 0 }),
      30_000,
    );
    tally.stop = true;
    await Promise.all(receivers);
    const { acknowledged, completed, doubtful } = tally;
    console.log(`${acknowledged.size} acknowledged, ${completed.size} completed, ${doubtful.size} in doubt`);
    expect(tally.seenAgain, 'completed, but handed out again').toEqual([]);
    expect([...completed].filter((id) => !acknowledged.has(id) && !doubtful.has(id))).toEqual([]);
    expect(acknowledged.size).toBeGreaterThan(200);
  });

  it('gives what a dead consumer held to the next one, counted as a delivery', async () => {
    await using server = await ServerProcess.start();
    const queue = new QueueClient(server, 'held');
    await queue.create({ lockDurationMs: 5_000 });
    await queue.send(Array.from({ length: 20 }, (_, n) => ({ messageId: `m${n}`, body: n })));
    const held = await queue.receive({ max: 20 });
    expect(held.map((message) => message.deliveryCount)).toEqual(Array.from({ length: 20 }, () => 0));
    expect(await queue.receive({ max: 20 })).toEqual([]);
    const next = await eventually(async () => {
      const messages = await queue.receive({ max: 20, waitMs: 2_000 });
      expect(messages).toHaveLength(20);
      return messages;
    }, 20_000);
    expect(next.map((message) => message.messageId)).toEqual(held.map((message) => message.messageId));
    expect(next.every((message) => message.deliveryCount === 1)).toBe(true);
    expect(await queue.complete(held), 'the dead consumer comes back too late').toEqual([]);
    expect(await queue.complete(next)).toHaveLength(20);
  });

  it('keeps the order of each session through kills', async () => {
    const seed = seedOfRun();
    console.log(`seed ${seed}`);
    await using server = await ServerProcess.start();
    const queue = new QueueClient(server, 'sessions');
    await queue.create({ lockDurationMs: 5_000, requiresSession: true, maxDeliveryCount: 1000 });
    const done = new Map<string, number[]>();
    const tried = new Map<string, number[]>();
    const acknowledged = new Map<string, number[]>();
    const state = { sending: true, receiving: true };
    const senders = Array.from({ length: 4 }, (_, s) => sendInOrder(queue, `session-${s}`, acknowledged, state));
    const receivers = Array.from({ length: 3 }, () => receiveSessions(queue, done, tried, state));
    await killAtRandom(server, 4, diceOf(seed));
    state.sending = false;
    await Promise.all(senders);
    await eventually(() => {
      for (const [session, numbers] of acknowledged)
        expect(tried.get(session) ?? [], session).toEqual(expect.arrayContaining(numbers));
    }, 90_000);
    state.receiving = false;
    await Promise.all(receivers);
    for (const [session, numbers] of done) expect(numbers, session).toEqual(numbers.toSorted((a, b) => a - b));
    console.log([...acknowledged].map(([session, numbers]) => `${session}: ${numbers.length}`).join(', '));
  });

  it('works with far fewer connections than callers', async () => {
    await using server = await ServerProcess.start({ env: { CARILLON_DATABASE_POOL_SIZE: '2' } });
    const queue = new QueueClient(server, 'narrow');
    await queue.create();
    const tally = newTally();
    const receivers = Array.from({ length: 8 }, () => keepReceiving(queue, tally));
    const batches = Array.from({ length: 64 }, async (_, s) => {
      for (let n = 0; n < 10; n++) {
        const messageId = `${s}-${n}`;
        expect(await queue.send([{ messageId, body: n }])).toBe(true);
        tally.acknowledged.add(messageId);
      }
    });
    await Promise.all(batches);
    await untilDrained(tally);
    tally.stop = true;
    await Promise.all(receivers);
    expect(tally.completed.size).toBe(640);
    expect(tally.seenAgain).toEqual([]);
  });
});

type State = { sending: boolean; receiving: boolean };

/** One number after the other; the next only when this one is there for certain. */
async function sendInOrder(queue: QueueClient, sessionId: string, acknowledged: Map<string, number[]>, state: State) {
  const numbers: number[] = [];
  acknowledged.set(sessionId, numbers);
  for (let n = 0; state.sending && n < 5_000; n++) {
    while (!(await queue.send([{ sessionId, messageId: `${sessionId}-${n}`, body: n }]))) {
      if (!state.sending) return;
    }
    numbers.push(n);
  }
}

async function receiveSessions(
  queue: QueueClient,
  done: Map<string, number[]>,
  tried: Map<string, number[]>,
  state: State,
): Promise<void> {
  while (state.receiving) {
    const session = await queue.acceptSession(undefined, 500);
    if (!session) continue;
    for (let i = 0; i < 5; i++) {
      const messages = await queue.receive({ max: 10, session: session.session });
      if (messages.length === 0) break;
      note(tried, session.id, messages);
      note(done, session.id, await queue.complete(messages, session.session));
    }
    await queue.closeSession(session.session);
  }
}

/** A number that was sent twice, because its first answer was lost, counts once. */
function note(lists: Map<string, number[]>, session: string, messages: readonly Got[]): void {
  const list = lists.get(session) ?? [];
  lists.set(session, list);
  for (const { body } of messages) if (!list.includes(body as number)) list.push(body as number);
}

describe('two nodes on one database', () => {
  it('never hold one session both, and take over what a killed node held', async () => {
    const folder = inject('postgresSocketFolder');
    const name = `nodes_${process.pid}`;
    const admin = new Database({ url: urlOf(folder, 'postgres'), poolSize: 1 });
    await admin.query(`create database ${name}`);
    const same = 'the-same-on-both-nodes';
    const env = { CARILLON_DATABASE_URL: urlOf(folder, name), CARILLON_LINK_KEY: same, CARILLON_SAS_KEY: same };
    try {
      await using one = await ServerProcess.start({ env });
      await using two = await ServerProcess.start({ env });
      const [here, there] = [new QueueClient(one, 'shared'), new QueueClient(two, 'shared')];
      await here.create({ lockDurationMs: 60_000, requiresSession: true });
      await eventually(async () => expect(await there.counts()).toMatchObject({ requiresSession: true }));
      await there.send([{ sessionId: 'a', messageId: '1', body: 'x' }]);
      for (let round = 0; round < 10; round++) {
        const grants = await Promise.all([here.acceptSession('a'), there.acceptSession('a')]);
        expect(grants.filter(Boolean)).toHaveLength(1);
        const holder = grants[0] ? here : there;
        await holder.closeSession((grants[0] ?? grants[1])!.session);
      }
      expect(await there.acceptSession('a')).toBeDefined();
      await two.end('SIGKILL');
      await one.end('SIGKILL');
      await two.start();
      const grant = await eventually(async () => {
        const again = await there.acceptSession('a', 500);
        expect(again).toBeDefined();
        return again!;
      }, 30_000);
      const [message] = await there.receive({ max: 1, session: grant.session });
      expect(message).toMatchObject({ messageId: '1', body: 'x' });
    } finally {
      await admin.query(`drop database if exists ${name} with (force)`);
      await admin.close();
    }
  });
});
