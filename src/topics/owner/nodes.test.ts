// Several nodes on one database. They stand in one process here; killed processes are in test/faults.
import { describe, expect, it } from 'vitest';
import { say, text, useBrokers } from '../../../test/support/broker.ts';
import { useDatabase } from '../../../test/support/database.ts';
import { eventually } from '../../../test/support/eventually.ts';
import type { Broker } from '../broker.ts';
import { LINK_IDENTITY, LINK_TLS } from '../link/frames.ts';

const link = { link: { host: '127.0.0.1', port: 0 } };

describe('nodes', () => {
  const { database } = useDatabase();
  const { start, freshName, signals } = useBrokers(database);
  const pair = async () => {
    const a = await start('a', link);
    const b = await start('b', link);
    return { a, b };
  };
  const knows = (broker: Broker, name: string) => eventually(() => expect(broker.topic(name).name).toBe(name));

  it('publish from any node, in one sequence without gaps', async () => {
    const { a, b } = await pair();
    const name = freshName('queue');
    await a.createQueue(name, { settings: { duplicateDetection: true } });
    await knows(b, name);
    const calls = Array.from({ length: 60 }, (_, i) =>
      (i % 2 ? a : b).publish(name, [say(`${i}`, { messageId: `${i}` })]),
    );
    const receipts = (await Promise.all(calls)).flat();
    expect(receipts.map((receipt) => receipt.sequence).sort((x, y) => x - y)).toEqual(calls.map((_, i) => i + 1));
    const again = await b.publish(name, [say('1', { messageId: '1' })]);
    expect(again).toMatchObject([{ duplicate: true, sequence: receipts[1]!.sequence }]);
  });

  it('consume through any node: the owner serves the others', async () => {
    const { a, b } = await pair();
    const name = freshName('queue');
    await a.createQueue(name);
    await knows(b, name);
    const receiver = b.receiver(name);
    const waiting = receiver.receive({ max: 10, waitMs: 10_000 });
    await b.publish(name, [say('1', { properties: { big: 5n, at: new Date(7), raw: Buffer.from([1]) } }), say('2')]);
    const [one, ...rest] = await waiting;
    expect(one).toMatchObject({ sequence: 1, properties: { big: 5n, at: new Date(7) } });
    expect(Buffer.isBuffer(one!.body)).toBe(true);
    const two = rest[0] ?? (await receiver.receive({ waitMs: 5_000 }))[0];
    await receiver.complete(one!);
    await expect(receiver.complete(one!)).rejects.toMatchObject({ code: 'lock_lost' });
    await receiver.renewLock(two!);
    await a.receiver(name).deadLetter(two!.lockToken, { reason: 'by token, elsewhere' });
    expect(await b.counts(name)).toMatchObject({ active: 0, deadLettered: 1 });
    expect((await b.receiver(`${name}/$DeadLetterQueue`).receive()).map(text)).toEqual(['2']);
    expect(await receiver.receive({ waitMs: 5 })).toEqual([]);
    const stop = new AbortController();
    const idle = receiver.receive({ waitMs: 60_000, signal: stop.signal });
    stop.abort();
    expect(await idle).toEqual([]);
  });

  it('share sessions through the owner', async () => {
    const { a, b } = await pair();
    const name = freshName('queue');
    await a.createQueue(name, { queue: { requiresSession: true } });
    await knows(b, name);
    await a.publish(name, [say('1', { sessionId: 's' }), say('2', { sessionId: 's' })]);
    const session = (await b.acceptSession(name, { waitMs: 5_000 }))!;
    await expect(a.acceptSession(name, { id: 's' })).rejects.toMatchObject({ code: 'session_locked' });
    await session.setSessionState(Buffer.from('here'));
    const messages = await session.receive({ max: 2 });
    expect(messages.map(text)).toEqual(['1', '2']);
    await session.complete(messages);
    await session.close();
    const again = (await a.acceptSession(name, { id: 's' }))!;
    expect((await again.getSessionState())!.toString()).toBe('here');
  });

  it('take over at once what a stopping node leaves, and go on where it was', async () => {
    const { a, b } = await pair();
    const name = freshName('queue');
    await a.createQueue(name);
    await knows(b, name);
    await a.publish(name, [say('1'), say('2'), say('3')]);
    const receiver = b.receiver(name);
    const [one] = await receiver.receive();
    await receiver.complete(one!);
    const [two] = await receiver.receive();
    await a.stop();
    const got: string[] = [];
    await eventually(async () => {
      got.push(...(await receiver.receive({ max: 10, waitMs: 500 })).map(text));
      expect(got).toEqual(['2', '3']);
    });
    await expect(receiver.complete(two!)).rejects.toMatchObject({ code: 'lock_lost' });
    const [next] = await b.publish(name, [say('4')]);
    expect(next!.sequence).toBe(4);
  });

  it('refuse the writes of an owner that was robbed, and hand its messages out again', async () => {
    const { a, b } = await pair();
    const name = freshName('queue');
    await a.createQueue(name);
    await a.publish(name, [say('1'), say('2')]);
    await knows(b, name);
    const receiver = a.receiver(name);
    const [one] = await receiver.receive();
    const batches: string[][] = [];
    const topic = a.topic(name).id;
    await database.query("update partition_owner set node = 'ghost', epoch = epoch + 1 where topic = $1", [topic]);
    await expect(receiver.complete(one!)).rejects.toMatchObject({ code: 'lock_lost' });
    const consumer = await b.consume(name, '$queue', {}, async (batch) => {
      batches.push(batch.messages.map(text));
      await batch.commit(async () => {});
    });
    const consumer2 = await a.consume(name, '$queue', {}, async (batch) => {
      batches.push(batch.messages.map(text));
      await batch.commit(async () => {});
    });
    await eventually(() => expect(batches.flat()).toEqual(['1', '2']));
    await consumer.stop();
    await consumer2.stop();
    expect(signals.filter((signal) => signal.name === 'topics.task_failed')).toEqual([]);
  });

  it('take over from a dead node whose lease was written before the clock of PostgreSQL was set back', async () => {
    const name = freshName('queue');
    const first = await start('first', link);
    await first.createQueue(name);
    await first.publish(name, [say('1')]);
    await first.stop();
    await database.query(
      `with gone as (insert into node (id, address, lease_until) values ('gone', null, now() + interval '1 hour'))
       update partition_owner set node = 'gone', epoch = epoch + 1`,
    );
    const second = await start('second', link);
    expect((await second.receiver(name).receive({ waitMs: 10_000 })).map(text)).toEqual(['1']);
    await database.query("delete from node where id = 'gone'");
  });

  it('share the partitions: who joins takes its part, nothing is lost, repeated or counted on the way', async () => {
    const a = await start('a', link);
    for (const { name } of a.listTopics({ limit: 1000 }).items) await a.deleteTopic(name);
    const name = freshName('queue');
    await a.createQueue(name, { partitions: 8, queue: { maxDeliveryCount: 3 } });
    const owned = async () => {
      const rows = await database.query<{ node: string; count: number }>(
        "select node, count(*)::int as count from partition_owner where node <> '' group by node order by node",
      );
      return Object.fromEntries(rows.map((row) => [row.node, row.count]));
    };
    const nodes = [a];
    const state = { sending: true, receiving: true };
    const [sent, done, counted] = [new Set<string>(), [] as string[], [] as number[]];
    const sender = async (worker: number) => {
      for (let n = 0; state.sending; n++) {
        const messageId = `${worker}-${n}`;
        const partitionKey = `k${n % 31}`;
        await nodes[n % nodes.length]!.publish(name, [say(messageId, { messageId, partitionKey })]);
        sent.add(messageId);
      }
    };
    const consumer = async (index: number) => {
      const receivers = new Map(nodes.map((node) => [node, node.receiver(name)]));
      while (state.receiving) {
        const node = nodes[index % nodes.length]!;
        if (!receivers.has(node)) receivers.set(node, node.receiver(name));
        const messages = await receivers.get(node)!.receive({ max: 10, waitMs: 300 });
        const settled = await receivers.get(node)!.trySettle(messages, { kind: 'complete' });
        done.push(...messages.filter((_, i) => settled[i]).map((message) => message.messageId));
        counted.push(...messages.map((message) => message.deliveryCount).filter((count) => count > 0));
      }
    };
    const work = [sender(0), sender(1), consumer(0), consumer(1), consumer(2)];
    expect(await owned()).toEqual({ a: 8 });
    const b = await start('b', link);
    await knows(b, name);
    nodes.push(b);
    await eventually(async () => expect(await owned()).toEqual({ a: 4, b: 4 }), 15_000);
    await start('c', link);
    await eventually(async () => expect(await owned()).toEqual({ a: 3, b: 3, c: 2 }), 15_000);
    state.sending = false;
    await Promise.all(work.slice(0, 2));
    await eventually(() => expect([...sent].filter((id) => !done.includes(id))).toEqual([]), 15_000);
    state.receiving = false;
    await Promise.all(work);
    expect(new Set(done).size).toBe(done.length);
    expect(counted).toEqual([]);
    expect(await b.counts(name)).toMatchObject({ active: 0, deadLettered: 0 });
    expect(sent.size).toBeGreaterThan(100);
  });

  it('encrypt what they say to each other, and do not speak to whoever does not know the secret', async () => {
    const a = await start('a', link);
    const [row] = await database.query<{ address: string }>("select address from node where id = 'a'");
    const { connect } = await import('node:net');
    const socket = connect(Number(row!.address.split(':')[1]), '127.0.0.1');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {});
    socket.write(Buffer.concat([Buffer.from([0, 1, 0, 0]), Buffer.alloc(70_000)]));
    socket.resume();
    await closed;
    const { connect: secure } = await import('node:tls');
    const stranger = (psk: Buffer) =>
      new Promise<string>((resolve) => {
        const port = Number(row!.address.split(':')[1]);
        const pskCallback = () => ({ psk, identity: LINK_IDENTITY });
        const checkServerIdentity = () => undefined;
        const options = { ...LINK_TLS, host: '127.0.0.1', port, pskCallback, checkServerIdentity };
        const tls = secure(options, () => resolve(tls.getCipher().name));
        tls.on('error', () => resolve('refused'));
      });
    const [{ secret }] = (await database.query<{ secret: Buffer }>('select secret from link_secret')) as [
      { secret: Buffer },
    ];
    expect(await stranger(Buffer.alloc(32, 1))).toBe('refused');
    expect(await stranger(secret)).toBe('ECDHE-PSK-CHACHA20-POLY1305');
    expect(a.listTopics().items).toEqual(expect.any(Array));
  });
});
