// The door by the byte: what libraries would not say or hide, and what the AMQP library behind the door had to be taught.
// Each trap of that library has a test of its own here, and fails when its mend in amqp/mend.ts is taken away.
import { randomBytes } from 'node:crypto';
import rhea from 'rhea';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AmqpDescribed } from '../../src/gateways/servicebus/amqp/decode.ts';
import * as to from '../../src/gateways/servicebus/amqp/encode.ts';
import { eventually } from '../support/eventually.ts';
import {
  ATTACH,
  attach,
  BEGIN,
  CLOSE,
  DETACH,
  DISPOSITION,
  END,
  FLOW,
  flow,
  frame,
  none,
  OPEN,
  openAndBegin,
  PLAIN_HEADER,
  RawClient,
  TRANSFER,
  transfer,
} from '../support/raw-amqp.ts';
import { RheaClient } from '../support/rhea-client.ts';
import { BusUnderTest, SAS_KEY } from '../support/service-bus.ts';

const { types } = rhea;
/** Bytes that a client writes at once, in no step with its frames. */
const PIECE = 17_011;
const message = (body: string) => Buffer.concat([to.section(0x75, to.binary(Buffer.from(body)))]);

describe('the wire', () => {
  let bus: BusUnderTest;
  beforeAll(async () => {
    bus = await BusUnderTest.start();
  });
  afterAll(() => bus?.[Symbol.asyncDispose]());

  async function begun(): Promise<RawClient> {
    const client = await RawClient.signedIn(bus.server.amqpPort, SAS_KEY);
    client.write(openAndBegin());
    await eventually(() => expect(client.of(BEGIN)).toHaveLength(1));
    return client;
  }

  it('has every performative at its full length, as Python reads by position', async () => {
    const { queue } = await bus.queue();
    await using client = await begun();
    client.write(attach('out', 0, false, queue));
    await eventually(() => expect(client.of(FLOW)).not.toHaveLength(0));
    client.write(transfer(0, 0, message('x')));
    await eventually(() => expect(client.of(DISPOSITION)).toHaveLength(1));
    const lengths = [OPEN, BEGIN, ATTACH, FLOW, DISPOSITION].map((code) => client.of(code)[0]!.fields.length);
    expect(lengths).toEqual([10, 8, 14, 11, 6]);
    const [begin, answer] = [client.of(BEGIN)[0]!, client.of(ATTACH)[0]!];
    expect([begin.fields[4], answer.fields[10]]).toEqual([4999, 1024 * 1024]);
    expect(answer.fields[13]).toEqual(new Map());
    expect(client.of(FLOW)[0]!.fields[6]).toBe(2000);
  });

  it('writes frames as lists of their full length under small descriptors, transfers and ends too', async () => {
    const { queue, sender } = await bus.queue();
    await sender.sendMessages({ body: 'x' });
    await using client = await begun();
    // .NET leaves out the count that a sender begins with; a sender of ours says 0.
    const ends = [to.described(0x28, to.list([to.string('me')])), to.described(0x29, to.list([to.string(queue)]))];
    client.write(frame(ATTACH, [to.string('out'), to.uint(0), to.boolean(false), none, none, ...ends]));
    client.write(attach('in', 1, true, queue), attach('no', 2, true, 'nothing'));
    await eventually(() => expect(client.of(DETACH)).toHaveLength(1));
    const [out, inn] = ['out', 'in'].map((name) => client.of(ATTACH).find(({ fields }) => fields[0] === name)!);
    expect([out!.fields.length, inn!.fields[9]]).toEqual([14, 0]);
    client.write(transfer(0, 0, message('y')), flow(1, 0, 2));
    await eventually(() => expect(client.of(TRANSFER)).toHaveLength(2));
    expect(client.of(FLOW).map(({ fields }) => Number.isInteger(fields[5]))).not.toContain(false);
    client.write(frame(DETACH, [to.uint(1), to.boolean(true)]), frame(END, []), frame(CLOSE, []));
    await eventually(() => expect(client.of(CLOSE)).toHaveLength(1));
    expect([TRANSFER, DETACH, END, CLOSE].map((code) => client.of(code).at(-1)!.fields.length)).toEqual([11, 3, 1, 1]);
    const refused = client.of(DETACH)[0]!.fields[2] as AmqpDescribed;
    expect(refused.value).toHaveLength(3);
    for (const { head } of client.frames) expect(head.toString('hex')).toMatch(/^0053(1[0-8]|4[04])(c0|d0)$/);
  });

  it('keeps a connection alive that says how long it waits', async () => {
    await using client = await RawClient.signedIn(bus.server.amqpPort, SAS_KEY);
    const open = [to.string('raw'), to.string('localhost'), none, none, to.uint(600)];
    client.write(PLAIN_HEADER, frame(OPEN, open));
    await eventually(() => expect(client.of(OPEN)).toHaveLength(1));
    await eventually(() => expect(client.beats).toBeGreaterThan(1), 5_000);
  });

  it('answers each outcome with the same, without an error, and nothing to who does not wait', async () => {
    const { queue, sender } = await bus.queue({ maxDeliveryCount: 1 });
    await sender.sendMessages([1, 2, 3, 4, 5, 6].map((body) => ({ body })));
    await using client = await begun();
    client.write(attach('in', 0, true, queue), flow(0, 0, 6));
    await eventually(() => expect(client.of(TRANSFER)).toHaveLength(6));
    const say = (id: number, code: number, fields: to.Encoded[], settled = false) =>
      frame(DISPOSITION, [
        to.boolean(true),
        to.uint(id),
        none,
        to.boolean(settled),
        to.described(code, to.list(fields)),
      ]);
    // Defer; dead-letter as .NET does it without a reason; release, which counts no delivery; and without an answer.
    client.write(say(0, 0x27, [none, to.boolean(true)]), say(1, 0x25, []), say(2, 0x26, []), say(3, 0x24, []));
    client.write(say(4, 0x24, [], true), say(5, 0x26, [], true));
    await eventually(() => expect(settledIn(client)).toBe(4));
    const said = client
      .of(DISPOSITION)
      .map(({ fields }) => [fields[1], fields[3], fields[4] as AmqpDescribed] as const);
    const outcomes = said.toSorted(([a], [b]) => Number(a) - Number(b));
    expect(outcomes.map(([id, settled, state]) => [id, settled, state.descriptor])).toEqual([
      [0, true, 0x27],
      [1, true, 0x25],
      [2, true, 0x26],
      [3, true, 0x24],
    ]);
    expect(outcomes.map(([, , state]) => conditionIn(state))).toEqual([undefined, undefined, undefined, undefined]);
    await eventually(async () => {
      const counts = await bus.admin.getQueueRuntimeProperties(queue);
      // Two released, one deferred, one dead.
      expect(counts).toMatchObject({ activeMessageCount: 2, deadLetterMessageCount: 1, totalMessageCount: 4 });
    });
  });

  it('lets two links have one name, one each way, and echoes addresses as they came', async () => {
    const { queue } = await bus.queue();
    await using client = await begun();
    const address = `/${queue.toUpperCase()}`;
    client.write(attach('same', 0, false, address), attach('same', 1, true, `amqps://localhost/${queue}`));
    await eventually(() => expect(client.of(ATTACH)).toHaveLength(2));
    const ends = client
      .of(ATTACH)
      .map(({ fields }) => [fields[5], fields[6]].map((end) => (end as AmqpDescribed).value));
    expect(ends.flat().map((fields) => (fields as string[])[0])).toEqual(
      expect.arrayContaining([address, `amqps://localhost/${queue}`]),
    );
  });

  it('answers every drain, with credit left and without', async () => {
    const { queue } = await bus.queue();
    await using client = await begun();
    client.write(attach('in', 0, true, queue), flow(0, 0, 5, true));
    const drained = () => client.of(FLOW).filter(({ fields }) => fields[8] === true);
    await eventually(() => expect(drained()).toHaveLength(1));
    expect(drained()[0]!.fields.slice(5, 7)).toEqual([5, 0]);
    client.write(flow(0, 5, 0, true));
    await eventually(() => expect(drained()).toHaveLength(2));
    expect(client.of(DETACH)).toEqual([]);
  });

  it('goes on when one delivery of thousands stays unsettled', async () => {
    const { queue, sender } = await bus.queue();
    for (let i = 0; i < 6; i++) await sender.sendMessages(Array.from({ length: 1000 }, () => ({ body: 'x' })));
    await using client = await begun();
    client.write(attach('in', 0, true, queue), flow(0, 0, 6000));
    await eventually(() => expect(client.of(TRANSFER)).toHaveLength(6000), 30_000);
    const accept = to.described(0x24, to.list([]));
    client.write(frame(DISPOSITION, [to.boolean(true), to.uint(1), to.uint(5999), to.boolean(false), accept]));
    await eventually(() => expect(settledIn(client)).toBe(5999), 30_000);
    expect(client.of(DISPOSITION).length).toBeLessThan(100);
    await sender.sendMessages({ body: 'after' });
    client.write(flow(0, 6000, 1));
    await eventually(() => expect(client.of(TRANSFER)).toHaveLength(6001));
  });

  it('gives credit before it is asked, and accepts nothing before it is stored', async () => {
    const { queue } = await bus.queue();
    await using client = await begun();
    const before = client.pieces;
    client.write(attach('out', 0, false, queue));
    await eventually(() => expect(client.of(FLOW)).toHaveLength(1));
    expect(client.of(FLOW)[0]!.fields[6]).toBe(2000);
    expect(client.pieces - before).toBe(1); // Attach and credit in one piece: a client waits no time for credit.
    client.write(transfer(0, 0, message('x')));
    await eventually(() => expect(client.of(DISPOSITION)).toHaveLength(1));
    expect((await bus.admin.getQueueRuntimeProperties(queue)).activeMessageCount).toBe(1);
  });

  it('does not hold up one link of a session because another has no credit', async () => {
    const [full, quick] = [await bus.queue(), await bus.queue()];
    await full.sender.sendMessages([{ body: 1 }, { body: 2 }]);
    await quick.sender.sendMessages({ body: 'quick' });
    await using client = await begun();
    client.write(attach('a', 0, true, full.queue), flow(0, 0, 1), attach('b', 1, true, quick.queue));
    await eventually(() => expect(client.of(TRANSFER)).toHaveLength(1));
    client.write(flow(1, 0, 1));
    await eventually(() => expect(client.of(TRANSFER)).toHaveLength(2));
    expect(client.of(TRANSFER).map(({ fields }) => fields[0])).toEqual([0, 1]);
  });

  it('sends nothing on a link before the answer to its attach, whatever the client pipelines', async () => {
    const { queue, sender } = await bus.queue();
    await sender.sendMessages([{ body: 1 }, { body: 2 }]);
    await using client = await RawClient.signedIn(bus.server.amqpPort, SAS_KEY);
    client.write(openAndBegin(), attach('in', 0, true, queue), flow(0, 0, 2));
    await eventually(() => expect(client.of(TRANSFER)).toHaveLength(2));
    const codes = client.frames.map(({ code }) => code);
    expect(codes.indexOf(ATTACH)).toBeLessThan(codes.indexOf(TRANSFER));
  });

  it('delivers the bare message byte for byte, with forms that no library writes and numbers beyond a double', async () => {
    const { queue } = await bus.queue();
    await using client = await begun();
    const big = Buffer.from([0x81, 0x10, 0, 0, 0, 0, 0, 0, 1]); // 2^60 + 1, as a long
    const bare = Buffer.concat([
      // Properties by their symbolic descriptor, in a list of the wide form, with an id of eight bytes.
      Buffer.from([0x00, 0xa3, 20]),
      Buffer.from('amqp:properties:list'),
      Buffer.from([0xd0, 0, 0, 0, 13, 0, 0, 0, 1, 0x80, 1, 2, 3, 4, 5, 6, 7, 8]),
      to.section(0x74, to.map([to.string('big'), big, to.symbol('sym'), to.boolean(true)])),
      to.section(0x75, to.binary(Buffer.from('one'))),
      to.section(0x75, to.binary(Buffer.from('two'))),
      to.section(0x78, to.map([to.symbol('foot'), to.string('note')])),
    ]);
    const annotations = to.section(0x72, to.map([to.symbol('x-mine'), big]));
    client.write(attach('out', 0, false, queue), attach('in', 1, true, queue), flow(1, 0, 1));
    await eventually(() => expect(client.of(FLOW)).not.toHaveLength(0));
    client.write(transfer(0, 0, Buffer.concat([annotations, bare])));
    await eventually(() => expect(client.of(TRANSFER)).toHaveLength(1));
    const { payload } = client.of(TRANSFER)[0]!;
    expect(payload.subarray(payload.length - bare.length)).toEqual(bare);
    expect(payload.includes(Buffer.concat([to.symbol('x-mine'), big]))).toBe(true);
  });

  it('takes long frames in whatever pieces they come, beside other connections, and keeps every byte', async () => {
    const { queue, receiver } = await bus.queue();
    const sizes = [40_000, 10, 180_000, 250_000, 33_000, 1_000, 120_000, 65_000];
    const sent = [0, 1, 2].map((client) =>
      sizes.map((size, i) => `${client} ${i} ${randomBytes(size / 2).toString('hex')}`),
    );
    await Promise.all(
      sent.map(async (bodies) => {
        await using client = await begun();
        client.write(attach('out', 0, false, queue));
        await eventually(() => expect(client.of(FLOW)).not.toHaveLength(0));
        const bytes = Buffer.concat(bodies.map((body, i) => transfer(0, i, message(body))));
        for (let at = 0; at < bytes.length; at += PIECE) {
          client.write(bytes.subarray(at, at + PIECE));
          await new Promise((resolve) => setImmediate(resolve));
        }
        await eventually(() => expect(settledIn(client)).toBe(bodies.length));
      }),
    );
    const received = await receiver().receiveMessages(100, { maxWaitTimeInMs: 5_000 });
    const texts = received.map(({ body }) => Buffer.from(body as Buffer).toString());
    expect(texts.sort()).toEqual(sent.flat().sort());
  });

  it('writes numbers as the types that clients ask for, not as whatever fits', async () => {
    await using client = await begun();
    client.write(attach('ask', 0, false, '$cbs'), attach('me', 1, true, '$cbs'), flow(1, 0, 5));
    await eventually(() => expect(client.of(ATTACH)).toHaveLength(2));
    const none = to.nothing();
    const properties = to.section(0x73, to.list([to.ulong(7), none, none, none, to.string('me')]));
    const asked = to.section(0x74, to.map([to.string('operation'), to.string('put-token')]));
    client.write(transfer(0, 0, Buffer.concat([properties, asked, to.section(0x77, to.string('x'))])));
    await eventually(() => expect(client.of(TRANSFER)).toHaveLength(1));
    const { payload } = client.of(TRANSFER)[0]!;
    // An int of four bytes, 401; the correlation id is the ulong that the message id was.
    expect(payload.includes(Buffer.concat([to.string('status-code'), Buffer.from([0x71, 0, 0, 1, 0x91])]))).toBe(true);
    expect(payload.includes(to.list([none, none, none, none, none, to.ulong(7)]))).toBe(true);
  });

  it('takes no request that nobody waits for, as of a sender who takes the node for a queue', async () => {
    const { queue } = await bus.queue();
    await using client = await begun();
    client.write(attach('a', 0, false, '$cbs'), attach('b', 1, false, `${queue}/$management`));
    await eventually(() => expect(client.of(FLOW)).toHaveLength(2));
    client.write(transfer(0, 0, message('x')), transfer(1, 1, message('x')));
    await eventually(() => expect(settledIn(client)).toBe(2));
    const said = client.of(DISPOSITION).map(({ fields }) => conditionIn(fields[4]));
    expect(said).toEqual(['amqp:not-allowed', 'amqp:not-allowed']);
  });

  it('tells of each message in a turn what became of it, and not of its neighbour', async () => {
    const { queue } = await bus.queue({ requiresSession: true });
    await using client = await begun();
    client.write(attach('out', 0, false, queue));
    await eventually(() => expect(client.of(FLOW)).toHaveLength(1));
    const good = Buffer.concat([to.section(0x73, to.list([...Array(10).fill(none), to.string('s')])), message('x')]);
    const bad = Buffer.from('rubbish');
    client.write(...[bad, message('no session'), bad, good, good].map((each, id) => transfer(0, id, each)));
    await eventually(() => expect(settledIn(client)).toBe(5));
    const refusals = ['amqp:decode-error', 'amqp:not-allowed', 'amqp:decode-error'];
    expect(outcomesIn(client)).toEqual([...refusals, ACCEPTED, ACCEPTED]);
  });

  it('does not tell that a lock held because the one before it did', async () => {
    const { queue, sender } = await bus.queue();
    await sender.sendMessages([{ body: 1 }, { body: 2 }, { body: 3 }]);
    await using client = await begun();
    client.write(attach('in', 0, true, queue), flow(0, 0, 3));
    await eventually(() => expect(client.of(TRANSFER)).toHaveLength(3));
    await using other = await RheaClient.open(bus.server.amqpPort, SAS_KEY);
    const tag = client.of(TRANSFER)[1]!.fields[2] as Buffer;
    const token = Buffer.from([3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map((at) => tag[at]!));
    const tokens = types.wrap_array([token] as never, 0x98, undefined);
    const taken = { 'disposition-status': 'suspended', 'lock-tokens': tokens };
    expect((await other.manage(queue, 'update-disposition', taken)).status).toBe(200);
    const accept = to.described(0x24, to.list([]));
    client.write(frame(DISPOSITION, [to.boolean(true), to.uint(0), to.uint(2), to.boolean(false), accept]));
    await eventually(() => expect(settledIn(client)).toBe(3));
    expect(outcomesIn(client)).toEqual([ACCEPTED, 'com.microsoft:message-lock-lost', ACCEPTED]);
    const counts = { activeMessageCount: 0, deadLetterMessageCount: 1 };
    expect(await bus.admin.getQueueRuntimeProperties(queue)).toMatchObject(counts);
  });

  it('opens a coordinator, and knows its transactions from others', async () => {
    await using client = await begun();
    const coordinator = to.described(0x30, to.list([]));
    const source = to.described(0x28, to.list([]));
    const head = [to.string('control'), to.uint(0), to.boolean(false), none, none];
    client.write(frame(ATTACH, [...head, source, coordinator, none, none, to.uint(0)]));
    await eventually(() => expect(client.of(FLOW)).not.toHaveLength(0));
    expect((client.of(ATTACH)[0]!.fields[6] as AmqpDescribed).descriptor).toBe(0x30);
    const say = (id: number, what: to.Encoded) => client.write(transfer(0, id, to.section(0x77, what)));
    say(0, to.described(0x31, to.list([])));
    say(1, to.described(0x32, to.list([to.binary(Buffer.alloc(16, 9)), to.boolean(false)])));
    say(2, to.described(0x55, to.list([])));
    await eventually(() => expect(client.of(DISPOSITION)).toHaveLength(3));
    const said = client.of(DISPOSITION).toSorted((a, b) => Number(a.fields[1]) - Number(b.fields[1]));
    const states = said.map(({ fields }) => fields[4] as AmqpDescribed);
    expect(states[0]!.descriptor).toBe(0x33);
    expect((states[0]!.value as Buffer[])[0]).toHaveLength(16);
    expect(states.slice(1).map(conditionIn)).toEqual(['amqp:transaction:unknown-id', 'amqp:not-implemented']);
  });

  it('changes nothing by a transaction that cannot be whole, and refuses what belongs to none', async () => {
    const [from, into] = [await bus.queue(), await bus.queue()];
    await from.sender.sendMessages({ body: 1 });
    await using client = await begun();
    const coordinator = [to.described(0x28, to.list([])), to.described(0x30, to.list([]))];
    const head = [to.string('control'), to.uint(0), to.boolean(false), none, none];
    client.write(frame(ATTACH, [...head, ...coordinator, none, none, to.uint(0)]));
    client.write(attach('out', 1, false, into.queue), attach('in', 2, true, from.queue), flow(2, 0, 1));
    await eventually(() => expect(client.of(TRANSFER)).toHaveLength(1));
    let next = 0;
    const say = (handle: number, payload: Buffer, state: to.Encoded = none) => {
      const id = next++;
      const fields = [to.uint(handle), to.uint(id), to.binary(Buffer.from([id])), to.uint(0), none, none, none, state];
      client.write(frame(TRANSFER, fields, payload));
      return id;
    };
    const ask = (code: number, fields: to.Encoded[]) => say(0, to.section(0x77, to.described(code, to.list(fields))));
    const within = (txn: Buffer, outcome: to.Encoded = none) => to.described(0x34, to.list([to.binary(txn), outcome]));
    const answer = async (id: number) => {
      const found = () => client.of(DISPOSITION).find(({ fields }) => fields[0] === true && fields[1] === id);
      await eventually(() => expect(found()).toBeDefined());
      return found()!.fields[4] as AmqpDescribed;
    };
    const declared = await answer(ask(0x31, []));
    const txn = (declared.value as Buffer[])[0]!;
    const unknown = await answer(say(1, message('stray'), within(Buffer.alloc(16, 3))));
    expect(conditionIn(unknown)).toBe('amqp:transaction:unknown-id');
    const noted = await answer(say(1, message('answer'), within(txn)));
    expect([noted.descriptor, (noted.value as AmqpDescribed[])[1]!.descriptor]).toEqual([0x34, 0x24]);
    const received = client.of(TRANSFER)[0]!;
    const accept = within(txn, to.described(0x24, to.list([])));
    client.write(frame(DISPOSITION, [to.boolean(true), to.uint(0), to.uint(0), to.boolean(false), accept]));
    // Its lock is given up before the end.
    await using other = await RheaClient.open(bus.server.amqpPort, SAS_KEY);
    const tag = received.fields[2] as Buffer;
    const token = Buffer.from([3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map((at) => tag[at]!));
    const tokens = types.wrap_array([token] as never, 0x98, undefined);
    await other.manage(from.queue, 'update-disposition', { 'disposition-status': 'abandoned', 'lock-tokens': tokens });
    const ended = await answer(ask(0x32, [to.binary(txn), to.boolean(false)]));
    expect(conditionIn(ended)).toBe('com.microsoft:message-lock-lost');
    expect(conditionIn(await answer(ask(0x32, [to.binary(txn), to.boolean(false)])))).toBe(
      'amqp:transaction:unknown-id',
    );
    for (const [queue, activeMessageCount] of [
      [from.queue, 1],
      [into.queue, 0],
    ] as const)
      expect(await bus.admin.getQueueRuntimeProperties(queue)).toMatchObject({ activeMessageCount });
    const full = ((await answer(ask(0x31, []))).value as Buffer[])[0]!;
    for (let i = 0; i < 100; i++) say(1, message('step'), within(full));
    expect(conditionIn(await answer(say(1, message('one more'), within(full))))).toBe('amqp:resource-limit-exceeded');
  });

  it('puts what is sent via another entity into its destination', async () => {
    const [via, target] = [await bus.queue(), await bus.queue()];
    await using client = await begun();
    const terminus = (code: number, text: string) => to.described(code, to.list([to.string(text)]));
    const head = [to.string('v'), to.uint(0), to.boolean(false), none, none];
    const ends = [terminus(0x28, 'me'), terminus(0x29, via.queue)];
    const transferTo = (address: string) =>
      to.map([to.symbol('com.microsoft:transfer-destination-address'), to.string(address)]);
    const rest = [none, none, to.uint(0), none, none, none];
    client.write(frame(ATTACH, [...head, ...ends, ...rest, transferTo(target.queue)]));
    await eventually(() => expect(client.of(FLOW)).toHaveLength(1));
    client.write(transfer(0, 0, message('passed on')));
    await eventually(() => expect(client.of(DISPOSITION)).toHaveLength(1));
    expect((await bus.admin.getQueueRuntimeProperties(target.queue)).activeMessageCount).toBe(1);
    expect((await bus.admin.getQueueRuntimeProperties(via.queue)).activeMessageCount).toBe(0);
    const second = [to.string('w'), to.uint(1), to.boolean(false), none, none];
    client.write(frame(ATTACH, [...second, ...ends, ...rest, transferTo('nothing')]));
    await eventually(() => expect(client.of(DETACH)).toHaveLength(1));
    expect(conditionOf(client.of(DETACH)[0]!.fields[2])).toBe('amqp:not-found');
  });

  it('answers a disposition for what it does not know', async () => {
    const { queue } = await bus.queue();
    await using client = await begun();
    client.write(attach('in', 0, true, queue), flow(0, 0, 1));
    await eventually(() => expect(client.of(ATTACH)).toHaveLength(1));
    const accept = to.described(0x24, to.list([]));
    client.write(frame(DISPOSITION, [to.boolean(true), to.uint(77), to.uint(77), to.boolean(false), accept]));
    await eventually(() => expect(client.of(DISPOSITION)).toHaveLength(1));
    expect(conditionIn(client.of(DISPOSITION)[0]!.fields[4])).toBe('com.microsoft:message-lock-lost');
  });

  it('refuses a link with its reason, and goes on with the others', async () => {
    await using client = await begun();
    client.write(
      attach('a', 0, false, 'nothing'),
      attach('b', 1, true, '$cbs'),
      attach('c', 2, false, 'x/$management'),
    );
    await eventually(() => expect(client.of(DETACH)).toHaveLength(2));
    expect(client.of(DETACH).map(({ fields }) => conditionOf(fields[2]))).toEqual(['amqp:not-found', 'amqp:not-found']);
    const refused = client.of(ATTACH).find(({ fields }) => fields[0] === 'a')!;
    expect([refused.fields[5], refused.fields[6]]).toEqual([null, null]);
    expect(client.closed).toBe(false);
  });

  it('ends a connection whose frames are broken with the reason', async () => {
    await using client = await begun();
    client.write(Buffer.from([0, 0, 0, 12, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]));
    await eventually(() => expect(client.closed).toBe(true));
    expect(conditionOf(client.of(CLOSE)[0]!.fields[0])).toBe('amqp:connection:framing-error');
  });

  it('closes a connection with the reason, when it stops', async () => {
    await using own = await BusUnderTest.start();
    await using client = await RawClient.signedIn(own.server.amqpPort, SAS_KEY);
    client.write(openAndBegin());
    await eventually(() => expect(client.of(BEGIN)).toHaveLength(1));
    await own.server.end();
    expect(conditionOf(client.of(CLOSE)[0]!.fields[0])).toBe('amqp:connection:forced');
  });

  it.each([
    ['a frame larger than agreed', Buffer.from([0x7f, 0, 0, 0, 2, 0, 0, 0])],
    ['a list of four thousand million nulls', Buffer.from('0000001602000000005313d00000000affffffff4040', 'hex')],
    ['an unknown performative', frame(0x55, [])],
    ['a transfer without a link', transfer(9, 0, message('x'))],
    ['a second begin on the channel', frame(BEGIN, [to.uint(7), to.uint(0), to.uint(1), to.uint(1)])],
  ])('closes on %s and serves the others', async (_what, bytes) => {
    await using client = await begun();
    client.write(bytes, Buffer.alloc(64));
    await eventually(() => expect(client.closed).toBe(true));
    await using other = await begun();
    expect(other.closed).toBe(false);
  });

  it('rejects what is no message, and a transfer beyond the limit, without ending the link', async () => {
    const { queue } = await bus.queue();
    await using client = await begun();
    client.write(attach('out', 0, false, queue));
    await eventually(() => expect(client.of(FLOW)).not.toHaveLength(0));
    const huge = Array.from({ length: 40 }, (_, i) =>
      frame(
        TRANSFER,
        [
          to.uint(0),
          i ? none : to.uint(1),
          i ? none : to.binary(Buffer.from('t')),
          to.uint(0),
          none,
          to.boolean(i < 39),
        ],
        Buffer.alloc(60_000),
      ),
    );
    const empty = transfer(0, 3, Buffer.alloc(0));
    client.write(transfer(0, 0, Buffer.from('rubbish')), ...huge, transfer(0, 2, message('good')), empty);
    await eventually(() => expect(settledIn(client)).toBe(4));
    const said = client.of(DISPOSITION).map(({ fields }) => [fields[1], conditionIn(fields[4])]);
    expect(said.filter(([, condition]) => condition).sort()).toEqual([
      [0, 'amqp:decode-error'],
      [1, 'amqp:link:message-size-exceeded'],
    ]);
  });

  it('survives mutations of every frame of a true conversation', async () => {
    const { queue } = await bus.queue();
    const talk = [
      openAndBegin(),
      attach('out', 0, false, queue),
      attach('in', 1, true, queue),
      transfer(0, 0, message('x')),
      flow(1, 0, 10),
      frame(DISPOSITION, [
        to.boolean(true),
        to.uint(0),
        to.uint(3),
        to.boolean(false),
        to.described(0x27, to.list([])),
      ]),
      frame(DETACH, [to.uint(1), to.boolean(true)]),
      attach('events', 2, true, `${queue}/ConsumerGroups/g/Partitions/0`),
      flow(2, 0, 10),
    ];
    const whole = Buffer.concat(talk);
    for (let at = openAndBegin().length; at < whole.length; at += 3) {
      const mutant = Buffer.from(whole);
      mutant[at] = mutant[at]! ^ (1 << (at % 8));
      await using client = await RawClient.signedIn(bus.server.amqpPort, SAS_KEY);
      client.write(mutant);
      await client.until(() => client.of(ATTACH).length > 0);
    }
    await using client = await begun();
    client.write(attach('out', 0, false, queue));
    await eventually(() => expect(client.of(ATTACH)).toHaveLength(1));
    expect(bus.server.output).not.toMatch(/servicebus.failed|ERROR|Uncaught/);
  });
});

/** How many deliveries the server has answered. */
function settledIn(client: RawClient): number {
  const ranges = client
    .of(DISPOSITION)
    .map(({ fields }) => [Number(fields[1]), Number(fields[2] ?? fields[1])] as const);
  return ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

const ACCEPTED = 'accepted';

/** The condition that each delivery was refused with, in the order of their numbers. */
function outcomesIn(client: RawClient): string[] {
  const told = new Map<number, string>();
  for (const { fields } of client.of(DISPOSITION))
    for (let id = Number(fields[1]); id <= Number(fields[2] ?? fields[1]); id++)
      told.set(id, conditionIn(fields[4]) ?? ACCEPTED);
  return [...told].sort(([a], [b]) => a - b).map(([, condition]) => condition);
}

function conditionOf(error: unknown): string | undefined {
  if (!(error instanceof AmqpDescribed) || !Array.isArray(error.value)) return undefined;
  return String(error.value[0]);
}

/** The condition within a rejected outcome. */
function conditionIn(state: unknown): string | undefined {
  return state instanceof AmqpDescribed && Array.isArray(state.value) ? conditionOf(state.value[0]) : undefined;
}
