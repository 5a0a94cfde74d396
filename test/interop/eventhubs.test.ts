// Topics as event hubs: the unmodified `@azure/event-hubs` sends to them and reads their partitions. It is a client of
// another kind than the Service Bus one, on the same port with the same connection string.
import {
  EventHubBufferedProducerClient,
  EventHubConsumerClient,
  EventHubProducerClient,
  type EventPosition,
  earliestEventPosition,
  latestEventPosition,
  type ReceivedEventData,
} from '@azure/event-hubs';
import rhea from 'rhea';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { RheaClient } from '../support/rhea-client.ts';
import { BusUnderTest, connectionString, name, QUICK, receiveAll, SAS_KEY } from '../support/service-bus.ts';

const GROUP = EventHubConsumerClient.defaultConsumerGroupName;

describe('a topic as an event hub', () => {
  let bus: BusUnderTest;
  beforeAll(async () => {
    bus = await BusUnderTest.start();
  });
  afterAll(() => bus?.[Symbol.asyncDispose]());

  async function hub(partitions = 4): Promise<string> {
    const topic = name('hub');
    await bus.server.call('PUT', `/v1/topics/${topic}`, { partitions });
    return topic;
  }

  const producerOf = (topic: string) =>
    new EventHubProducerClient(bus.connectionString, topic, { retryOptions: QUICK });
  const consumerOf = (topic: string, group = GROUP) =>
    new EventHubConsumerClient(group, bus.connectionString, topic, { retryOptions: QUICK });

  /** Reads a partition until `count` events came, or nothing came for long. */
  async function read(
    consumer: EventHubConsumerClient,
    partition: string,
    count: number,
    startPosition: EventPosition = earliestEventPosition,
    more: object = {},
  ): Promise<ReceivedEventData[]> {
    const events: ReceivedEventData[] = [];
    const errors: Error[] = [];
    const subscription = consumer.subscribe(
      partition,
      {
        processEvents: async (batch) => void events.push(...batch),
        processError: async (error) => void errors.push(error),
      },
      { startPosition, maxWaitTimeInSeconds: 1, ...more },
    );
    try {
      await eventually(() => {
        if (errors.length === 0) expect(events.length).toBeGreaterThanOrEqual(count);
      });
    } finally {
      await subscription.close();
    }
    if (errors.length > 0) throw errors[0];
    return events;
  }

  it('tells what it is, and what its partitions hold', async () => {
    const topic = await hub(3);
    const producer = producerOf(topic);
    expect(await producer.getEventHubProperties()).toMatchObject({ name: topic, partitionIds: ['0', '1', '2'] });
    const empty = await producer.getPartitionProperties('1');
    expect(empty).toMatchObject({ isEmpty: true, beginningSequenceNumber: -1, lastEnqueuedSequenceNumber: -1 });
    await producer.sendBatch([{ body: 'a' }, { body: 'b' }], { partitionId: '1' });
    const filled = await producer.getPartitionProperties('1');
    expect(filled).toMatchObject({ eventHubName: topic, partitionId: '1', isEmpty: false });
    expect(filled.lastEnqueuedSequenceNumber - filled.beginningSequenceNumber).toBe(1);
    expect(filled.lastEnqueuedOffset).toBe(String(filled.lastEnqueuedSequenceNumber));
    expect(Math.abs(filled.lastEnqueuedOnUtc.getTime() - Date.now())).toBeLessThan(60_000);
    expect(await producer.getPartitionProperties('0')).toMatchObject({ isEmpty: true });
    await expect(producer.getPartitionProperties('3')).rejects.toMatchObject({ code: 'ArgumentOutOfRangeError' });
    await producer.close();
  });

  it('takes events with everything that they carry, into the partition that was named', async () => {
    const topic = await hub();
    const producer = producerOf(topic);
    const consumer = consumerOf(topic);
    const batch = await producer.createBatch({ partitionId: '2' });
    expect(batch.maxSizeInBytes).toBe(1024 * 1024);
    const event = { body: { n: 1 }, contentType: 'application/json', correlationId: 'c', messageId: 'm' };
    batch.tryAdd({ ...event, properties: { kind: 'x', count: 3, yes: true } });
    batch.tryAdd({ body: Buffer.from([1, 2, 3]) });
    batch.tryAdd({ body: 'text' });
    await producer.sendBatch(batch);
    const [first, second, third] = await read(consumer, '2', 3);
    expect(first).toMatchObject({ ...event, properties: { kind: 'x', count: 3, yes: true } });
    expect([second!.body, third!.body]).toEqual([Buffer.from([1, 2, 3]), 'text']);
    expect(second!.messageId).toBeUndefined(); // What the sender did not say is not made up.
    expect(second!.sequenceNumber).toBe(first!.sequenceNumber + 1);
    expect(first!.offset).toBe(String(first!.sequenceNumber));
    expect(first!.partitionKey).toBeUndefined();
    await producer.close();
    await consumer.close();
  });

  it('keeps the events of a key together, where the buffered producer of the client expects them too', async () => {
    const topic = await hub();
    const producer = producerOf(topic);
    const keys = Array.from({ length: 12 }, (_, i) => `customer-${i}`);
    for (const partitionKey of keys) await producer.sendBatch([{ body: 'plain' }], { partitionKey });
    const buffered = new EventHubBufferedProducerClient(bus.connectionString, topic, {
      onSendEventsErrorHandler: async ({ error }) => Promise.reject(error),
      maxWaitTimeInMs: 50,
    });
    for (const partitionKey of keys) await buffered.enqueueEvent({ body: partitionKey }, { partitionKey });
    await buffered.close({ flush: true });
    const consumer = consumerOf(topic);
    const places = new Map<unknown, string>();
    for (const { partitionId, isEmpty } of await Promise.all(
      ['0', '1', '2', '3'].map((id) => producer.getPartitionProperties(id)),
    )) {
      if (isEmpty) continue;
      const { lastEnqueuedSequenceNumber: last, beginningSequenceNumber: first } =
        await producer.getPartitionProperties(partitionId);
      for (const { body, partitionKey } of await read(consumer, partitionId, last - first + 1)) {
        if (body !== 'plain') expect([body, places.get(body)]).toEqual([body, partitionId]);
        else places.set(partitionKey, partitionId);
      }
    }
    expect([...places.keys()].sort()).toEqual(keys.sort());
    expect(new Set(places.values()).size).toBeGreaterThan(1);
    await producer.close();
    await consumer.close();
  });

  it('spreads events without a key, and streams from all partitions while they come', async () => {
    const topic = await hub();
    const consumer = consumerOf(topic, 'watchers');
    const bodies = new Map<string, Set<string>>();
    const stream = consumer.subscribe(
      {
        processEvents: async (events, { partitionId }) => {
          const its = bodies.get(partitionId) ?? new Set();
          bodies.set(partitionId, its);
          for (const { body } of events) its.add(body);
        },
        processError: async () => {},
      },
      { startPosition: earliestEventPosition },
    );
    const producer = producerOf(topic);
    for (let i = 0; i < 40; i++) await producer.sendBatch([{ body: `e${i}` }]);
    const all = () => [...bodies.values()].flatMap((its) => [...its]);
    await eventually(() => expect(all()).toHaveLength(40), 20_000);
    expect(bodies.size).toBeGreaterThan(1);
    await stream.close();
    await consumer.close();
    await producer.close();
  });

  it('begins where it is told: a number, an offset, a time, with or without that very event, or with what is to come', async () => {
    const topic = await hub(2);
    const producer = producerOf(topic);
    const consumer = consumerOf(topic);
    for (let i = 0; i < 5; i++) await producer.sendBatch([{ body: i }], { partitionId: '1' });
    const all = await read(consumer, '1', 5);
    const at = async (position: EventPosition, count: number) =>
      (await read(consumer, '1', count, position)).map(({ body }) => body);
    const { sequenceNumber, offset, enqueuedTimeUtc } = all[2]!;
    expect(await at({ sequenceNumber }, 2)).toEqual([3, 4]);
    expect(await at({ sequenceNumber, isInclusive: true }, 3)).toEqual([2, 3, 4]);
    expect(await at({ offset }, 2)).toEqual([3, 4]);
    expect(await at({ offset, isInclusive: true }, 3)).toEqual([2, 3, 4]);
    expect(await at({ enqueuedOn: enqueuedTimeUtc }, 2)).toEqual([3, 4]);
    expect(await at({ enqueuedOn: new Date(enqueuedTimeUtc.getTime() - 1) }, 3)).toEqual([2, 3, 4]);
    const beyond = Number(offset) + 1000;
    await expect(at({ sequenceNumber: beyond }, 1)).rejects.toMatchObject({ code: 'ArgumentError' });

    const late: unknown[] = [];
    const stream = consumer.subscribe(
      '1',
      {
        processEvents: async (events) => void late.push(...events.map(({ body }) => body)),
        processError: async () => {},
      },
      { startPosition: latestEventPosition },
    );
    let sent = 0;
    await eventually(async () => {
      await producer.sendBatch([{ body: `late ${sent++}` }], { partitionId: '1' });
      expect(late).not.toHaveLength(0);
    });
    await eventually(() => expect(late.at(-1)).toBe(`late ${sent - 1}`));
    expect(late).not.toContain(4);
    await stream.close();
    await producer.close();
    await consumer.close();
  });

  it('tells with each event how far its partition has come, when asked', async () => {
    const topic = await hub(1);
    const producer = producerOf(topic);
    await producer.sendBatch([{ body: 1 }, { body: 2 }]);
    const consumer = consumerOf(topic);
    let seen: { sequenceNumber?: number; offset?: string } | undefined;
    const stream = consumer.subscribe(
      '0',
      {
        processEvents: async (events, { lastEnqueuedEventProperties }) => {
          if (events.length > 0) seen = lastEnqueuedEventProperties;
        },
        processError: async () => {},
      },
      { startPosition: earliestEventPosition, trackLastEnqueuedEventProperties: true, maxBatchSize: 1 },
    );
    const { lastEnqueuedSequenceNumber } = await producer.getPartitionProperties('0');
    await eventually(() =>
      expect(seen).toMatchObject({
        sequenceNumber: lastEnqueuedSequenceNumber,
        offset: String(lastEnqueuedSequenceNumber),
        enqueuedOn: expect.any(Date),
        retrievedOn: expect.any(Date),
      }),
    );
    await stream.close();
    await producer.close();
    await consumer.close();
  });

  it('lets one reader of a group own a partition: the higher level wins, the lower one is told so', async () => {
    const topic = await hub(1);
    /** The client lets a consumer read a partition once, so each has one of its own. */
    const open = (ownerLevel?: number, group?: string) => {
      const consumer = consumerOf(topic, group);
      const state: { code: string | undefined; events: number } = { code: undefined, events: 0 };
      consumer.subscribe(
        '0',
        {
          processEvents: async (events) => {
            state.events += events.length;
          },
          processError: async (error) => {
            state.code = (error as { code?: string }).code;
          },
        },
        { startPosition: earliestEventPosition, ...(ownerLevel === undefined ? {} : { ownerLevel }) },
      );
      return { state, close: () => consumer.close() };
    };
    const producer = producerOf(topic);
    await producer.sendBatch([{ body: 1 }]);
    const first = open(1);
    await eventually(() => expect(first.state.events).toBe(1));
    const late = [open(0), open()];
    for (const { state } of late) await eventually(() => expect(state.code).toBe('ReceiverDisconnectedError'));
    const elsewhere = open(undefined, 'another-group');
    const winner = open(2);
    await eventually(() => expect(first.state.code).toBe('ReceiverDisconnectedError'));
    await eventually(() => expect([winner.state.events, elsewhere.state.events]).toEqual([1, 1]));
    expect([winner.state.code, elsewhere.state.code]).toEqual([undefined, undefined]);
    await Promise.all([first, ...late, elsewhere, winner].map((reader) => reader.close()));
    await producer.close();
  });

  it('is the same log for all: Service Bus clients and HTTP see its events, and it shows what they sent', async () => {
    const topic = await hub(1);
    await bus.admin.createSubscription(topic, 's');
    const producer = producerOf(topic);
    await producer.sendBatch([{ body: { from: 'events' }, properties: { n: 1 } }]);
    await bus.client.createSender(topic).sendMessages({ body: { from: 'bus' }, sessionId: 'one' });
    const event = { id: 'h-1', source: '/h', type: 'h.sent', specversion: '1.0', data: { from: 'http' } };
    await bus.server.call('POST', `/v1/topics/${topic}/events`, event, {
      'content-type': 'application/cloudevents+json',
    });
    const consumer = consumerOf(topic);
    const seen = await read(consumer, '0', 3);
    expect(seen.map(({ body }) => body)).toEqual([{ from: 'events' }, { from: 'bus' }, { from: 'http' }]);
    expect(seen[2]!.properties).toMatchObject({ 'cloudEvents:type': 'h.sent' });
    const received = await receiveAll(bus.client.createReceiver(topic, 's'), 3);
    expect(received[0]).toMatchObject({ body: { from: 'events' }, applicationProperties: { n: 1 } });
    await producer.close();
    await consumer.close();
  });

  it('tells at once what is not there, or not allowed', async () => {
    const topic = await hub(1);
    const missing = producerOf('no-such-hub');
    await expect(missing.getEventHubProperties()).rejects.toMatchObject({ code: 'MessagingEntityNotFoundError' });
    await expect(missing.sendBatch([{ body: 1 }])).rejects.toMatchObject({ code: 'MessagingEntityNotFoundError' });
    const producer = producerOf(topic);
    await expect(producer.sendBatch([{ body: 1 }], { partitionId: '7' })).rejects.toThrow(/partition is invalid/);
    await expect(read(consumerOf(topic), '7', 1)).rejects.toMatchObject({ code: 'ArgumentOutOfRangeError' });
    await expect(read(consumerOf(topic, 'no group!'), '0', 1)).rejects.toThrow(/could not be found/);
    await expect(producer.sendBatch([{ body: Buffer.alloc(1024 * 1024 + 1) }])).rejects.toMatchObject({
      code: 'MessageTooLargeError',
    });
    const stranger = new EventHubProducerClient(connectionString(bus.server.amqpPort, 'd3Jvbmc='), topic, {
      retryOptions: QUICK,
    });
    await expect(stranger.sendBatch([{ body: 1 }])).rejects.toMatchObject({ code: 'UnauthorizedError' });
    await Promise.all([missing, producer, stranger].map((client) => client.close()));
  });

  it('asks for the rights of the topic: Send to send, Listen to read, any to ask what it is', async () => {
    const topic = name('hub');
    const key = Buffer.from('a key of this hub alone').toString('base64');
    const rule = (keyName: string, right: string) => ({
      claimType: 'SharedAccessKey',
      keyName,
      accessRights: [right],
      primaryKey: key,
      secondaryKey: key,
    });
    await bus.admin.createTopic(topic, { authorizationRules: [rule('in', 'Send'), rule('out', 'Listen')] as never });
    const string = (keyName: string) => connectionString(bus.server.amqpPort, key, keyName);
    const options = { retryOptions: QUICK };
    const [sends, listens] = ['in', 'out'].map((each) => new EventHubProducerClient(string(each), topic, options));
    await sends!.sendBatch([{ body: 'x' }]);
    const unauthorized = { code: 'UnauthorizedError' };
    await expect(listens!.sendBatch([{ body: 'y' }])).rejects.toMatchObject(unauthorized);
    expect((await listens!.getPartitionProperties('0')).isEmpty).toBe(false);
    const [reader, stranger] = ['out', 'in'].map(
      (each) => new EventHubConsumerClient(GROUP, string(each), topic, options),
    );
    expect((await read(reader!, '0', 1)).map(({ body }) => body)).toEqual(['x']);
    await expect(read(stranger!, '0', 1)).rejects.toMatchObject(unauthorized);
    await Promise.all([sends, listens, reader, stranger].map((client) => client!.close()));
  });

  it('is closed when its topic is: to readers that wait, too', async () => {
    const topic = await hub(1);
    const producer = producerOf(topic);
    const consumer = consumerOf(topic);
    let code: string | undefined;
    consumer.subscribe(
      '0',
      {
        processEvents: async () => {},
        processError: async (error) => {
          code = (error as { code?: string }).code;
        },
      },
      { startPosition: earliestEventPosition },
    );
    await producer.sendBatch([{ body: 1 }]);
    await bus.admin.updateTopic({ ...(await bus.admin.getTopic(topic)), status: 'ReceiveDisabled' });
    await producer.sendBatch([{ body: 2 }]);
    await eventually(() => expect(code).toBe('MessagingEntityDisabledError'));
    await bus.admin.updateTopic({ ...(await bus.admin.getTopic(topic)), status: 'Disabled' });
    await expect(producer.sendBatch([{ body: 3 }])).rejects.toMatchObject({ code: 'MessagingEntityDisabledError' });
    await producer.close();
    await consumer.close();
  });

  it('refuses an owner level that is no whole number, or below zero', async () => {
    const address = `${await hub(1)}/ConsumerGroups/$default/Partitions/0`;
    await using client = await RheaClient.open(bus.server.amqpPort, SAS_KEY);
    const open = (epoch: unknown) => client.receiver({ source: address, properties: { 'com.microsoft:epoch': epoch } });
    for (const epoch of [
      rhea.types.wrap_double(1.5),
      rhea.types.wrap_double(Number.NaN),
      rhea.types.wrap_long(-1),
      'high',
    ])
      await expect(open(epoch)).rejects.toThrow('com.microsoft:argument-error');
    await open(rhea.types.wrap_long(1));
  });

  it('keeps what a publisher sends together, under its name as the key', async () => {
    const topic = await hub();
    await using client = await RheaClient.open(bus.server.amqpPort, SAS_KEY);
    const sender = await client.sender({ target: `${topic}/Publishers/device-7` });
    const accepted = new Promise((resolve) => sender.once('accepted', resolve));
    sender.send({ body: 'from a device' });
    await accepted;
    const log = await Promise.all(
      [0, 1, 2, 3].map((part) =>
        bus.server.call<{ items: object[] }>('GET', `/v1/topics/${topic}/events?partition=${part}`),
      ),
    );
    const holding = log.findIndex(({ items }) => items.length > 0);
    const consumer = consumerOf(topic);
    expect(await read(consumer, String(holding), 1)).toMatchObject([
      { partitionKey: 'device-7', body: 'from a device' },
    ]);
    await consumer.close();
  });

  it('goes on where it was when the server comes again', async () => {
    const topic = await hub(1);
    const retryOptions = { maxRetries: 200, retryDelayInMs: 200, timeoutInMs: 10_000 };
    const producer = new EventHubProducerClient(bus.connectionString, topic, { retryOptions });
    const consumer = new EventHubConsumerClient(GROUP, bus.connectionString, topic, { retryOptions });
    const bodies: unknown[] = [];
    const stream = consumer.subscribe(
      '0',
      {
        processEvents: async (events) => void bodies.push(...events.map(({ body }) => body)),
        processError: async () => {},
      },
      // The client looks for a lost connection between two waits; its own default is a minute.
      { startPosition: earliestEventPosition, maxWaitTimeInSeconds: 1 },
    );
    await producer.sendBatch([{ body: 0 }, { body: 1 }]);
    await eventually(() => expect(bodies).toEqual([0, 1]));
    await bus.server.end('SIGKILL');
    await bus.server.start();
    await producer.sendBatch([{ body: 2 }]);
    await eventually(() => expect(bodies).toEqual([0, 1, 2]), 30_000);
    await stream.close();
    await producer.close();
    await consumer.close();
  });
});
