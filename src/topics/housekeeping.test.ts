// What is done now and then: nothing that is needed goes, and what is not needed goes as whole tables.
import { describe, expect, it } from 'vitest';
import { say, text, useBrokers } from '../../test/support/broker.ts';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
import type { Broker } from './broker.ts';
import { truncateIds } from './housekeeping.ts';

describe('housekeeping', () => {
  const { database } = useDatabase();
  const { start, freshName } = useBrokers(database);
  const queue = async (broker: Broker, settings: object = {}) => {
    const name = freshName('queue');
    await broker.createQueue(name, { settings });
    return name;
  };

  it('closes and drops generations of the log without a gap or a loss', async () => {
    const broker = await start('one', { housekeeping: { everyMs: 3_600_000, generationBytes: 1 } });
    const name = await queue(broker, { retentionMs: 0 });
    const others = broker.listTopics({ limit: 1000 }).items.filter((entry) => entry.name !== name);
    for (const entry of others) await broker.deleteTopic(entry.name);
    const receiver = broker.receiver(name, { mode: 'receiveAndDelete' });
    const got: number[] = [];
    for (let round = 0; round < 4; round++) {
      await broker.publish(name, [say('a'), say('b'), say('c')]);
      await broker.housekeeper.round();
      // One message always stays behind, so that the generation that holds it is needed.
      got.push(...(await receiver.receive({ max: round === 0 ? 2 : 3 })).map((message) => message.sequence));
    }
    const generations = async () => (await database.query('select gen from generation')).length;
    expect(await generations()).toBeGreaterThanOrEqual(2);
    while (got.length < 12) got.push(...(await receiver.receive({ max: 12, waitMs: 1000 })).map((m) => m.sequence));
    await broker.housekeeper.round();
    await broker.housekeeper.round();
    expect(await generations()).toBe(1);
    expect(await broker.browse(name)).toEqual([]);
    const [receipt] = await broker.publish(name, [say('next')]);
    expect(receipt!.sequence).toBe(13);
    expect(got).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
    await broker.stop();
    expect((await (await start()).receiver(name).receive()).map(text)).toEqual(['next']);
  });

  it('lets a generation go that only stragglers keep, and loses none of them', async () => {
    const broker = await start('one', { housekeeping: { everyMs: 3_600_000, generationBytes: 1 } });
    for (const entry of broker.listTopics({ limit: 1000 }).items) await broker.deleteTopic(entry.name);
    const topic = freshName();
    await broker.createTopic(topic, { settings: { retentionMs: 0 } });
    for (const name of ['slow', 'sessions', 'quick']) {
      await broker.createSubscription(topic, name, { requiresSession: name === 'sessions', maxDeliveryCount: 9 });
    }
    const round = async (from: number, count: number) => {
      await broker.publish(
        topic,
        Array.from({ length: count }, (_, i) => say(`${from + i}`, { sessionId: `s${(from + i) % 3}` })),
      );
      const quick = broker.receiver(`${topic}/Subscriptions/quick`, { mode: 'receiveAndDelete' });
      for (let left = count; left > 0; ) left -= (await quick.receive({ max: left, waitMs: 1_000 })).length;
      await broker.housekeeper.round();
    };
    await round(1, 9);
    const slow = broker.receiver(`${topic}/Subscriptions/slow`);
    const [one, two, three] = await slow.receive({ max: 3 });
    await slow.abandon(two!);
    await slow.complete(three!);
    const held = (await broker.acceptSession(`${topic}/Subscriptions/sessions`, { id: 's1' }))!;
    const firsts = await held.receive({ max: 1 });
    await round(10, 3);
    await slow.release(one!);
    await held.complete(firsts);
    await held.close();
    for (let n = 0; n < 4; n++) await broker.housekeeper.round();
    const [{ gen }] = (await database.query<{ gen: number }>('select min(gen) as gen from generation')) as [
      { gen: number },
    ];
    expect(gen, 'the generation of the first nine').toBeGreaterThan(1);
    expect((await broker.browse(topic))[0]?.sequence ?? 10).toBeGreaterThan(9);
    expect(await broker.counts(topic, 'slow')).toMatchObject({ active: 11, locked: 0 });
    expect(await broker.counts(topic, 'sessions')).toMatchObject({ active: 11 });
    await broker.stop();
    const restarted = await start();
    const got = await restarted.receiver(`${topic}/Subscriptions/slow`).receive({ max: 50, waitMs: 2_000 });
    while (got.length < 11)
      got.push(...(await restarted.receiver(`${topic}/Subscriptions/slow`).receive({ max: 50, waitMs: 5_000 })));
    expect(got.map((message) => [Number(text(message)), message.deliveryCount])).toEqual(
      [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12].map((n) => [n, n === 2 ? 1 : 0]),
    );
    for (const [id, numbers] of [
      ['s0', [3, 6, 9, 12]],
      ['s1', [4, 7, 10]],
      ['s2', [2, 5, 8, 11]],
    ] as const) {
      const session = (await restarted.acceptSession(`${topic}/Subscriptions/sessions`, { id }))!;
      const its: string[] = [];
      while (its.length < numbers.length) its.push(...(await session.receive({ max: 9, waitMs: 5_000 })).map(text));
      expect(its.map(Number), id).toEqual(numbers);
    }
  });

  it('changes the slot of the progress table and loses nothing', async () => {
    const broker = await start('one', { housekeeping: { everyMs: 3_600_000, progressBytes: 1 } });
    const name = await queue(broker);
    const idle = await queue(broker);
    await broker.publish(idle, [say('1'), say('2')]);
    await broker.publish(
      name,
      Array.from({ length: 30 }, (_, i) => say(`${i + 1}`)),
    );
    const receiver = broker.receiver(name);
    const messages = await receiver.receive({ max: 30 });
    await receiver.complete(messages.filter((message) => message.sequence % 3 !== 0));
    await broker.receiver(idle, { mode: 'receiveAndDelete' }).receive();
    const slot = async () => (await database.query<{ slot: number }>('select slot from progress_slot'))[0]!.slot;
    const before = await slot();
    await broker.housekeeper.round();
    expect(await slot()).toBe(1 - before);
    const inNew = async () => (await database.query(`select 1 from progress_${1 - before} where kind = 1`)).length;
    await eventually(async () => expect(await inNew()).toBeGreaterThan(0));
    await receiver.complete(messages[2]!);
    await database.query("update progress_slot set switched_at = now() - interval '1 minute'");
    await broker.housekeeper.round();
    expect(await database.query(`select 1 from progress_${before}`)).toEqual([]);
    await broker.stop();
    const restarted = await start();
    expect(await restarted.counts(name)).toMatchObject({ active: 9 });
    expect(await restarted.counts(idle)).toMatchObject({ active: 1 });
    const rest = await restarted.receiver(name).receive({ max: 30 });
    expect(rest.map((message) => message.sequence)).toEqual([6, 9, 12, 15, 18, 21, 24, 27, 30]);
  });

  it('forgets old ids by truncating, never those that still count', async () => {
    const broker = await start();
    const name = await queue(broker, { duplicateDetection: true });
    await broker.publish(name, [say('x', { messageId: 'same' })]);
    const minutes = 60_000;
    const slice = 10 * minutes;
    const sliceStart = Math.floor(Date.now() / slice) * slice;
    await database.transaction((tx) => truncateIds(tx, sliceStart + minutes));
    await database.transaction((tx) => truncateIds(tx, sliceStart + slice + minutes));
    const ids = async () =>
      (await database.query('select 1 from dedup d join topic t on t.id = d.topic where t.name = $1', [name])).length;
    expect(await ids()).toBe(1);
    await database.transaction((tx) => truncateIds(tx, sliceStart + 2 * slice + minutes));
    expect(await ids()).toBe(0);
  });

  it('deletes entities that nobody uses', async () => {
    const broker = await start('one', { housekeeping: { everyMs: 3_600_000 } });
    const idle = await queue(broker, { autoDeleteOnIdleMs: 300_000 });
    const used = await queue(broker, { autoDeleteOnIdleMs: 300_000 });
    await database.query("update topic set used_at = now() - interval '10 minutes' where name = any($1)", [
      [idle, used],
    ]);
    await broker.publish(used, [say('x')]);
    await broker.housekeeper.round();
    expect(() => broker.topic(idle)).toThrow(/no topic/);
    expect(broker.topic(used).name).toBe(used);
  });
});
