// What goes wrong, as the official client shows it: the right code, at once, and never a hang in retries.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { BusUnderTest, connectionString, name, QUICK, receiveAll, releases } from '../support/service-bus.ts';

/** Small ones, so that a test comes to them. */
const LIMITS = {
  CARILLON_TOPIC_SUBSCRIPTIONS: '3',
  CARILLON_TOPIC_SQL_RULES: '2',
  CARILLON_TOPIC_CORRELATION_RULES: '1',
  CARILLON_AUTHORIZATION_RULES: '1',
  CARILLON_PROPERTY_BYTES: '1000',
  CARILLON_PROPERTIES_BYTES: '2000',
};

describe.each(releases)('errors with @azure/service-bus %s', (_release, sdk) => {
  let bus: BusUnderTest;
  beforeAll(async () => {
    bus = await BusUnderTest.start(sdk, LIMITS);
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

  it('properties that are too large are refused by their size, alone and together, by AMQP and by HTTP', async () => {
    const { topic, sender, receiver } = await bus.subscription();
    const property = 'x'.repeat(900);
    const tooLarge = { code: 'MessageSizeExceeded' };
    const send = (applicationProperties: Record<string, string>) =>
      sender.sendMessages({ body: 1, applicationProperties });
    await expect(send({ p: property + property })).rejects.toMatchObject(tooLarge);
    await expect(send({ p: property, q: property, r: property })).rejects.toMatchObject(tooLarge);
    const later = new Date(Date.now() + 60_000);
    const scheduled = sender.scheduleMessages({ body: 1, applicationProperties: { p: property + property } }, later);
    await expect(scheduled).rejects.toMatchObject(tooLarge);
    const event = { specversion: '1.0', id: 'h', source: '/h', type: 'h', large: property + property };
    const headers = { 'content-type': 'application/cloudevents+json' };
    const answer = await bus.server.fetch('POST', `/v1/topics/${topic}/events`, event, headers);
    expect([answer.status, await answer.json()]).toMatchObject([413, { code: 'too_large' }]);
    await send({ p: property, q: property });
    expect(await receiveAll(receiver(), 1)).toMatchObject([{ applicationProperties: { p: property, q: property } }]);
  });

  it('a topic has so many subscriptions and rules, and no more, by administration, AMQP and HTTP', async () => {
    const { topic } = await bus.subscription();
    const quota = { code: 'QuotaExceededError', statusCode: 403 };
    const sql = (rule: string) => bus.admin.createRule(topic, 's', rule, { sqlExpression: 'a = 1' });
    await sql('one');
    await bus.admin.createSubscription(topic, 's2', {
      defaultRuleOptions: { name: 'two', filter: { sqlExpression: 'a = 2' } },
    });
    await expect(sql('three')).rejects.toMatchObject(quota);
    const rules = bus.client.createRuleManager(topic, 's');
    await expect(rules.createRule('three', { sqlExpression: 'a = 1' })).rejects.toMatchObject({
      code: 'QuotaExceeded',
    });
    await rules.createRule('by-id', { correlationId: 'x' });
    await expect(rules.createRule('by-label', { subject: 'x' })).rejects.toMatchObject({ code: 'QuotaExceeded' });
    await bus.admin.deleteRule(topic, 's', 'one');
    await sql('three');
    await bus.admin.createSubscription(topic, 's3');
    await expect(bus.admin.createSubscription(topic, 's4')).rejects.toMatchObject(quota);
    const answer = await bus.server.fetch('PUT', `/v1/topics/${topic}/subscriptions/s4`, {});
    expect([answer.status, await answer.json()]).toMatchObject([403, { code: 'quota_exceeded' }]);
    const rule = (keyName: string) => ({ claimType: 'SharedAccessKey', keyName, accessRights: ['Send' as const] });
    const guarded = (count: number) =>
      bus.admin.createQueue(name('queue'), { authorizationRules: ['a', 'b'].slice(0, count).map(rule) as never });
    await guarded(1);
    await expect(guarded(2)).rejects.toMatchObject(quota);
    const names: string[] = [];
    for await (const { subscriptionName } of bus.admin.listSubscriptions(topic)) names.push(subscriptionName);
    expect(names).toEqual(['s', 's2', 's3']);
    await bus.admin.deleteSubscription(topic, 's2');
    await bus.admin.createSubscription(topic, 's4');
  });

  it('ids that are too long and topics as sources are refused without retries', async () => {
    const { topic, sender } = await bus.subscription();
    await expect(sender.sendMessages({ body: 1, sessionId: 'x', partitionKey: 'y' })).rejects.toThrow();
    const onTopic = bus.client.createReceiver(topic);
    await expect(onTopic.receiveMessages(1, { maxWaitTimeInMs: 500 })).rejects.toThrow(/subscriptions/);
  });
});
