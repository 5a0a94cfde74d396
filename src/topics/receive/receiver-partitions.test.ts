import { describe, expect, it } from 'vitest';
import { say, useBrokers } from '../../../test/support/broker.ts';
import { useDatabase } from '../../../test/support/database.ts';
import { PARTITION_SPAN } from '../message.ts';
import { Receiver } from './receiver.ts';
import type { Seat } from './seat.ts';

describe('receiver of several partitions', () => {
  const { database } = useDatabase();
  const { start, freshName } = useBrokers(database);

  const keyed = (count: number) => Array.from({ length: count }, (_, i) => say(`${i}`, { partitionKey: `${i}` }));

  it('receives from every partition', async () => {
    const broker = await start();
    const name = freshName();
    await broker.createQueue(name, { partitions: 3 });
    const receiver = broker.receiver(name);
    const waiting = receiver.receive({ max: 100, waitMs: 10_000 });
    await broker.publish(name, keyed(60));
    const got = await waiting;
    while (got.length < 60) got.push(...(await receiver.receive({ max: 100, waitMs: 1000 })));
    expect(new Set(got.map((message) => message.partition)).size).toBe(3);
    await receiver.complete(got);
    expect(await broker.counts(name)).toMatchObject({ active: 0 });
  });

  it.each([
    ['peekLock', { active: 30, locked: 1 }],
    ['receiveAndDelete', { active: 29, locked: 0 }],
  ] as const)('hands out no more than is asked for, though all partitions have something (%s)', async (mode, left) => {
    const broker = await start();
    const name = freshName();
    await broker.createQueue(name, { partitions: 3 });
    const waiting = broker.receiver(name, { mode }).receive({ max: 1, waitMs: 10_000 });
    await broker.publish(name, keyed(30));
    expect(await waiting).toHaveLength(1);
    expect(await broker.counts(name)).toMatchObject(left);
  });

  it('hands out what it deleted though another partition fails, and what it locked though giving the rest back fails', async () => {
    const broker = await start();
    const name = freshName();
    await broker.createQueue(name, {});
    const entity = {
      topic: broker.topic(name),
      subscription: broker.subscription(name, '$queue'),
      kind: 'live' as const,
    };
    const seat = (part: number, settles: boolean) => ({
      part,
      epoch: 1,
      receive: async ({ waitMs }: { waitMs: number }) =>
        waitMs > 0 ? [{ message: { sequence: part * PARTITION_SPAN, partition: part }, attempt: 1, until: 0 }] : [],
      settle: async (holds: readonly unknown[]) => {
        if (!settles) throw new Error('gone');
        return holds.map(() => true);
      },
    });
    const receive = (mode: 'peekLock' | 'receiveAndDelete', max: number, ...settles: boolean[]) => {
      const seats = settles.map((each, part) => seat(part, each)) as unknown as Seat[];
      const deps = {
        sql: database,
        entity: () => entity,
        seats: async () => seats,
        ending: new AbortController().signal,
      };
      return new Receiver(name, deps, { mode }).receive({ max, waitMs: 10_000 });
    };
    const [deleted, ...more] = await receive('receiveAndDelete', 2, true, false);
    expect([deleted?.partition, more]).toEqual([0, []]);
    await expect(receive('receiveAndDelete', 2, false, false)).rejects.toThrow('gone');
    expect(await receive('peekLock', 1, false, false)).toHaveLength(1);
  });

  it('locks no deferred message where another that is asked for is missing', async () => {
    const broker = await start();
    const name = freshName();
    await broker.createQueue(name, { partitions: 3 });
    await broker.publish(name, keyed(30));
    const receiver = broker.receiver(name);
    const all = await receiver.receive({ max: 30 });
    const one = all[0]!;
    const other = all.find(({ partition }) => partition !== one.partition)!;
    await receiver.defer(one);
    const asked = receiver.receiveDeferred([one.sequence, other.sequence]);
    await expect(asked).rejects.toMatchObject({ code: 'message_not_found' });
    expect(await receiver.receiveDeferred([one.sequence])).toMatchObject([{ deliveryCount: 1 }]);
  });
});
