import { describe, expect, it } from 'vitest';
import { say, text, useBrokers } from '../../../test/support/broker.ts';
import { useDatabase } from '../../../test/support/database.ts';
import { eventually } from '../../../test/support/eventually.ts';
import type { Broker } from '../broker.ts';

describe('receiver', () => {
  const { database } = useDatabase();
  const { start, freshName, signals } = useBrokers(database);

  const queue = async (broker: Broker, settings: object = {}, topic: object = {}) => {
    const name = freshName('queue');
    await broker.createQueue(name, { queue: settings, settings: topic });
    return name;
  };
  /** Locks of tests that wait for their end; the setting's own minimum is for people. */
  const shortLocks = async (broker: Broker, name: string, ms: number) => {
    const { id } = broker.topic(name).subscriptions[0]!;
    await database.query(
      `update subscription set settings = settings || jsonb_build_object('lockDurationMs', $2::int) where id = $1`,
      [id, ms],
    );
    await database.query('update topic set version = version + 1 where lower(name) = lower($1)', [name]);
    await broker.refresh();
  };

  /** While nothing that consumers decide can be written. */
  const onFullDisk = async (work: () => Promise<void>) => {
    await database.query(`create or replace function fill() returns trigger language plpgsql as
      $$ begin raise exception 'full' using errcode = '53100'; end $$`);
    await database.query('create trigger fill before insert on progress for each row execute function fill()');
    await work();
    await database.query('drop trigger fill on progress');
  };

  it('locks what it hands out and is done with it once completed, also after a restart', async () => {
    const broker = await start();
    const name = await queue(broker);
    await broker.publish(name, [say('1'), say('2'), say('3')]);
    const receiver = broker.receiver(name);
    const [first] = await receiver.receive();
    expect(first).toMatchObject({ sequence: 1, deliveryCount: 0 });
    expect(first!.lockedUntil!.getTime()).toBeGreaterThan(Date.now() + 50_000);
    expect((await receiver.receive({ max: 10 })).map(text)).toEqual(['2', '3']);
    expect(await receiver.receive({ max: 10 })).toEqual([]);
    await receiver.complete(first!);
    await expect(receiver.complete(first!)).rejects.toMatchObject({ code: 'lock_lost' });
    expect(await broker.counts(name)).toMatchObject({ active: 2, locked: 2 });
    await broker.stop();
    const again = await (await start()).receiver(name).receive({ max: 10 });
    expect(again.map((message) => [text(message), message.deliveryCount])).toEqual([
      ['2', 1],
      ['3', 1],
    ]);
  });

  it('counts over a restart in peace what was in hand, and nothing that only waited', async () => {
    const broker = await start();
    const plain = await queue(broker);
    const sessions = await queue(broker, { requiresSession: true });
    await broker.publish(plain, [say('1'), say('2'), say('3')]);
    await broker.publish(
      sessions,
      ['a', 'b', 'a'].map((sessionId, n) => say(`${n}`, { sessionId })),
    );
    const [one, two] = await broker.receiver(plain).receive({ max: 2 });
    await broker.receiver(plain).release(one!);
    expect(two).toMatchObject({ sequence: 2 });
    await (await broker.acceptSession(sessions, { id: 'b' }))!.receive();
    await broker.stop();
    const restarted = await start();
    const again = await restarted.receiver(plain).receive({ max: 9 });
    expect(again.map((message) => [text(message), message.deliveryCount])).toEqual([
      ['1', 0],
      ['2', 1],
      ['3', 0],
    ]);
    const a = await (await restarted.acceptSession(sessions, { id: 'a' }))!.receive({ max: 9 });
    const b = await (await restarted.acceptSession(sessions, { id: 'b' }))!.receive({ max: 9 });
    expect([...a, ...b].map((message) => [text(message), message.deliveryCount])).toEqual([
      ['0', 0],
      ['2', 0],
      ['1', 1],
    ]);
  });

  it('waits for a message, and gives up when told to', async () => {
    const broker = await start();
    const name = await queue(broker);
    const receiver = broker.receiver(name);
    const waiting = receiver.receive({ max: 5, waitMs: 20_000 });
    await broker.publish(name, [say('late')]);
    expect((await waiting).map(text)).toEqual(['late']);
    expect(await receiver.receive({ waitMs: 5 })).toEqual([]);
    const stop = new AbortController();
    const idle = receiver.receive({ waitMs: 60_000, signal: stop.signal });
    stop.abort();
    expect(await idle).toEqual([]);
    const closing = receiver.receive({ waitMs: 60_000 });
    await receiver.close();
    expect(await closing).toEqual([]);
  });

  it('counts deliveries, keeps the order of sequences, and dead-letters after the last one', async () => {
    const broker = await start();
    const name = await queue(broker, { maxDeliveryCount: 3 });
    await broker.publish(name, [say('1'), say('2')]);
    const receiver = broker.receiver(name);
    for (const count of [0, 1, 2]) {
      const [message] = await receiver.receive();
      expect(message).toMatchObject({ sequence: 1, deliveryCount: count });
      await receiver.abandon(message!);
    }
    expect((await receiver.receive()).map(text)).toEqual(['2']);
    const [dead] = await broker.receiver(`${name}/$DeadLetterQueue`).receive();
    expect(dead).toMatchObject({
      sequence: 1,
      deliveryCount: 3,
      deadLetterReason: 'MaxDeliveryCountExceeded',
      deadLetterDescription: 'Message could not be consumed after 3 delivery attempts.',
      deadLetterSource: name,
    });
  });

  it('remembers delivery counts and changed properties over a restart', async () => {
    const broker = await start();
    const name = await queue(broker);
    await broker.publish(name, [say('1', { properties: { a: 1, B: 'x' } }), say('2')]);
    const receiver = broker.receiver(name);
    const [one, two] = await receiver.receive({ max: 2 });
    await receiver.abandon(one!, { b: 'y', c: true });
    await receiver.abandon(two!);
    await broker.stop();
    const restarted = await start();
    expect(await restarted.counts(name)).toMatchObject({ active: 2 });
    const again = await restarted.receiver(name).receive();
    again.push(...(await restarted.receiver(name).receive()));
    expect(again[0]).toMatchObject({ deliveryCount: 1, properties: { a: 1, B: 'y', c: true } });
    expect(again[1]!.deliveryCount).toBeGreaterThanOrEqual(1);
    await restarted.receiver(name).complete(again);
    expect(await restarted.counts(name)).toMatchObject({ active: 0 });
  });

  it('gives a message back, counted, when its lock runs out, unless the lock is renewed', async () => {
    const broker = await start();
    const name = await queue(broker);
    await shortLocks(broker, name, 150);
    await broker.publish(name, [say('1'), say('2')]);
    const receiver = broker.receiver(name);
    const [one, two] = await receiver.receive({ max: 2 });
    const renewing = setInterval(() => void receiver.renewLock(one!), 50);
    const [again] = await receiver.receive({ waitMs: 10_000 });
    clearInterval(renewing);
    expect(again).toMatchObject({ sequence: 2, deliveryCount: 1 });
    await expect(receiver.complete(two!)).rejects.toMatchObject({ code: 'lock_lost' });
    await expect(receiver.renewLock(two!)).rejects.toMatchObject({ code: 'lock_lost' });
    await receiver.complete(one!);
  });

  it('receives and deletes', async () => {
    const broker = await start();
    const name = await queue(broker);
    await broker.publish(name, [say('1'), say('2')]);
    const receiver = broker.receiver(name, { mode: 'receiveAndDelete' });
    const [message] = await receiver.receive();
    expect(message).toMatchObject({ sequence: 1, lockedUntil: undefined });
    expect(await broker.counts(name)).toMatchObject({ active: 1 });
  });

  it('defers a message to whoever asks for its number', async () => {
    const broker = await start();
    const name = await queue(broker);
    await broker.publish(name, [say('1'), say('2')]);
    const receiver = broker.receiver(name);
    const [one] = await receiver.receive();
    await receiver.defer(one!, { why: 'later' });
    expect((await receiver.receive({ max: 5 })).map(text)).toEqual(['2']);
    expect(await broker.counts(name)).toMatchObject({ active: 1, deferred: 1 });
    await broker.stop();
    const restarted = await start();
    const other = restarted.receiver(name);
    const [deferred] = await other.receiveDeferred([1]);
    expect(deferred).toMatchObject({ sequence: 1, deliveryCount: 1, properties: { why: 'later' } });
    await expect(other.receiveDeferred([1])).rejects.toMatchObject({ code: 'message_not_found' });
    await other.abandon(deferred!);
    const [once] = await other.receiveDeferred([1]);
    expect(once).toMatchObject({ deliveryCount: 2 });
    await other.complete(once!);
    await expect(other.receiveDeferred([1])).rejects.toMatchObject({ code: 'message_not_found' });
    expect(await restarted.counts(name)).toMatchObject({ deferred: 0 });
  });

  it('keeps dead letters until they are completed', async () => {
    const broker = await start();
    const topic = freshName();
    await broker.createTopic(topic);
    await broker.createSubscription(topic, 's');
    const sent = Array.from({ length: 1200 }, (_, i) => say(`${i}`));
    await broker.publish(topic, sent);
    const receiver = broker.receiver(`${topic}/Subscriptions/s`);
    const messages = await receiver.receive({ max: 1200 });
    const why = { reason: 'bad', description: 'it is', properties: { seen: true } };
    await receiver.deadLetter(messages.slice(0, 600), why);
    await broker.stop();
    const restarted = await start();
    const rest = await restarted.receiver(`${topic}/subscriptions/S`).receive({ max: 1200 });
    await restarted.receiver(`${topic}/subscriptions/S`).deadLetter(rest, { reason: 'worse' });
    const dead = restarted.receiver(`${topic}/Subscriptions/s/$DeadLetterQueue`);
    expect(await restarted.counts(topic, 's')).toMatchObject({ active: 0, deadLettered: 1200 });
    const all: number[] = [];
    while (all.length < 1200) {
      const page = await dead.receive({ max: 250, waitMs: 1000 });
      if (all.length === 0) {
        expect(page[0]).toMatchObject({
          deadLetterReason: 'bad',
          deadLetterDescription: 'it is',
          deadLetterSource: `${topic}/Subscriptions/s`,
          properties: { seen: true },
        });
        await expect(dead.deadLetter(page[0]!)).rejects.toMatchObject({ code: 'conflict' });
        await dead.abandon(page[1]!);
        page.splice(1, 1, ...(await dead.receive()));
        expect(page[1]!.deliveryCount).toBe(0);
      }
      await dead.complete(page);
      all.push(...page.map((message) => message.sequence));
    }
    expect(all.sort((a, b) => a - b)).toEqual(sent.map((_, i) => i + 1));
    expect(await restarted.counts(topic, 's')).toMatchObject({ deadLettered: 0 });
  });

  it('peeks in order at what waits, is locked or is deferred', async () => {
    const broker = await start();
    const name = await queue(broker);
    await broker.publish(
      name,
      ['1', '2', '3', '4', '5'].map((words) => say(words)),
    );
    const receiver = broker.receiver(name);
    const [one, two] = await receiver.receive({ max: 3 });
    await receiver.complete(one!);
    await receiver.defer(two!);
    const peeked = await receiver.peek({ max: 10 });
    expect(peeked.map(({ message, state }) => [text(message), state])).toEqual([
      ['2', 'deferred'],
      ['3', 'active'],
      ['4', 'active'],
      ['5', 'active'],
    ]);
    expect((await receiver.peek({ from: 4, max: 1 })).map(({ message }) => text(message))).toEqual(['4']);
  });

  it('drops or dead-letters what is expired, though nobody receives', async () => {
    const broker = await start();
    const drops = await queue(broker);
    const keeps = await queue(broker, { deadLetterOnExpiry: true });
    for (const name of [drops, keeps]) {
      await broker.publish(name, [say('short', { timeToLiveMs: 30 }), say('long', { timeToLiveMs: 600_000 })]);
    }
    await eventually(async () => expect(await broker.counts(drops)).toMatchObject({ active: 1, deadLettered: 0 }));
    await eventually(async () => expect(await broker.counts(keeps)).toMatchObject({ active: 1, deadLettered: 1 }));
    const [dead] = await broker.receiver(`${keeps}/$deadletterqueue`).receive();
    expect(dead).toMatchObject({ deadLetterReason: 'TTLExpiredException' });
    expect((await broker.receiver(drops).receive({ max: 2 })).map(text)).toEqual(['long']);
    expect(signals.some((signal) => signal.name === 'topics.expired')).toBe(true);
  });

  it('refuses to receive from what is disabled', async () => {
    const broker = await start();
    const name = await queue(broker);
    await broker.publish(name, [say('1')]);
    await broker.updateTopic(name, { settings: { status: 'receiveDisabled' } });
    await expect(broker.receiver(name).receive()).rejects.toMatchObject({ code: 'entity_disabled' });
    expect(() => broker.receiver('nothing')).toThrow(/no topic/);
  });

  it('hands out later what it could not delete', async () => {
    const broker = await start();
    const name = await queue(broker);
    await shortLocks(broker, name, 200);
    await broker.publish(name, [say('1')]);
    const receiver = broker.receiver(name, { mode: 'receiveAndDelete' });
    await onFullDisk(() => expect(receiver.receive()).rejects.toMatchObject({ code: 'storage_full' }));
    expect((await receiver.receive({ waitMs: 10_000 })).map(text)).toEqual(['1']);
  });

  it('hands out dead letters that could not be brought back', async () => {
    const broker = await start();
    const name = await queue(broker);
    await broker.publish(name, [say('1')]);
    await broker.receiver(name).deadLetter(await broker.receiver(name).receive());
    const dead = broker.receiver(`${name}/$DeadLetterQueue`);
    await dead.release(await dead.receive());
    await onFullDisk(() => expect(broker.redrive(name)).rejects.toMatchObject({ code: 'storage_full' }));
    const [again] = await dead.receive();
    await dead.release(again!);
    expect(await broker.redrive(name)).toBe(1);
    expect((await broker.receiver(name).receive()).map(text)).toEqual(['1']);
  });

  it('does not keep whoever will not wait behind those who do', async () => {
    const broker = await start();
    const name = await queue(broker);
    let waiting = true;
    const waits = broker
      .receiver(name)
      .receive({ waitMs: 3_000 })
      .finally(() => {
        waiting = false;
      });
    expect(await broker.receiver(name).receive()).toEqual([]);
    expect(waiting).toBe(true);
    await broker.publish(name, [say('1')]);
    expect((await waits).map(text)).toEqual(['1']);
  });

  it.each(['by itself', 'in a transaction'])(
    'writes what is decided of a held message in the order of the decisions: a completion %s waits',
    async (how) => {
      const broker = await start();
      const name = await queue(broker);
      const receiver = broker.receiver(name);
      await broker.publish(name, [say('1'), say('2')]);
      await receiver.abandon(await receiver.receive({ max: 2 }), { held: true });
      const [one, two] = await receiver.receive({ max: 2 });
      const gate = Promise.withResolvers<void>();
      const locked = Promise.withResolvers<void>();
      const { id } = broker.topic(name).subscriptions[0]!;
      const blocking = database.transaction(async (tx) => {
        await tx.query('select 1 from held where subscription = $1 and sequence = 2 for update', [id]);
        locked.resolve();
        await gate.promise;
      });
      await locked.promise;
      const abandoning = receiver.abandon([two!, one!]);
      const [again] = await receiver.receive({ waitMs: 5_000 });
      const completing =
        how === 'by itself'
          ? receiver.complete(again!)
          : broker.transact([], [{ receiver, tokens: [again!.lockToken], how: { kind: 'complete' } }]);
      const late = database.query('select pg_sleep(0.3)').then(() => 'waits');
      const first = await Promise.race([completing.then(() => 'overtakes'), late]);
      gate.resolve();
      await Promise.all([blocking, abandoning, completing]);
      expect(again).toMatchObject({ sequence: 1, deliveryCount: 2 });
      expect(first).toBe('waits');
      expect(await database.query('select sequence from held where subscription = $1', [id])).toEqual([
        { sequence: 2 },
      ]);
    },
  );

  it('takes the later of two decisions on a held message that become durable together', async () => {
    const broker = await start();
    const name = await queue(broker);
    const receiver = broker.receiver(name);
    await broker.publish(name, [say('1')]);
    await receiver.abandon(await receiver.receive(), { held: true });
    const abandoning = receiver.abandon(await receiver.receive());
    await receiver.complete(await receiver.receive({ waitMs: 5_000 }));
    await abandoning;
    const { id } = broker.topic(name).subscriptions[0]!;
    expect(await database.query('select sequence from held where subscription = $1', [id])).toEqual([]);
  });
});
