// What holds when a client ends its links as it likes, or says what no library says.
import { describe, expect, it } from 'vitest';
import { begunAt, openDoor } from '../../../test/support/amqp-door.ts';
import { say, useBrokers } from '../../../test/support/broker.ts';
import { useDatabase } from '../../../test/support/database.ts';
import { eventually } from '../../../test/support/eventually.ts';
import {
  ATTACH,
  attach,
  DETACH,
  DISPOSITION,
  FLOW,
  flow,
  frame,
  none,
  type RawClient,
  TRANSFER,
} from '../../../test/support/raw-amqp.ts';
import * as to from './amqp/encode.ts';

const text = to.section(0x75, to.binary(Buffer.from('x')));

/** A receiver of one session. */
function attachSession(name: string, handle: number, address: string, session: string): Buffer {
  const filter = to.map([to.symbol('com.microsoft:session-filter'), to.string(session)]);
  const source = to.described(0x28, to.list([to.string(address), none, none, none, none, none, none, filter]));
  const target = to.described(0x29, to.list([to.string('me')]));
  const modes = [to.ubyte(0), to.ubyte(1)];
  return frame(ATTACH, [to.string(name), to.uint(handle), to.boolean(true), ...modes, source, target]);
}

function detach(handle: number): Buffer {
  return frame(DETACH, [to.uint(handle), to.boolean(true)]);
}

/** `settled`: as Python does, who does not wait for an answer. */
function accept(id: number, settled: boolean): Buffer {
  const accepted = to.described(0x24, to.list([]));
  return frame(DISPOSITION, [to.boolean(true), to.uint(id), to.uint(id), to.boolean(settled), accepted]);
}

describe('links that end', () => {
  const { database } = useDatabase();
  const { start, freshName } = useBrokers(database);

  it('settles what a client has settled right before it closes its session', async () => {
    await using stack = new AsyncDisposableStack();
    const broker = await start();
    const door = await openDoor({ database, broker }, stack);
    const queue = freshName('queue');
    await broker.createQueue(queue, { queue: { requiresSession: true } });
    await broker.publish(queue, [say('1', { sessionId: 'a' })]);
    await using client = await begunAt(door);
    client.write(attachSession('one', 0, queue, 'a'), flow(0, 0, 1));
    await eventually(() => expect(client.of(TRANSFER)).toHaveLength(1));
    client.write(accept(0, true), detach(0));
    await eventually(() => expect(client.of(DETACH)).toHaveLength(1));
    await eventually(async () => expect(await broker.counts(queue)).toMatchObject({ active: 0, locked: 0 }));
  });

  it('refuses a message whose state nobody can read', async () => {
    await using stack = new AsyncDisposableStack();
    const broker = await start();
    const door = await openDoor({ database, broker }, stack);
    const queue = freshName('queue');
    await broker.createQueue(queue, {});
    await using client = await begunAt(door);
    client.write(attach('out', 0, false, queue));
    await eventually(() => expect(client.of(FLOW)).not.toHaveLength(0));
    let nested = to.list([]);
    for (let depth = 0; depth < 40; depth++) nested = to.list([nested]);
    const fields = [to.uint(0), to.uint(0), to.binary(Buffer.from('1')), to.uint(0), none, none, none];
    client.write(frame(TRANSFER, [...fields, to.described(0x34, nested)], text));
    await eventually(() => expect(client.of(DISPOSITION)).toHaveLength(1));
  });

  it('keeps nothing of links that are gone', async () => {
    await using stack = new AsyncDisposableStack();
    const broker = await start();
    const door = await openDoor({ database, broker }, stack);
    const queue = freshName('queue');
    await broker.createQueue(queue, {});
    const warnings: string[] = [];
    const hear = ({ name }: Error) => warnings.push(name);
    process.on('warning', hear);
    stack.defer(() => void process.off('warning', hear));
    await using client = await begunAt(door);
    for (let i = 1; i <= 12; i++) await openAndDetach(client, i);
    expect(warnings).toEqual([]);

    async function openAndDetach(raw: RawClient, count: number) {
      raw.write(attach(`in-${count}`, 0, true, queue));
      await eventually(() => expect(raw.of(ATTACH)).toHaveLength(count));
      raw.write(detach(0));
      await eventually(() => expect(raw.of(DETACH)).toHaveLength(count));
    }
  });
});
