import { describe, expect, it } from 'vitest';
import { say, text, useBrokers } from '../../../test/support/broker.ts';
import { useDatabase } from '../../../test/support/database.ts';
import { eventually } from '../../../test/support/eventually.ts';
import type { Broker } from '../broker.ts';
import { PARTITION_SPAN } from '../message.ts';
import type { LogPosition } from './log-reader.ts';

describe('a reader of the log', () => {
  const { database } = useDatabase();
  const { start, freshName } = useBrokers(database);
  const never = new AbortController().signal;

  async function topic(broker: Broker, partitions = 1): Promise<string> {
    const name = freshName();
    await broker.createTopic(name, { partitions });
    return name;
  }

  /** What is there from a position on, without waiting. */
  async function all(broker: Broker, name: string, from: LogPosition, part = 0): Promise<string[]> {
    const reader = await broker.logReader(name, part, from);
    const texts: string[] = [];
    for (;;) {
      const messages = await reader.read(3, 0, never);
      if (messages.length === 0) break;
      texts.push(...messages.map(text));
    }
    reader.close();
    return texts;
  }

  it('begins with a number, a time, the oldest, or what is to come', async () => {
    const broker = await start();
    const name = await topic(broker);
    for (const words of ['a', 'b', 'c', 'd', 'e']) await broker.publish(name, [say(words)]);
    const log = await broker.browse(name);
    expect(await all(broker, name, 'oldest')).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(await all(broker, name, { sequence: 4 })).toEqual(['d', 'e']);
    expect(await all(broker, name, { sequence: 6 })).toEqual([]);
    expect(await all(broker, name, { time: log[3]!.enqueuedAt })).toEqual(['d', 'e']);
    expect(await all(broker, name, { time: new Date(Date.now() + 60_000) })).toEqual([]);
    expect(await all(broker, name, 'end')).toEqual([]);
    await expect(broker.logReader(name, 0, { sequence: 7 })).rejects.toMatchObject({ code: 'bad_request' });
    await expect(broker.logReader(name, 1, 'oldest')).rejects.toMatchObject({ code: 'bad_request' });
  });

  it('hears at once what is appended here, and in time what another node appends', async () => {
    const broker = await start('one', { link: { host: '127.0.0.1', port: 0 } });
    const other = await start('two', { link: { host: '127.0.0.1', port: 0 } });
    const name = await topic(broker);
    await other.refresh();
    const reader = await broker.logReader(name, 0, 'end');
    const waiting = reader.read(10, 60_000, never);
    await broker.publish(name, [say('here'), say('too')]);
    expect((await waiting).map(text)).toEqual(['here', 'too']);
    const away = reader.read(10, 60_000, never);
    await other.publish(name, [say('there')]);
    expect((await away).map(text)).toEqual(['there']);
    reader.close();
  });

  it('loses and repeats nothing, however slow it is beside its writers', async () => {
    const broker = await start();
    const name = await topic(broker);
    const reader = await broker.logReader(name, 0, 'oldest');
    const seen: number[] = [];
    let writing = true;
    const reading = (async () => {
      while (writing || seen.length < 600) {
        for (const { sequence } of await reader.read(7, 50, never)) seen.push(sequence);
        if (seen.length > 0 && seen.length % 70 === 0) reader.backTo(seen.pop()!);
      }
    })();
    const body = Buffer.alloc(20_000);
    for (let i = 0; i < 60; i++)
      await Promise.all(
        [1, 2].map(() =>
          broker.publish(
            name,
            Array.from({ length: 5 }, () => ({ body })),
          ),
        ),
      );
    writing = false;
    await reading;
    expect(seen).toEqual(Array.from({ length: 600 }, (_, i) => i + 1));
    reader.close();
  });

  it('passes over the copies that rules with actions make', async () => {
    const broker = await start();
    const name = await topic(broker);
    const rule = { name: 'r', filter: { type: 'true' as const }, action: 'SET changed = 1' };
    await broker.createSubscription(name, 's', {}, [rule]);
    await broker.publish(name, [say('a'), say('b')]);
    expect(await all(broker, name, 'oldest')).toEqual(['a', 'b']);
    const state = await broker.partitionState(name, 0);
    expect(state).toMatchObject({ first: 1, last: { sequence: 3 }, fresh: false });
  });

  it('reads the partition that the sender chose, by number or by key, and refuses one that is not there', async () => {
    const broker = await start();
    const name = await topic(broker, 4);
    expect(await broker.partitionState(name, 2)).toMatchObject({ first: undefined, last: undefined, fresh: true });
    const [placed] = await broker.publish(name, [say('placed', { intoPartition: 2, partitionKey: 'key' })]);
    expect(placed).toMatchObject({ partition: 2, sequence: 2 * PARTITION_SPAN + 1 });
    const [a, b] = await broker.publish(name, [
      say('k1', { partitionKey: 'order-1' }),
      say('k2', { partitionKey: 'order-1' }),
    ]);
    expect(a!.partition).toBe(b!.partition);
    expect(await all(broker, name, { sequence: 1 }, 2)).toContain('placed');
    const wrong = broker.publish(name, [say('x'), say('y', { intoPartition: 4 })]);
    await expect(wrong).rejects.toMatchObject({ code: 'bad_request' });
    expect(await all(broker, name, 'oldest', a!.partition)).not.toContain('x');
  });

  it('is told when its topic is gone, and ends its wait when it is told to', async () => {
    const broker = await start();
    const name = await topic(broker);
    const reader = await broker.logReader(name, 0, 'end');
    const aborted = new AbortController();
    const ended = reader.read(1, 60_000, aborted.signal);
    aborted.abort();
    expect(await ended).toEqual([]);
    const waiting = reader.read(1, 60_000, never).catch((error: unknown) => error);
    await broker.deleteTopic(name);
    await eventually(async () => expect(await waiting).toMatchObject({ code: 'topic_not_found' }));
    reader.close();
  });
});
