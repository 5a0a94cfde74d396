// A server whose time of day is set while it works, forwards and backwards, by libfaketime. The seed is printed.
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QueueClient } from '../support/broker-client.ts';
import { eventually } from '../support/eventually.ts';
import { FakeTime } from '../support/fake-time.ts';
import { diceOf, seedOfRun } from '../support/random.ts';
import { ServerProcess } from '../support/server-process.ts';

const HOUR = 3_600;

describe('a clock that is set', () => {
  let server: ServerProcess;
  const time = new FakeTime();
  beforeAll(async () => {
    server = await ServerProcess.start({ env: time.env });
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    time[Symbol.dispose]();
  });
  const queue = async (name: string, settings: Record<string, unknown> = {}) => {
    time.set(0);
    const client = new QueueClient(server, name);
    await client.create(settings);
    return client;
  };
  /** The time of day as the server believes it. */
  const serverTime = async () => Date.parse((await server.fetch('GET', '/healthz')).headers.get('date')!);
  const shows = (seconds: number) =>
    eventually(async () => expect(Math.abs((await serverTime()) - Date.now() - seconds * 1000)).toBeLessThan(5_000));

  it('does not let a duplicate through when it goes back, not even over a restart', async () => {
    const work = await queue('ids', { duplicateDetection: true, duplicateDetectionWindowMs: 600_000 });
    await work.send([{ messageId: 'once', body: 1 }]);
    time.set(-HOUR / 2);
    await shows(-HOUR / 2);
    await work.send([{ messageId: 'once', body: 2 }]);
    await work.send([{ messageId: 'back', body: 3 }]);
    await server.end('SIGKILL');
    await server.start();
    await work.send([
      { messageId: 'once', body: 4 },
      { messageId: 'back', body: 5 },
    ]);
    expect(await work.counts()).toMatchObject({ active: 2 });
  });

  it('neither ends a lock nor prolongs it', async () => {
    const work = await queue('locks', { lockDurationMs: 5_000 });
    await work.send([{ messageId: '1', body: 1 }]);
    await work.send([{ messageId: '2', body: 2 }]);
    const [one] = await work.receive({ max: 1 });
    time.set(HOUR);
    await shows(HOUR);
    const [two] = await work.receive({ max: 5 });
    expect(two).toMatchObject({ messageId: '2', deliveryCount: 0 });
    expect(await work.complete([one!])).toHaveLength(1);
    time.set(-HOUR);
    await shows(-HOUR);
    const [again] = await work.receive({ max: 5, waitMs: 15_000 });
    expect(again).toMatchObject({ messageId: '2', deliveryCount: 1 });
    expect(await work.complete([again!])).toHaveLength(1);
  });

  it('neither ends the lock of a session nor prolongs it', async () => {
    const work = await queue('session-locks', { lockDurationMs: 5_000, requiresSession: true });
    await work.send([{ messageId: '1', sessionId: 's', body: 1 }]);
    const grant = await work.acceptSession('s');
    time.set(HOUR);
    await shows(HOUR);
    const messages = await work.receive({ max: 5, session: grant!.session });
    expect(messages).toHaveLength(1);
    expect(await work.acceptSession('s'), 'the session is still locked').toBeUndefined();
    time.set(-HOUR);
    await shows(-HOUR);
    const next = await eventually(async () => {
      const taken = await work.acceptSession('s');
      expect(taken).toBeDefined();
      return taken!;
    }, 20_000);
    const [again] = await work.receive({ max: 5, session: next.session });
    expect(again).toMatchObject({ messageId: '1', deliveryCount: 1 });
  });

  it('hands out a scheduled message when its time has come, once', async () => {
    const work = await queue('scheduled');
    const scheduledAt = new Date(Date.now() + (HOUR / 2) * 1000).toISOString();
    await work.send([{ messageId: 'later', body: 1, scheduledAt }]);
    time.set(-HOUR);
    await shows(-HOUR);
    expect(await work.receive({ max: 5 })).toEqual([]);
    time.set(HOUR);
    const [message] = await work.receive({ max: 5, waitMs: 20_000 });
    expect(message).toMatchObject({ messageId: 'later' });
    expect(await work.complete([message!])).toHaveLength(1);
    time.set(0);
    await shows(0);
    await pause(2_000);
    expect(await work.counts()).toMatchObject({ active: 0 });
  });

  it('buries what has expired, once, and keeps what has not', async () => {
    const work = await queue('expiring', { deadLetterOnExpiry: true });
    await work.send([{ messageId: 'half', body: 1, timeToLiveMs: (HOUR / 2) * 1000 }]);
    await work.send([{ messageId: 'long', body: 1, timeToLiveMs: 2 * HOUR * 1000 }]);
    time.set(-HOUR);
    await shows(-HOUR);
    expect(await work.counts()).toMatchObject({ active: 2, deadLettered: 0 });
    time.set(HOUR);
    await eventually(async () => expect(await work.counts()).toMatchObject({ active: 1, deadLettered: 1 }), 20_000);
    time.set(0);
    await shows(0);
    expect(await work.counts()).toMatchObject({ active: 1, deadLettered: 1 });
    const [left] = await work.receive({ max: 5 });
    expect(left).toMatchObject({ messageId: 'long' });
  });

  it('loses and repeats nothing under load, however often it is set', async () => {
    const seed = seedOfRun();
    console.log(`seed ${seed}`);
    const dice = diceOf(seed);
    const work = await queue('load', { duplicateDetection: true, lockDurationMs: 5_000, maxDeliveryCount: 1_000 });
    const [sent, completed, seenAgain] = [new Set<string>(), new Set<string>(), [] as string[]];
    const state = { sending: true, receiving: true };
    const senders = Array.from({ length: 4 }, async (_, s) => {
      for (let n = 0; state.sending; n++) {
        const messageId = `${s}-${n}`;
        while (!(await work.send([{ messageId, body: n }])));
        sent.add(messageId);
      }
    });
    const receivers = Array.from({ length: 2 }, async () => {
      while (state.receiving) {
        const messages = await work.receive({ max: 50, waitMs: 500 });
        seenAgain.push(...messages.map(({ messageId }) => messageId).filter((id) => completed.has(id)));
        if (messages.length === 0) continue;
        for (const { messageId } of await work.complete(messages)) completed.add(messageId);
      }
    });
    for (let i = 0; i < 12; i++) {
      await pause(200 + dice() * 500);
      time.set(Math.round((dice() - 0.5) * 2 * HOUR));
    }
    state.sending = false;
    await Promise.all(senders);
    await eventually(() => expect([...sent].filter((id) => !completed.has(id))).toEqual([]), 30_000);
    state.receiving = false;
    await Promise.all(receivers);
    console.log(`${sent.size} sent and completed`);
    expect(seenAgain).toEqual([]);
    expect(completed.size).toBe(sent.size);
    expect(await work.counts()).toMatchObject({ active: 0, deadLettered: 0 });
  });
});
