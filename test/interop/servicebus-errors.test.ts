// What goes wrong, as the official client shows it: the right code, at once, and never a hang in retries.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { BusUnderTest, connectionString, QUICK, receiveAll, releases } from '../support/service-bus.ts';

describe.each(releases)('errors with @azure/service-bus %s', (_release, sdk) => {
  let bus: BusUnderTest;
  beforeAll(async () => {
    bus = await BusUnderTest.start(sdk);
  });
  afterAll(() => bus?.[Symbol.asyncDispose]());

  it('an entity that does not exist is told at once, though the client would try again', async () => {
    const client = new sdk.ServiceBusClient(bus.connectionString); // with its own patience of minutes
    const began = Date.now();
    const missing = { code: 'MessagingEntityNotFound' };
    await expect(client.createSender('nothing').sendMessages({ body: 1 })).rejects.toMatchObject(missing);
    await expect(client.createReceiver('nothing').receiveMessages(1)).rejects.toMatchObject(missing);
    await expect(client.createReceiver('nothing').peekMessages(1)).rejects.toMatchObject(missing);
    const { topic } = await bus.subscription();
    await expect(client.createReceiver(topic, 'no').receiveMessages(1)).rejects.toMatchObject(missing);
    await expect(client.acceptSession(topic, 'no', 'x')).rejects.toMatchObject(missing);
    expect(Date.now() - began).toBeLessThan(15_000);
    await client.close();
  });

  it('a wrong key and an unknown rule are unauthorized', async () => {
    const { topic } = await bus.subscription();
    for (const string of [
      connectionString(bus.server.amqpPort, 'wrong-key'),
      connectionString(bus.server.amqpPort, 'x', 'NoSuchRule'),
    ]) {
      const client = new sdk.ServiceBusClient(string, { retryOptions: QUICK });
      await expect(client.createSender(topic).sendMessages({ body: 1 })).rejects.toMatchObject({
        code: 'UnauthorizedAccess',
      });
      await client.close();
    }
  });

  it('a message that is too large is refused by its size, sent or scheduled, and the sender goes on', async () => {
    const { sender, receiver } = await bus.subscription();
    const large = { body: Buffer.alloc(1_200_000) };
    await expect(sender.sendMessages(large)).rejects.toMatchObject({ code: 'MessageSizeExceeded' });
    await expect(sender.scheduleMessages(large, new Date(Date.now() + 60_000))).rejects.toMatchObject({
      code: 'MessageSizeExceeded',
    });
    await sender.sendMessages({ body: Buffer.alloc(900_000, 7) });
    const [message] = await receiveAll(receiver(), 1);
    expect((message!.body as Buffer).length).toBe(900_000);
  });

  it('a disabled entity says so', async () => {
    const { queue, sender, receiver } = await bus.queue();
    const settings = await bus.admin.getQueue(queue);
    await bus.admin.updateQueue({ ...settings, status: 'Disabled' });
    const disabled = { code: 'MessagingEntityDisabled' };
    await expect(sender.sendMessages({ body: 1 })).rejects.toMatchObject(disabled);
    await expect(receiver().receiveMessages(1, { maxWaitTimeInMs: 1000 })).rejects.toMatchObject(disabled);
    await bus.admin.updateQueue({ ...settings, status: 'Active' });
    await sender.sendMessages({ body: 1 });
  });

  it('a lock that ran out is lost', async () => {
    const { topic, sender } = await bus.subscription({ lockDuration: 'PT5S' });
    const receiver = () => bus.client.createReceiver(topic, 's', { maxAutoLockRenewalDurationInMs: 0 });
    await sender.sendMessages({ body: 1 });
    const living = receiver();
    const [message] = await receiveAll(living, 1);
    const other = receiver();
    const again = await eventually(async () => {
      const [found] = await other.receiveMessages(1, { maxWaitTimeInMs: 1000 });
      if (!found) throw new Error('The lock holds still.');
      return found;
    }, 15_000);
    expect(again.deliveryCount).toBeGreaterThan(0);
    await expect(living.completeMessage(message!)).rejects.toMatchObject({ code: 'MessageLockLost' });
    await other.completeMessage(again);
  });

  it('a dead letter cannot be dead-lettered again', async () => {
    const { topic, sender, receiver } = await bus.subscription();
    await sender.sendMessages({ body: 1 });
    const living = receiver();
    const [message] = await receiveAll(living, 1);
    await living.deadLetterMessage(message!);
    const dead = bus.client.createReceiver(topic, 's', { subQueueType: 'deadLetter' });
    const [corpse] = await receiveAll(dead, 1);
    await expect(dead.deadLetterMessage(corpse!)).rejects.toThrow(/cannot be dead-lettered again/);
  });

  it('an entity that is deleted takes its links along', async () => {
    const { topic, sender, receiver } = await bus.subscription();
    await sender.sendMessages({ body: 1 });
    const living = receiver();
    await receiveAll(living, 1);
    await bus.admin.deleteTopic(topic);
    await expect(sender.sendMessages({ body: 2 })).rejects.toMatchObject({ code: 'MessagingEntityNotFound' });
    await expect(living.receiveMessages(1, { maxWaitTimeInMs: 1000 })).rejects.toMatchObject({
      code: 'MessagingEntityNotFound',
    });
  });

  it('ids that are too long and topics as sources are refused without retries', async () => {
    const { topic, sender } = await bus.subscription();
    await expect(sender.sendMessages({ body: 1, sessionId: 'x', partitionKey: 'y' })).rejects.toThrow();
    const onTopic = bus.client.createReceiver(topic);
    await expect(onTopic.receiveMessages(1, { maxWaitTimeInMs: 500 })).rejects.toThrow(/subscriptions/);
  });
});
