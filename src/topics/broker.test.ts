import { afterEach, describe, expect, it, vi } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
import type { Sql } from '../kit/database.ts';
import { Broker } from './broker.ts';
import type { Message } from './message.ts';
import type { TopicSignal } from './signals.ts';

const text = (message: { body: Uint8Array }) => Buffer.from(message.body).toString();
const say = (words: string, more: object = {}) => ({ body: Buffer.from(words), ...more });

describe('broker', () => {
  const { database } = useDatabase();
  const brokers: Broker[] = [];
  const signals: TopicSignal[] = [];
  const start = async (id = 'one') => {
    const broker = await Broker.start({ database, emit: (signal) => signals.push(signal), node: { id } });
    brokers.push(broker);
    return broker;
  };
  afterEach(async () => {
    for (const broker of brokers.splice(0)) await broker.stop();
    signals.length = 0;
  });
  let topics = 0;
  const freshTopic = () => `topic-${++topics}`;

  /** Consumes into a list, completing everything. */
  const collect = async (broker: Broker, topic: string, subscription: string) => {
    const got: Message[] = [];
    const consumer = await broker.consume(topic, subscription, {}, async (batch) => {
      await batch.commit(async () => {});
      got.push(...batch.messages);
    });
    return { got, consumer };
  };

  it('numbers what it appends without gaps, in the order of the calls', async () => {
    const broker = await start();
    const name = freshTopic();
    await broker.createTopic(name);
    const calls = Array.from({ length: 50 }, (_, i) => broker.publish(name, [say(`a${i}`), say(`b${i}`)]));
    const receipts = (await Promise.all(calls)).flat();
    expect(receipts.map((receipt) => receipt.sequence)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
    const log = await broker.browse(name, { limit: 1000 });
    expect(log.map((message) => message.sequence)).toEqual(receipts.map((receipt) => receipt.sequence));
    expect(log.slice(0, 3).map(text)).toEqual(['a0', 'b0', 'a1']);
  });

  it('writes small requests together, and large ones a few at a time, so that the first are confirmed early', async () => {
    const broker = await start();
    const name = freshTopic();
    await broker.createTopic(name);
    const confirmed: number[] = [];
    const publish = (body: Buffer, i: number) => broker.publish(name, [{ body }]).then(() => confirmed.push(i));
    await Promise.all(Array.from({ length: 8 }, (_, i) => publish(Buffer.alloc(10), i)));
    const flushes = () => signals.splice(0).flatMap((s) => (s.name === 'topics.flushed' ? [s.requests] : []));
    expect(flushes()).toEqual([8]);
    await Promise.all(Array.from({ length: 8 }, (_, i) => publish(Buffer.alloc(100_000), i)));
    expect(flushes()).toEqual([2, 2, 2, 2]);
    expect(confirmed).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('keeps every field of a message', async () => {
    const broker = await start();
    const name = freshTopic();
    await broker.createTopic(name);
    const sent = {
      messageId: 'm-1',
      sessionId: 's',
      correlationId: 'c',
      replyTo: 'r',
      replyToSessionId: 'rs',
      to: 't',
      subject: 'ünïcode',
      contentType: 'text/plain',
      timeToLiveMs: 60_000,
      properties: {
        a: 1,
        b: -1.5,
        c: 12n,
        d: true,
        e: null,
        f: new Date(5),
        g: Buffer.from([1, 2]),
        h: 'x'.repeat(100),
      },
      body: Buffer.from([0, 255, 7]),
      bodyFormat: 'amqp',
    };
    await broker.publish(name, [sent]);
    const [message] = await broker.browse(name);
    expect(message).toMatchObject(sent);
    expect(message!.expiresAt!.getTime()).toBe(message!.enqueuedAt.getTime() + 60_000);
  });

  it('gives every subscription every message once, and counts what is left', async () => {
    const broker = await start();
    const name = freshTopic();
    await broker.createTopic(name);
    await broker.createSubscription(name, 'a');
    await broker.createSubscription(name, 'b');
    await broker.publish(name, [say('1'), say('2'), say('3')]);
    expect(await broker.counts(name, 'a')).toMatchObject({ active: 3 });
    const { got } = await collect(broker, name, 'a');
    await eventually(async () => expect(await broker.counts(name, 'a')).toMatchObject({ active: 0 }));
    expect(got.map(text)).toEqual(['1', '2', '3']);
    expect(await broker.counts(name, 'b')).toMatchObject({ active: 3 });
  });

  it('gives a subscription nothing from before its creation, nor after its deletion to another of its place', async () => {
    const broker = await start();
    const name = freshTopic();
    await broker.createTopic(name);
    await broker.createSubscription(name, 'old');
    await broker.publish(name, [say('before')]);
    await broker.deleteSubscription(name, 'old');
    await broker.createSubscription(name, 'new');
    await broker.publish(name, [say('after')]);
    const { got } = await collect(broker, name, 'new');
    await eventually(() => expect(got.map(text)).toEqual(['after']));
  });

  it('drops a duplicate within the window and answers with the number of the first', async () => {
    const broker = await start();
    const name = freshTopic();
    await broker.createTopic(name, { settings: { duplicateDetection: true } });
    const [first] = await broker.publish(name, [say('x', { messageId: 'same' })]);
    const again = await broker.publish(name, [say('y', { messageId: 'other' }), say('x', { messageId: 'same' })]);
    expect(again).toMatchObject([
      { sequence: 2, duplicate: false },
      { sequence: first!.sequence, duplicate: true },
    ]);
    const twice = await broker.publish(name, [say('z', { messageId: 'z' }), say('z', { messageId: 'z' })]);
    expect(twice).toMatchObject([
      { sequence: 3, duplicate: false },
      { sequence: 3, duplicate: true },
    ]);
    await broker.stop();
    const restarted = await start();
    expect(
      await restarted.publish(name, [say('x', { messageId: 'same' }), say('n', { messageId: 'n' })]),
    ).toMatchObject([
      { sequence: 1, duplicate: true },
      { sequence: 4, duplicate: false },
    ]);
  });

  it('completes a batch and the work of its consumer in one transaction', async () => {
    const broker = await start();
    const name = freshTopic();
    await broker.createTopic(name);
    await broker.createSubscription(name, 's');
    await database.query('create table if not exists effect (topic text, sequence bigint)');
    await broker.publish(name, [say('1'), say('2'), say('3')]);
    let failures = 0;
    await broker.consume(name, 's', { retryMs: 1 }, (batch) =>
      batch.commit(async (tx) => {
        for (const { sequence } of batch.messages)
          await tx.query('insert into effect values ($1, $2)', [name, sequence]);
        if (failures++ < 2) throw new Error('not yet');
      }),
    );
    await eventually(async () => expect(await broker.counts(name, 's')).toMatchObject({ active: 0 }));
    const rows = await database.query('select sequence from effect where topic = $1 order by sequence', [name]);
    expect(rows).toEqual([{ sequence: 1 }, { sequence: 2 }, { sequence: 3 }]);
    expect(signals.filter((signal) => signal.name === 'topics.consumer_failed')).toHaveLength(2);
  });

  it('isolates a poisonous message and dead-letters it after the allowed deliveries', async () => {
    const broker = await start();
    const name = freshTopic();
    await broker.createTopic(name);
    await broker.createSubscription(name, 's', { maxDeliveryCount: 3 });
    await broker.publish(
      name,
      ['a', 'b', 'poison', 'c', 'd'].map((words) => say(words)),
    );
    const got: string[] = [];
    await broker.consume(name, 's', { retryMs: 1 }, async (batch) => {
      if (batch.messages.some((message) => text(message) === 'poison')) throw new Error('cannot');
      await batch.commit(async () => {});
      got.push(...batch.messages.map(text));
    });
    await eventually(async () => expect(await broker.counts(name, 's')).toMatchObject({ active: 0, deadLettered: 1 }));
    expect(got.sort()).toEqual(['a', 'b', 'c', 'd']);
    const [dead] = await database.query<{ reason: string; delivery_count: number }>(
      'select reason, delivery_count from held h join subscription s on s.id = h.subscription join topic t on t.id = s.topic where t.name = $1',
      [name],
    );
    expect(dead).toEqual({ reason: 'MaxDeliveryCountExceeded', delivery_count: 3 });
  });

  it('consumes a subscription with sessions, each in its order, beside receivers of single sessions', async () => {
    const broker = await start();
    const name = 'sessions';
    await broker.createQueue(name, { queue: { requiresSession: true, maxDeliveryCount: 3 } });
    await broker.publish(
      name,
      Array.from({ length: 40 }, (_, n) => say(`${n}`, { sessionId: `s${n % 4}`, messageId: `${n}` })),
    );
    const held = (await broker.acceptSession(name, { id: 's3' }))!;
    const done = new Map<string, number[]>();
    let failed = false;
    const consumer = await broker.consume(name, '$queue', { maxMessages: 7, retryMs: 1 }, async (batch) => {
      if (!failed && batch.messages.some((message) => message.messageId === '9')) {
        failed = true;
        throw new Error('once');
      }
      await batch.commit(async () => {});
      for (const { sessionId, messageId } of batch.messages) {
        done.set(sessionId!, [...(done.get(sessionId!) ?? []), Number(messageId)]);
      }
    });
    const numbers = (session: number) => Array.from({ length: 10 }, (_, i) => i * 4 + session);
    await eventually(() => expect([...done.values()].flat()).toHaveLength(30));
    for (const session of [0, 1, 2]) expect(done.get(`s${session}`)).toEqual(numbers(session));
    expect(done.has('s3')).toBe(false);
    await held.close();
    await eventually(() => expect(done.get('s3')).toEqual(numbers(3)));
    await consumer.stop();
    expect(await broker.counts(name)).toMatchObject({ active: 0, locked: 0 });
  });

  it('takes verdicts: one message dies, one comes again, the rest is done', async () => {
    const broker = await start();
    const name = freshTopic();
    await broker.createTopic(name);
    await broker.createSubscription(name, 's');
    await broker.publish(name, [say('1'), say('2'), say('3')]);
    const counts: number[] = [];
    await broker.consume(name, 's', {}, (batch) =>
      batch.commit(async () =>
        batch.messages.flatMap(({ sequence, deliveryCount }) => {
          if (sequence === 1) return { sequence, verdict: 'deadLetter' as const, reason: 'bad', description: 'why' };
          if (sequence !== 2) return [];
          counts.push(deliveryCount);
          return deliveryCount < 2 ? { sequence, verdict: 'abandon' as const } : [];
        }),
      ),
    );
    await eventually(async () => expect(await broker.counts(name, 's')).toMatchObject({ active: 0, deadLettered: 1 }));
    expect(counts).toEqual([0, 1, 2]);
  });

  it('goes on after a restart where its consumers were', async () => {
    const broker = await start();
    const name = freshTopic();
    await broker.createTopic(name);
    await broker.createSubscription(name, 's');
    await broker.createSubscription(name, 'idle');
    await broker.publish(
      name,
      Array.from({ length: 10 }, (_, i) => say(`${i}`)),
    );
    let seen = 0;
    await broker.consume(name, 's', { maxMessages: 4 }, async (batch) => {
      if (seen > 0) return new Promise((resolve) => batch.signal.addEventListener('abort', () => resolve()));
      seen += batch.messages.length;
      await batch.commit(async () => {});
    });
    await eventually(async () => expect(await broker.counts(name, 's')).toMatchObject({ active: 6 }));
    await broker.stop();
    const restarted = await start();
    expect(await restarted.counts(name, 's')).toMatchObject({ active: 6 });
    expect(await restarted.counts(name, 'idle')).toMatchObject({ active: 10 });
    const { got } = await collect(restarted, name, 's');
    await eventually(() => expect(got.map(text)).toEqual(['4', '5', '6', '7', '8', '9']));
    const [receipt] = await restarted.publish(name, [say('next')]);
    expect(receipt!.sequence).toBe(11);
    await eventually(() => expect(got.map(text).at(-1)).toBe('next'));
  });

  it('survives the loss of every connection while publishing and consuming', async () => {
    const broker = await start();
    const name = freshTopic();
    await broker.createTopic(name, { settings: { duplicateDetection: true } });
    await broker.createSubscription(name, 's');
    const { got } = await collect(broker, name, 's');
    const receipts: number[] = [];
    for (let i = 0; i < 60; i++) {
      if (i % 20 === 10) {
        await database
          .query(
            `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
          )
          .catch(() => {});
      }
      const [receipt] = await broker.publish(name, [say(`${i}`, { messageId: `id-${i}` })]);
      receipts.push(receipt!.sequence);
    }
    expect(receipts).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
    await eventually(() => expect(new Set(got.map(text)).size).toBe(60));
    await eventually(async () => expect(await broker.counts(name, 's')).toMatchObject({ active: 0 }));
  });

  /** Does the work while the connection breaks once at each of these statements, in this order. */
  const breaking = async (at: readonly string[], work: () => Promise<unknown>) => {
    const left = [...at];
    const query = database.query.bind(database) as Sql['query'];
    const broken = vi.spyOn(database, 'query').mockImplementation((statement, values) => {
      if (typeof statement === 'string' || !statement.name.startsWith(`${left[0]}:`)) return query(statement, values);
      left.shift();
      return Promise.reject(new Error('Connection terminated unexpectedly'));
    });
    await work().finally(() => broken.mockRestore());
    expect(left).toEqual([]);
  };

  it('opens its partitions although the connection breaks while it does', async () => {
    const broker = await start();
    const name = freshTopic();
    const at = ['topics.append.heads', 'topics.held.count', 'topics.read.tallies'];
    await breaking(at, () => broker.createQueue(name, { partitions: 2 }));
    await broker.publish(name, [say('1', { partitionKey: 'a' }), say('2', { partitionKey: 'b' })]);
    const received = await broker.receiver(name).receive({ max: 2, waitMs: 5_000 });
    expect(received).not.toEqual([]);
    expect(await broker.counts(name)).toMatchObject({ active: 2 });
  });

  it('opens a subscription although the connection breaks while it does', async () => {
    const broker = await start();
    const name = freshTopic();
    await broker.createTopic(name);
    await broker.publish(name, [say('1'), say('2')]);
    const at = ['topics.held.count', 'topics.read.tallies', 'topics.held.count'];
    await breaking(at, () => broker.createSubscription(name, 's', {}, undefined, 'oldest'));
    expect(await broker.counts(name, 's')).toMatchObject({ active: 2 });
    const { got } = await collect(broker, name, 's');
    await eventually(() => expect(got.map(text)).toEqual(['1', '2']));
    expect(await broker.counts(name, 's')).toMatchObject({ active: 0 });
  });

  it('refuses what it does not have or cannot take', async () => {
    const broker = await start();
    await expect(broker.publish('nowhere', [say('x')])).rejects.toMatchObject({ code: 'topic_not_found' });
    await expect(broker.createTopic('bad name!')).rejects.toMatchObject({ code: 'invalid_name' });
    const name = freshTopic();
    const strange = { settings: { toString: 1 } as never };
    await expect(broker.createTopic(name, strange)).rejects.toThrow('There is no setting toString.');
    await broker.createTopic(name, { settings: { maxMessageBytes: 1024 } });
    await expect(broker.createTopic(name.toUpperCase())).rejects.toMatchObject({ code: 'already_exists' });
    await expect(broker.publish(name, [say('x'.repeat(2000))])).rejects.toMatchObject({ code: 'too_large' });
    await expect(broker.consume(name, 'nobody', {}, async () => {})).rejects.toMatchObject({
      code: 'subscription_not_found',
    });
    await broker.updateTopic(name, { settings: { status: 'sendDisabled' } });
    await expect(broker.publish(name, [say('x')])).rejects.toMatchObject({ code: 'entity_disabled' });
    await broker.deleteTopic(name);
    expect(() => broker.topic(name)).toThrow(/no topic/);
  });

  it('makes declared entities once, whoever asks', async () => {
    const broker = await start();
    const name = freshTopic();
    const make = () => broker.ensureTopic(name, { settings: { duplicateDetection: true } });
    const [a, b] = await Promise.all([make(), make()]);
    expect(a.id).toBe(b.id);
    await Promise.all([broker.ensureSubscription(name, 'h'), broker.ensureSubscription(name, 'h')]);
    await broker.ensureSubscription(name, 'h', { maxDeliveryCount: 5 });
    expect(broker.subscription(name, 'h').settings.maxDeliveryCount).toBe(5);
    expect(broker.listTopics({ limit: 1000 }).items.map((entry) => entry.name)).toContain(name);
  });

  it('keeps the order of a key in a topic of several partitions', async () => {
    const broker = await start();
    const name = freshTopic();
    await broker.createTopic(name, { partitions: 4 });
    await broker.createSubscription(name, 's');
    const sent = Array.from({ length: 200 }, (_, i) => say(`${i % 10}:${i}`, { partitionKey: `${i % 10}` }));
    for (let i = 0; i < 200; i += 20) await broker.publish(name, sent.slice(i, i + 20));
    const { got } = await collect(broker, name, 's');
    await eventually(() => expect(got).toHaveLength(200));
    expect(new Set(got.map((message) => message.partition)).size).toBeGreaterThan(1);
    for (const [key, messages] of Map.groupBy(got, (message) => message.partitionKey)) {
      const numbers = messages.map((message) => Number(text(message).split(':')[1]));
      expect(numbers, `key ${key}`).toEqual([...numbers].sort((a, b) => a - b));
      expect(new Set(messages.map((message) => message.partition)).size).toBe(1);
    }
  });
});
