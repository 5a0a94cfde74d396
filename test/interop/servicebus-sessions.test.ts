// Sessions with the unmodified official client.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { BusUnderTest, name, receiveAll, releases } from '../support/service-bus.ts';

describe.each(releases)('sessions with @azure/service-bus %s', (release, sdk) => {
  let bus: BusUnderTest;
  beforeAll(async () => {
    bus = await BusUnderTest.start(sdk);
  });
  afterAll(() => bus?.[Symbol.asyncDispose]());

  async function sessionTopic(settings = {}) {
    const { topic, sender } = await bus.subscription({ requiresSession: true, ...settings });
    return { topic, sender, accept: (id: string) => bus.client.acceptSession(topic, 's', id) };
  }

  it('keeps the order within each session, and hands a session to one receiver only', async () => {
    const { topic, sender, accept } = await sessionTopic();
    const ids = ['a', 'b', 'a', 'b', 'a'];
    await sender.sendMessages(ids.map((sessionId, i) => ({ body: i, sessionId })));
    const a = await accept('a');
    expect(a.sessionId).toBe('a');
    expect(a.sessionLockedUntilUtc.getTime()).toBeGreaterThan(Date.now() + 50_000);
    await expect(accept('a')).rejects.toMatchObject({ code: 'SessionCannotBeLocked' });
    const got = await receiveAll(a, 3);
    expect(got.map((message) => message.body)).toEqual([0, 2, 4]);
    for (const message of got) await a.completeMessage(message);
    const next = await bus.client.acceptNextSession(topic, 's');
    expect(next.sessionId).toBe('b');
    expect((await receiveAll(next, 2)).map((message) => message.body)).toEqual([1, 3]);
    await a.close();
    const again = await accept('a');
    expect(await again.receiveMessages(1, { maxWaitTimeInMs: 200 })).toEqual([]);
    await again.close();
    await next.close();
  });

  it('gives the messages of a closed session again, with the same delivery count', async () => {
    const { sender, accept } = await sessionTopic();
    await sender.sendMessages({ body: 'x', sessionId: 's1' });
    const first = await accept('s1');
    expect((await receiveAll(first, 1))[0]!.deliveryCount).toBe(0);
    await first.close();
    const second = await accept('s1');
    const [message] = await receiveAll(second, 1);
    expect(message!.deliveryCount).toBe(0);
    await second.abandonMessage(message!);
    const [again] = await receiveAll(second, 1);
    expect(again!.deliveryCount).toBe(1);
    await second.completeMessage(again!);
    await second.close();
  });

  it('delivers and shows a session id as the partition key of what is partitioned, and only there', async () => {
    const { queue, sender } = await bus.queue({ requiresSession: true, enablePartitioning: true });
    await sender.sendMessages([
      { body: 'x', sessionId: 's1' },
      { body: 'y', sessionId: 's2', partitionKey: 's2' },
    ]);
    // The client refuses by itself what has two different ones; so do we.
    const differing = { messages: [{ body: 'z', sessionId: 's1', partitionKey: 'other' }] };
    expect((await bus.server.fetch('POST', `/v1/queues/${queue}/messages`, differing)).status).toBe(400);
    const peeked = await bus.client.createReceiver(queue).peekMessages(2);
    expect(peeked.map(({ partitionKey }) => partitionKey)).toEqual(['s1', 's2']);
    const receiver = await bus.client.acceptSession(queue, 's1');
    const [message] = await receiveAll(receiver, 1);
    expect(message).toMatchObject({ body: 'x', sessionId: 's1', partitionKey: 's1' });
    await receiver.deferMessage(message!);
    const [deferred] = await receiver.receiveDeferredMessages(message!.sequenceNumber!);
    expect(deferred).toMatchObject({ partitionKey: 's1' });
    await receiver.close();
    // Also where there are partitions in fact.
    const parted = name('parted');
    await bus.server.call('PUT', `/v1/queues/${parted}`, { partitions: 3, requiresSession: true });
    await bus.client.createSender(parted).sendMessages({ body: 'x', sessionId: 's3' });
    const next = await bus.client.acceptNextSession(parted);
    expect((await receiveAll(next, 1))[0]).toMatchObject({ sessionId: 's3', partitionKey: 's3' });
    await next.close();
    const plain = await bus.queue({ requiresSession: true });
    await plain.sender.sendMessages({ body: 'x', sessionId: 's1' });
    const [bare] = await plain.receiver().peekMessages(1);
    expect([bare!.sessionId, bare!.partitionKey]).toEqual(['s1', undefined]);
  });

  it('keeps the state of a session, also without messages', async () => {
    const { accept } = await sessionTopic();
    const first = await accept('empty');
    expect(await first.getSessionState()).toBeNull();
    await first.setSessionState({ step: 3 });
    await first.close();
    const second = await accept('empty');
    expect(await second.getSessionState()).toEqual({ step: 3 });
    await second.setSessionState(null);
    expect(await second.getSessionState()).toBeNull();
    await second.close();
  });

  it('takes any text for the name of a session, but for what cannot be kept', async () => {
    const { topic, sender, accept } = await sessionTopic();
    // The older release takes the empty name for any session.
    for (const id of [...(release === '7.9.5' ? [] : ['']), 'größe', "'; --", 'x'.repeat(128)]) {
      await sender.sendMessages({ body: id, sessionId: id });
      const session = await accept(id);
      await session.setSessionState({ id });
      expect(await session.getSessionState()).toEqual({ id });
      const [message] = await receiveAll(session, 1);
      expect(message).toMatchObject({ body: id, sessionId: id });
      await session.completeMessage(message!);
      await session.close();
    }
    // At once, with the client's own patience: it would try again for minutes after a passing error.
    const client = new bus.sdk.ServiceBusClient(bus.connectionString);
    await expect(client.createSender(topic).sendMessages({ body: 1, sessionId: 'a\0b' })).rejects.toThrow(/U\+0000/);
    for (const id of ['a\0b', 'x'.repeat(129)])
      await expect(client.acceptSession(topic, 's', id)).rejects.toMatchObject({ code: 'SessionCannotBeLocked' });
    await client.close();
  });

  it('renews the lock of a session', async () => {
    const { accept } = await sessionTopic();
    const session = await accept('r');
    const before = session.sessionLockedUntilUtc.getTime();
    await eventually(async () => expect((await session.renewSessionLock()).getTime()).toBeGreaterThan(before));
    await session.close();
  });

  it('peeks, defers and dead-letters within a session', async () => {
    const { topic, sender, accept } = await sessionTopic();
    await sender.sendMessages(['x', 'y', 'x'].map((sessionId, body) => ({ body, sessionId })));
    const session = await accept('x');
    expect((await session.peekMessages(5)).map((message) => message.body)).toEqual([0, 2]);
    const [one, two] = await receiveAll(session, 2);
    await session.deferMessage(one!);
    const [deferred] = await session.receiveDeferredMessages(one!.sequenceNumber!);
    await session.completeMessage(deferred!);
    await session.deadLetterMessage(two!, { deadLetterReason: 'r', deadLetterErrorDescription: 'd' });
    await session.close();
    const dead = bus.client.createReceiver(topic, 's', { subQueueType: 'deadLetter' });
    expect(await receiveAll(dead, 1)).toMatchObject([{ body: 2, sessionId: 'x', deadLetterReason: 'r' }]);
  });

  it('waits for the next session until there is one', async () => {
    const { topic, sender } = await sessionTopic();
    const waiting = bus.client.acceptNextSession(topic, 's');
    await sender.sendMessages({ body: 1, sessionId: 'late' });
    const session = await waiting;
    expect(session.sessionId).toBe('late');
    await session.close();
  });

  it('says so when no session came in time', async () => {
    const { topic } = await sessionTopic();
    const options = { retryOptions: { maxRetries: 0, timeoutInMs: 1500 } };
    const client = new bus.sdk.ServiceBusClient(bus.connectionString, options);
    const waiting = client.acceptNextSession(topic, 's');
    await expect(waiting).rejects.toMatchObject({
      code: expect.stringMatching(/ServiceTimeout|SessionCannotBeLocked/),
    });
    await client.close();
  });

  it('tells when the lock of a session was lost, and raises the delivery count', async () => {
    const { sender, accept, topic } = await sessionTopic({ lockDuration: 'PT5S' });
    await sender.sendMessages({ body: 1, sessionId: 'slow' });
    const session = await bus.client.acceptSession(topic, 's', 'slow', { maxAutoLockRenewalDurationInMs: 0 });
    const [message] = await receiveAll(session, 1);
    await eventually(async () => {
      const other = await accept('slow');
      const [again] = await receiveAll(other, 1);
      expect(again!.deliveryCount).toBe(1);
      await other.completeMessage(again!);
      await other.close();
    }, 20_000);
    await expect(session.completeMessage(message!)).rejects.toMatchObject({ code: 'SessionLockLost' });
  });

  it('refuses receivers of the wrong kind, and messages without a session', async () => {
    const { topic } = await sessionTopic();
    const plain = bus.client.createReceiver(topic, 's');
    await expect(plain.receiveMessages(1, { maxWaitTimeInMs: 500 })).rejects.toThrow(/requires sessions/);
    const { topic: other } = await bus.subscription();
    await expect(bus.client.acceptSession(other, 's', 'x')).rejects.toThrow();
    const { sender } = await bus.queue({ requiresSession: true });
    await expect(sender.sendMessages({ body: 1 })).rejects.toThrow(/SessionId/);
    const { topic: third, sender: toTopic } = await bus.subscription({ requiresSession: true });
    await toTopic.sendMessages({ body: 'lost' });
    const dead = bus.client.createReceiver(third, 's', { subQueueType: 'deadLetter' });
    expect(await receiveAll(dead, 1)).toMatchObject([{ body: 'lost', deadLetterReason: 'Session ID is null' }]);
  });
});
