import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { begunAt, openDoor } from '../../../../test/support/amqp-door.ts';
import { useBrokers } from '../../../../test/support/broker.ts';
import { useDatabase } from '../../../../test/support/database.ts';
import { eventually } from '../../../../test/support/eventually.ts';
import { ATTACH, attach, flow } from '../../../../test/support/raw-amqp.ts';
import { answerSoon } from './answer-soon.ts';

const EMPTY_FRAME = Buffer.from([0, 0, 0, 8, 2, 0, 0, 0]);

describe('what asks for no answer', () => {
  const { database } = useDatabase();
  const { start, freshName } = useBrokers(database);

  it('gets an empty frame, so that the client may write on', async () => {
    await using stack = new AsyncDisposableStack();
    const broker = await start();
    const door = await openDoor({ database, broker }, stack);
    const queue = freshName('queue');
    await broker.createQueue(queue, {});
    await using client = await begunAt(door);
    client.write(attach('in', 0, true, queue));
    await eventually(() => expect(client.of(ATTACH)).toHaveLength(1));
    for (let i = 1; i <= 3; i++) {
      const before = client.beats;
      client.write(flow(0, 0, i));
      await eventually(() => expect(client.beats).toBeGreaterThan(before));
    }
  });

  it('is not answered when it is an empty frame itself', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const one = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const [two] = (await once(server, 'connection')) as [Socket];
    const answers = new Map<Socket, number>();
    for (const socket of [one, two]) {
      const answer = () => {
        answers.set(socket, (answers.get(socket) ?? 0) + 1);
        socket.write(EMPTY_FRAME);
      };
      answerSoon(socket, { is_open: () => true, _write_frame: answer });
    }
    for (let i = 1; i <= 5; i++) {
      one.write(Buffer.alloc(20));
      await eventually(() => expect(answers.get(two)).toBe(i));
    }
    expect(answers.get(one)).toBeUndefined();
    one.destroy();
    two.destroy();
    server.close();
  });
});
