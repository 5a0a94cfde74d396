import { describe, expect, it } from 'vitest';
import { say, text, useBrokers } from '../../../test/support/broker.ts';
import { useDatabase } from '../../../test/support/database.ts';
import type { Broker } from '../broker.ts';

describe('a transaction', () => {
  const { database } = useDatabase();
  const { start, freshName } = useBrokers(database);

  const queues = async (broker: Broker, count: number, settings: object = {}) => {
    const names = Array.from({ length: count }, () => freshName('queue'));
    for (const name of names) await broker.createQueue(name, { queue: settings });
    return names as [string, string, string];
  };
  const complete = { kind: 'complete' } as const;

  it('sends to several entities and settles in others within one commit', async () => {
    const broker = await start();
    const [from, one, two] = await queues(broker, 3);
    await broker.publish(from, [say('done'), say('dead'), say('later')]);
    const receiver = broker.receiver(from);
    const [done, dead, later] = await receiver.receive({ max: 3 });
    const receipts = await broker.transact(
      [
        { topic: one, messages: [say('1'), say('2')] },
        { topic: two, messages: [say('3')] },
      ],
      [
        { receiver, tokens: [done!.lockToken], how: complete },
        { receiver, tokens: [dead!.lockToken], how: { kind: 'deadLetter', reason: 'why' } },
        { receiver, tokens: [later!.lockToken], how: { kind: 'defer' } },
      ],
    );
    expect(receipts.map(({ sequence }) => sequence)).toEqual([1, 2, 1]);
    expect((await broker.receiver(one).receive({ max: 5 })).map(text)).toEqual(['1', '2']);
    expect((await broker.receiver(two).receive({ max: 5 })).map(text)).toEqual(['3']);
    expect(await broker.counts(from)).toMatchObject({ active: 0, deferred: 1, deadLettered: 1 });
    const ids = [one, two].map((name) => broker.topic(name).id);
    const [commits] = await database.query<{ count: number }>(
      `select count(distinct x)::int as count from (
         select xmin::text as x from block where topic = any($1::int[])
         union all select xmin::text from progress where topic = $2
         union all select xmin::text from held) as all_rows`,
      [ids, broker.topic(from).id],
    );
    expect(commits!.count).toBe(1);
    await broker.stop();
    const restarted = await start();
    expect(await restarted.counts(from)).toMatchObject({ active: 0, deferred: 1, deadLettered: 1 });
  });

  it('changes nothing when one of its locks is lost', async () => {
    const broker = await start();
    const [from, to] = await queues(broker, 2);
    await broker.publish(from, [say('1'), say('2')]);
    const receiver = broker.receiver(from);
    const [one, two] = await receiver.receive({ max: 2 });
    await receiver.complete(two!);
    const steps = [one, two].map((message) => ({ receiver, tokens: [message!.lockToken], how: complete }));
    const refused = broker.transact([{ topic: to, messages: [say('x')] }], steps);
    await expect(refused).rejects.toMatchObject({ code: 'lock_lost' });
    expect(await broker.counts(to)).toMatchObject({ active: 0 });
    expect(await broker.counts(from)).toMatchObject({ active: 1, locked: 1 });
    await receiver.complete(one!);
  });

  it('changes nothing when an entity refuses, and leaves the locks as they were', async () => {
    const broker = await start();
    const [from, to, closed] = await queues(broker, 3);
    await broker.updateTopic(closed, { settings: { status: 'sendDisabled' } });
    await broker.publish(from, [say('1')]);
    const receiver = broker.receiver(from);
    const [one] = await receiver.receive();
    const settles = [{ receiver, tokens: [one!.lockToken], how: complete }];
    const sends = [to, closed].map((topic) => ({ topic, messages: [say('x')] }));
    await expect(broker.transact(sends, settles)).rejects.toMatchObject({ code: 'entity_disabled' });
    expect(await broker.counts(to)).toMatchObject({ active: 0 });
    await receiver.deadLetter(one!);
    const dead = broker.receiver(`${from}/$DeadLetterQueue`);
    const [corpse] = await dead.receive();
    const again = [{ receiver: dead, tokens: [corpse!.lockToken], how: { kind: 'deadLetter' } as const }];
    await expect(broker.transact([{ topic: to, messages: [say('x')] }], again)).rejects.toMatchObject({
      code: 'conflict',
    });
    expect(await broker.counts(to)).toMatchObject({ active: 0 });
    await dead.complete(corpse!);
  });

  it('settles what a session holds, and gives back what is abandoned', async () => {
    const broker = await start();
    const [from] = await queues(broker, 1, { requiresSession: true });
    const [to] = await queues(broker, 1);
    await broker.publish(from, [say('1', { sessionId: 's' }), say('2', { sessionId: 's' })]);
    const session = (await broker.acceptSession(from, { id: 's' }))!;
    const [one, two] = await session.receive({ max: 2 });
    await broker.transact(
      [{ topic: to, messages: [say('x')] }],
      [
        { receiver: session, tokens: [one!.lockToken], how: complete },
        { receiver: session, tokens: [two!.lockToken], how: { kind: 'abandon' } },
      ],
    );
    expect((await session.receive({ max: 5 })).map(text)).toEqual(['2']);
    await session.close();
    const [received] = await broker.receiver(to).receive();
    await expect(
      broker.transact([], [{ receiver: session, tokens: [one!.lockToken], how: complete }]),
    ).rejects.toMatchObject({ code: expect.stringMatching(/lock_lost/) });
    expect(text(received!)).toBe('x');
  });
});
