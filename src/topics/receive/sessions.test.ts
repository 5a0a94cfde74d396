import { describe, expect, it } from 'vitest';
import { say, text, useBrokers } from '../../../test/support/broker.ts';
import { useDatabase } from '../../../test/support/database.ts';
import type { Broker } from '../broker.ts';
import type { Seat, SessionGrant } from './seat.ts';
import { acceptSession } from './seats.ts';

describe('sessions', () => {
  const { database } = useDatabase();
  const { start, freshName } = useBrokers(database);
  const sessionQueue = async (broker: Broker) => {
    const name = freshName('queue');
    await broker.createQueue(name, { queue: { requiresSession: true } });
    return name;
  };
  const letters = (session: string, words: string) => [...words].map((word) => say(word, { sessionId: session }));

  it('hands out one session to one receiver, in order', async () => {
    const broker = await start();
    const name = await sessionQueue(broker);
    await broker.publish(name, [...letters('a', '12'), ...letters('b', 'xy'), ...letters('a', '3')]);
    await expect(broker.publish(name, [say('no session')])).rejects.toMatchObject({ code: 'bad_request' });
    const a = (await broker.acceptSession(name))!;
    const b = (await broker.acceptSession(name))!;
    expect([a.sessionId, b.sessionId]).toEqual(['a', 'b']);
    expect(await broker.acceptSession(name, { waitMs: 5 })).toBeUndefined();
    await expect(broker.acceptSession(name, { id: 'a' })).rejects.toMatchObject({ code: 'session_locked' });
    expect((await a.receive({ max: 2 })).map(text)).toEqual(['1', '2']);
    const rest = await b.receive({ max: 10 });
    expect(rest.map(text)).toEqual(['x', 'y']);
    await b.complete(rest);
    await a.close();
    const again = (await broker.acceptSession(name, { id: 'a' }))!;
    const all = await again.receive({ max: 10 });
    expect(all.map((message) => [text(message), message.deliveryCount])).toEqual([
      ['1', 0],
      ['2', 0],
      ['3', 0],
    ]);
    await again.complete(all);
    expect(await broker.counts(name)).toMatchObject({ active: 0 });
    expect(await broker.sessions(name)).toEqual([]);
  });

  it('keeps the order when a message is abandoned, and wakes who waits for a session', async () => {
    const broker = await start();
    const name = await sessionQueue(broker);
    const waiting = broker.acceptSession(name, { waitMs: 10_000 });
    await broker.publish(name, letters('s', '123'));
    const session = (await waiting)!;
    const [one] = await session.receive();
    await session.abandon(one!);
    expect((await session.receive({ max: 3 })).map((message) => [text(message), message.deliveryCount])).toEqual([
      ['1', 1],
      ['2', 0],
      ['3', 0],
    ]);
  });

  it('keeps state with a session, for its holder', async () => {
    const broker = await start();
    const name = await sessionQueue(broker);
    const session = (await broker.acceptSession(name, { id: 'fresh' }))!;
    expect(await session.getSessionState()).toBeUndefined();
    await session.setSessionState(Buffer.from('here'));
    await session.close();
    await expect(session.setSessionState(Buffer.from('x'))).rejects.toMatchObject({ code: 'session_lock_lost' });
    const again = (await broker.acceptSession(name, { id: 'fresh' }))!;
    expect((await again.getSessionState())!.toString()).toBe('here');
    expect((await again.renewSessionLock()).getTime()).toBeGreaterThan(Date.now() + 50_000);
    await again.setSessionState(undefined);
    expect(await again.getSessionState()).toBeUndefined();
    expect(await broker.sessions(name, { updatedAfter: new Date(0) })).toEqual([]);
  });

  it('frees a session whose lock ran out, counting its deliveries', async () => {
    const broker = await start();
    const name = await sessionQueue(broker);
    await database.query(`update subscription set settings = settings || '{"lockDurationMs": 100}' where topic = $1`, [
      broker.topic(name).id,
    ]);
    await database.query('update topic set version = version + 1 where id = $1', [broker.topic(name).id]);
    await broker.refresh();
    await broker.publish(name, letters('s', '12'));
    const first = (await broker.acceptSession(name))!;
    const [one] = await first.receive();
    const second = (await broker.acceptSession(name, { waitMs: 10_000 }))!;
    await expect(first.complete(one!)).rejects.toMatchObject({ code: 'session_lock_lost' });
    expect(await second.receive({ max: 2 })).toMatchObject([{ sequence: 1, deliveryCount: 1 }, { sequence: 2 }]);
  });

  it('dead-letters at a subscription what has no session', async () => {
    const broker = await start();
    const topic = freshName();
    await broker.createTopic(topic);
    await broker.createSubscription(topic, 's', { requiresSession: true });
    await broker.publish(topic, [say('none'), say('one', { sessionId: 'q' })]);
    const session = await broker.acceptSession(`${topic}/Subscriptions/s`, { waitMs: 1000 });
    expect((await session!.receive()).map(text)).toEqual(['one']);
    const [dead] = await broker.receiver(`${topic}/Subscriptions/s/$DeadLetterQueue`).receive({ waitMs: 1000 });
    expect(dead).toMatchObject({ deadLetterReason: 'Session ID is null' });
  });

  it('brings a dead letter back into its session', async () => {
    const broker = await start();
    const name = await sessionQueue(broker);
    await broker.publish(name, letters('s', '12'));
    const session = (await broker.acceptSession(name))!;
    await session.deadLetter(await session.receive({ max: 2 }));
    await session.close();
    expect(await broker.redrive(name, {})).toBe(2);
    const again = (await broker.acceptSession(name, { waitMs: 5_000 }))!;
    const both = await again.receive({ max: 5, waitMs: 5_000 });
    expect(both.map(text)).toEqual(['1', '2']);
    await again.abandon(both, { changed: true });
    await again.close();
    await broker.stop();
    // Whoever waits already gets what a new owner reads back.
    const later = await start();
    const read = (await later.acceptSession(name, { waitMs: 20_000 }))!;
    expect((await read.receive({ max: 5, waitMs: 5_000 })).map(text)).toEqual(['1', '2']);
  });

  it('keeps dead letters in order that come while others wait to be read', async () => {
    const broker = await start();
    const name = freshName('queue');
    await broker.createQueue(name);
    const bury = async (words: string) => {
      await broker.publish(name, letters('s', words));
      await broker.receiver(name).deadLetter(await broker.receiver(name).receive({ max: 10 }));
    };
    await bury('12');
    await broker.stop();
    const later = await start();
    const dead = later.receiver(`${name}/$DeadLetterQueue`);
    expect((await dead.receive({ waitMs: 5_000 })).map(text)).toEqual(['1']);
    await later.publish(name, letters('s', '3'));
    await later.receiver(name).deadLetter(await later.receiver(name).receive({ waitMs: 5_000 }));
    expect((await dead.receive({ waitMs: 5_000 })).map(text)).toEqual(['2']);
  });

  it('leaves no session locked for nobody where one of several owners goes away while a receiver waits', async () => {
    const broker = await start();
    const name = await sessionQueue(broker);
    const gone = Promise.withResolvers<never>();
    const grant = Promise.withResolvers<SessionGrant>();
    const released: SessionGrant[] = [];
    const seat = (waits: Promise<SessionGrant>) => ({
      // As the owner's: who is told to stop waiting may have been given one at that very moment.
      acceptSession: (_id: unknown, waitMs: number) => (waitMs > 0 ? waits : Promise.resolve(undefined)),
      releaseSession: async (given: SessionGrant) => void released.push(given),
    });
    const seats = [seat(gone.promise), seat(grant.promise)] as unknown as Seat[];
    const accepting = acceptSession(broker.topic(name), seats, { waitMs: 60_000 });
    gone.reject(new Error('gone'));
    await new Promise((resolve) => setImmediate(resolve));
    const given = { id: 'a', holder: 1, until: 0 };
    grant.resolve(given);
    expect([(await accepting)?.grant, ...released]).toEqual([given]);
  });
});
