// What holds when a client ends its links as it likes, or says what no library says.
import { describe, expect, it } from 'vitest';
import { begunAt, openDoor, ROOT_KEY } from '../../../test/support/amqp-door.ts';
import { say, useBrokers } from '../../../test/support/broker.ts';
import { useDatabase } from '../../../test/support/database.ts';
import { eventually } from '../../../test/support/eventually.ts';
import {
  ATTACH,
  attach,
  BEGIN,
  DETACH,
  DISPOSITION,
  FLOW,
  flow,
  frame,
  none,
  OPEN,
  PLAIN_HEADER,
  RawClient,
  TRANSFER,
  transfer,
} from '../../../test/support/raw-amqp.ts';
import type { NewQueue } from '../../topics/entities/admin.ts';
import * as to from './amqp/encode.ts';
import { mendRhea } from './amqp/mend.ts';
import { type InternalSession, Session } from './amqp/rhea-internals.ts';

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

  /** A door, and a queue behind it. */
  async function withQueue(stack: AsyncDisposableStack, settings: NewQueue = {}) {
    const broker = await start();
    const door = await openDoor({ database, broker }, stack);
    const queue = freshName('queue');
    await broker.createQueue(queue, settings);
    return { broker, door, queue };
  }

  it('settles what a client has settled right before it closes its session', async () => {
    await using stack = new AsyncDisposableStack();
    const { broker, door, queue } = await withQueue(stack, { queue: { requiresSession: true } });
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
    const { door, queue } = await withQueue(stack);
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
    const { door, queue } = await withQueue(stack);
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

  it('counts on when the numbers of transfers and deliveries have gone round', async () => {
    await using stack = new AsyncDisposableStack();
    const { broker, door, queue } = await withQueue(stack);
    stack.use(beginningAt(LATE));
    await broker.publish(
      queue,
      Array.from({ length: 6 }, (_, i) => say(`${i}`)),
    );
    await using client = await begunAt(door);
    const credit = (received: number, count: number) => {
      const at = to.uint((LATE + received) >>> 0);
      const session = [at, to.uint(100), to.uint(0), to.uint(100)];
      return frame(FLOW, [...session, to.uint(0), at, to.uint(count)]);
    };
    client.write(attach('in', 0, true, queue), credit(0, 6));
    await eventually(() => expect(client.of(TRANSFER)).toHaveLength(6));
    expect(client.of(TRANSFER).map(({ fields }) => fields[1])).toEqual([LATE, LATE + 1, 0, 1, 2, 3]);
    const range = [to.uint(LATE), to.uint(3)];
    client.write(frame(DISPOSITION, [to.boolean(true), ...range, to.boolean(false), to.described(0x24, to.list([]))]));
    await eventually(async () => expect(await broker.counts(queue)).toMatchObject({ active: 0, locked: 0 }));
    await eventually(() => expect(client.of(DISPOSITION)).not.toHaveLength(0));
    client.write(credit(6, 1));
    await broker.publish(queue, [say('7')]);
    await eventually(() => expect(client.of(TRANSFER)).toHaveLength(7));
  });

  it('sends no more than it may when a client has not seen where the numbers begin', async () => {
    await using stack = new AsyncDisposableStack();
    const { broker, door, queue } = await withQueue(stack);
    await broker.publish(
      queue,
      Array.from({ length: 9 }, (_, i) => say(`${i}`)),
    );
    await using client = await begunAt(door);
    const blind = (window: number, credit: number) =>
      frame(FLOW, [none, to.uint(window), to.uint(0), to.uint(100), to.uint(0), none, to.uint(credit)]);
    const expectSent = async (count: number, flows: Buffer) => {
      client.write(flows);
      await eventually(() => expect(client.of(TRANSFER).length).toBeGreaterThanOrEqual(count));
      await new Promise((resolve) => setTimeout(resolve, 100)); // More would come by then.
      expect(client.of(TRANSFER)).toHaveLength(count);
    };
    client.write(attach('in', 0, true, queue));
    await eventually(() => expect(client.of(ATTACH)).toHaveLength(1));
    await expectSent(2, blind(2, 4));
    await expectSent(4, blind(100, 4));
    await expectSent(4, blind(100, 4));
    await expectSent(5, blind(100, 5));
  });

  it('goes on when a client settles all numbers that there are', async () => {
    await using stack = new AsyncDisposableStack();
    const { door, queue } = await withQueue(stack);
    await using client = await begunAt(door);
    const all = [to.uint(0), to.uint(2 ** 32 - 1)];
    for (const role of [false, true]) client.write(frame(DISPOSITION, [to.boolean(role), ...all, to.boolean(true)]));
    client.write(attach('out', 0, false, queue));
    await client.until(() => client.of(ATTACH).length > 0);
    expect(client.of(ATTACH)).toHaveLength(1);
  });

  it('takes transfers whose numbers go round', async () => {
    await using stack = new AsyncDisposableStack();
    const { door, queue } = await withQueue(stack);
    await using client = await RawClient.signedIn(door.port, ROOT_KEY);
    const begin = frame(BEGIN, [none, to.uint(LATE), to.uint(100_000), to.uint(100_000)]);
    client.write(PLAIN_HEADER, frame(OPEN, [to.string('raw'), to.string('localhost')]), begin);
    const ends = [to.described(0x28, to.list([to.string('me')])), to.described(0x29, to.list([to.string(queue)]))];
    const rest = [none, none, to.uint(LATE)];
    client.write(frame(ATTACH, [to.string('out'), to.uint(0), to.boolean(false), none, none, ...ends, ...rest]));
    await eventually(() => expect(client.of(FLOW)).toHaveLength(1));
    expect(client.of(FLOW)[0]!.fields.slice(4, 7)).toEqual([0, LATE, 2000]);
    for (let i = 0; i < 6; i++) {
      client.write(transfer(0, (LATE + i) >>> 0, text));
      await eventually(() => expect(client.of(DISPOSITION)).toHaveLength(i + 1));
    }
    expect(client.of(DISPOSITION).map(({ fields }) => fields[1])).toEqual([LATE, LATE + 1, 0, 1, 2, 3]);
    expect(client.of(FLOW)).toHaveLength(1);
  });
});

/** Two before the numbers go round. */
const LATE = 2 ** 32 - 2;

/** Sessions of ours, and links on which we send, count from `number` on until it is disposed of. */
function beginningAt(number: number): Disposable {
  mendRhea();
  const { prototype } = Session;
  const { on_begin: begin, create_link: create } = prototype;
  prototype.on_begin = function (this: InternalSession, sent: unknown) {
    Object.assign(this.outgoing, { next_delivery_id: number, next_pending_delivery: number, next_transfer_id: number });
    begin.call(this, sent);
  };
  prototype.create_link = function (this: InternalSession, ...args: unknown[]) {
    const link = create.apply(this, args);
    if (!link.is_receiver()) link.delivery_count = link.local.attach.initial_delivery_count = number;
    return link;
  };
  return { [Symbol.dispose]: () => Object.assign(prototype, { on_begin: begin, create_link: create }) };
}
