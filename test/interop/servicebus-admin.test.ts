// The administration with the unmodified official client: every setting goes in and comes out, errors have their codes.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_KEY } from '../support/server-process.ts';
import { BusUnderTest, connectionString, name, releases, SAS_KEY } from '../support/service-bus.ts';

const FOREVER = 'P10675199DT2H48M5.4775807S';

describe.each(releases)('administration with @azure/service-bus %s', (_release, sdk) => {
  let bus: BusUnderTest;
  beforeAll(async () => {
    bus = await BusUnderTest.start(sdk);
  });
  afterAll(() => bus?.[Symbol.asyncDispose]());

  it('gives a new topic, subscription and queue the defaults of the original', async () => {
    const [topic, queue] = [name('topic'), name('queue')];
    expect(await bus.admin.topicExists(topic)).toBe(false);
    const made = await bus.admin.createTopic(topic);
    await bus.admin.updateTopic(made); // Clients send back what they were shown: that is no quota.
    const inside = await bus.server.call<object>('GET', `/v1/topics/${topic}`);
    expect(inside).toMatchObject({ maxSizeBytes: null });
    expect(made).toMatchObject({
      name: topic,
      defaultMessageTimeToLive: FOREVER,
      autoDeleteOnIdle: FOREVER,
      maxSizeInMegabytes: 1024,
      requiresDuplicateDetection: false,
      duplicateDetectionHistoryTimeWindow: 'PT10M',
      enableBatchedOperations: true,
      supportOrdering: true,
      enablePartitioning: false,
      status: 'Active',
      availabilityStatus: 'Available',
    });
    expect(await bus.admin.topicExists(topic)).toBe(true);
    expect(await bus.admin.createSubscription(topic, 's')).toMatchObject({
      topicName: topic,
      subscriptionName: 's',
      lockDuration: 'PT1M',
      maxDeliveryCount: 10,
      requiresSession: false,
      defaultMessageTimeToLive: FOREVER,
      deadLetteringOnMessageExpiration: false,
      deadLetteringOnFilterEvaluationExceptions: true,
    });
    expect(await bus.admin.createQueue(queue)).toMatchObject({
      name: queue,
      lockDuration: 'PT1M',
      maxDeliveryCount: 10,
    });
    const [rule] = await all(bus.admin.listRules(topic, 's'));
    expect(rule).toMatchObject({ name: '$Default', filter: { sqlExpression: '1=1' } });
  });

  it('keeps every setting of a queue, and changes them', async () => {
    const [queue, target] = [name('queue'), name('queue')];
    await bus.admin.createQueue(target);
    const settings = {
      lockDuration: 'PT30S',
      maxSizeInMegabytes: 2048,
      requiresDuplicateDetection: true,
      requiresSession: true,
      defaultMessageTimeToLive: 'P1DT2H3M4.5S',
      deadLetteringOnMessageExpiration: true,
      duplicateDetectionHistoryTimeWindow: 'PT1H',
      maxDeliveryCount: 7,
      enableBatchedOperations: false,
      userMetadata: 'a <b> & "c"',
      autoDeleteOnIdle: 'PT10M',
      enablePartitioning: true,
      forwardDeadLetteredMessagesTo: target,
    };
    const made = await bus.admin.createQueue(queue, settings);
    const same = { ...settings, maxSizeInMegabytes: 32_768, forwardDeadLetteredMessagesTo: `sb://localhost/${target}` };
    expect(made).toMatchObject(same);
    const known = await bus.admin.getQueue(queue);
    expect(known).toMatchObject(same);
    const inside = await bus.server.call<object>('GET', `/v1/queues/${queue}`);
    expect(inside).toMatchObject({ maxSizeBytes: 32_768 * 1024 * 1024 });
    const changed = await bus.admin.updateQueue({ ...known, lockDuration: 'PT45S', status: 'SendDisabled' });
    expect(changed).toMatchObject({ ...same, lockDuration: 'PT45S', status: 'SendDisabled' });
    for (const [change, words] of [
      [{ requiresSession: false, lockDuration: 'PT1M' }, /RequiresSession of .* is true, .* make another queue/],
      [{ requiresDuplicateDetection: false }, /'RequiresDuplicateDetection' cannot be changed/],
      [{ enablePartitioning: false }, /'EnablePartitioning' cannot be changed/],
    ] as const) {
      const refused = bus.admin.updateQueue({ ...known, ...change, userMetadata: 'other' });
      await expect(refused).rejects.toMatchObject({ statusCode: 400, message: expect.stringMatching(words) });
    }
    expect(await bus.admin.getQueue(queue)).toMatchObject({ ...same, lockDuration: 'PT45S', status: 'SendDisabled' });
    await expect(bus.admin.updateQueue({ ...known, maxMessageSizeInKilobytes: 5 })).rejects.toThrow(
      /between 1024 and 102400/,
    );
  });

  it('takes back the size of messages that it has shown, though the setting is no number of kilobytes', async () => {
    const { queue } = await bus.queue();
    const url = `${bus.server.url}/v1/queues/${queue}`;
    const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' };
    const setting = async (method: string, body?: string) => {
      const answer = await fetch(url, { method, headers, ...(body && { body }) });
      return ((await answer.json()) as { maxMessageBytes: number }).maxMessageBytes;
    };
    expect(await setting('PUT', '{"maxMessageBytes":300000}')).toBe(300_000);
    const known = await bus.admin.getQueue(queue);
    expect(known.maxMessageSizeInKilobytes).toBe(292);
    await bus.admin.updateQueue({ ...known, lockDuration: 'PT45S' });
    expect(await setting('GET')).toBe(300_000);
  });

  it('updates and deletes a topic and its subscription', async () => {
    const topic = name('topic');
    const made = await bus.admin.createTopic(topic, { userMetadata: 'one' });
    expect(
      await bus.admin.updateTopic({ ...made, userMetadata: 'two', defaultMessageTimeToLive: 'PT1H' }),
    ).toMatchObject({
      userMetadata: 'two',
      defaultMessageTimeToLive: 'PT1H',
    });
    const subscription = await bus.admin.createSubscription(topic, 's');
    expect(await bus.admin.updateSubscription({ ...subscription, maxDeliveryCount: 3 })).toMatchObject({
      maxDeliveryCount: 3,
    });
    await expect(
      bus.admin.updateSubscription({ ...subscription, requiresSession: true, maxDeliveryCount: 4 }),
    ).rejects.toMatchObject({ statusCode: 400, message: expect.stringMatching(/RequiresSession of .* is false/) });
    expect(await bus.admin.getSubscription(topic, 's')).toMatchObject({ requiresSession: false, maxDeliveryCount: 3 });
    await bus.admin.deleteSubscription(topic, 's');
    expect(await bus.admin.subscriptionExists(topic, 's')).toBe(false);
    await bus.admin.deleteTopic(topic);
    expect(await bus.admin.topicExists(topic)).toBe(false);
  });

  it('keeps rules of all kinds', async () => {
    const topic = name('topic');
    await bus.admin.createTopic(topic);
    await bus.admin.createSubscription(topic, 's');
    const sql = { sqlExpression: 'color = @c AND size > @n', sqlParameters: { '@c': 'red', '@n': 5 } };
    await bus.admin.createRule(topic, 's', 'sql', sql, { sqlExpression: "SET a = 'b'" });
    const correlation = {
      correlationId: 'c',
      subject: 'l',
      applicationProperties: { a: 1, b: 'x', c: true, d: new Date(0), e: 1.5 },
    };
    await bus.admin.createRule(topic, 's', 'correlation', correlation);
    expect(await bus.admin.getRule(topic, 's', 'sql')).toMatchObject({
      filter: sql,
      action: { sqlExpression: "SET a = 'b'" },
    });
    expect(await bus.admin.getRule(topic, 's', 'correlation')).toMatchObject({ filter: correlation });
    const rule = await bus.admin.getRule(topic, 's', 'sql');
    await bus.admin.updateRule(topic, 's', { ...rule, filter: { sqlExpression: '1=0' } });
    expect(await bus.admin.getRule(topic, 's', 'sql')).toMatchObject({ filter: { sqlExpression: '1=0' } });
    expect((await all(bus.admin.listRules(topic, 's'))).map(({ name }) => name)).toEqual([
      '$Default',
      'correlation',
      'sql',
    ]);
    await bus.admin.deleteRule(topic, 's', '$Default');
    expect(await bus.admin.ruleExists(topic, 's', '$Default')).toBe(false);
    await expect(bus.admin.createRule(topic, 's', 'bad', { sqlExpression: 'x = ' })).rejects.toMatchObject({
      statusCode: 400,
    });
  });

  it('lists in pages, by name, with runtime properties', async () => {
    const topic = name('paged');
    await bus.admin.createTopic(topic);
    const names = [...Array(7).keys()].map((i) => `s${i}`);
    for (const each of names) await bus.admin.createSubscription(topic, each);
    const pages: string[][] = [];
    for await (const page of bus.admin.listSubscriptions(topic).byPage({ maxPageSize: 3 }))
      pages.push(page.map((each) => each.subscriptionName));
    expect(pages).toEqual([names.slice(0, 3), names.slice(3, 6), names.slice(6)]);
    expect(await all(bus.admin.listSubscriptionsRuntimeProperties(topic))).toHaveLength(7);
    expect((await all(bus.admin.listTopics())).map((each) => each.name)).toContain(topic);
    expect(await all(bus.admin.listQueuesRuntimeProperties())).toEqual(expect.any(Array));
    const namespace = await bus.admin.getNamespaceProperties();
    expect(namespace).toMatchObject({ messagingSku: 'Standard' });
    expect(namespace.createdAt.getTime()).toBeGreaterThan(Date.UTC(2020, 0));
    await bus.client.createSender(topic).sendMessages({ body: Buffer.alloc(10_000) });
    const { sizeInBytes } = await bus.admin.getTopicRuntimeProperties(topic);
    expect(sizeInBytes).toBeGreaterThan(10_000);
    const listed = (await all(bus.admin.listTopicsRuntimeProperties())).find((each) => each.name === topic);
    expect(listed).toMatchObject({ sizeInBytes, subscriptionCount: 7 });
  });

  it('answers mistakes with the codes of the original', async () => {
    const { topic } = await bus.subscription();
    await expect(bus.admin.createTopic(topic)).rejects.toMatchObject({ code: 'MessageEntityAlreadyExistsError' });
    await expect(bus.admin.createTopic(topic.toUpperCase())).rejects.toMatchObject({ statusCode: 409 });
    // Topics and queues share their names.
    const asQueue = bus.admin.createQueue(topic);
    await expect(asQueue).rejects.toMatchObject({ code: 'MessageEntityAlreadyExistsError' });
    await expect(asQueue).rejects.toThrow(/exists already, as a topic/);
    await expect(bus.admin.getTopic('nothing')).rejects.toMatchObject({ code: 'MessageEntityNotFoundError' });
    await expect(bus.admin.deleteQueue('nothing')).rejects.toMatchObject({ code: 'MessageEntityNotFoundError' });
    await expect(bus.admin.createSubscription('nothing', 's')).rejects.toMatchObject({ statusCode: 404 });
    await expect(bus.admin.createQueue(name('q'), { lockDuration: 'PT10M' })).rejects.toMatchObject({
      code: 'ServiceError',
    });
    await expect(bus.admin.createQueue(name('q'), { forwardTo: 'nothing' })).rejects.toMatchObject({ statusCode: 400 });
    await expect(bus.admin.createTopic('bad name!')).rejects.toMatchObject({ statusCode: 400 });
    const options = { tlsOptions: { ca: bus.ca }, retryOptions: { maxRetries: 0 } } as object;
    const wrong = new sdk.ServiceBusAdministrationClient(connectionString(bus.server.amqpPort, 'wrong'), options);
    await expect(wrong.createTopic(name('t'))).rejects.toMatchObject({ code: 'UnauthorizedRequestError' });
  });

  it('changes nothing when a part of what it is told is wrong, and says which in the words of the client', async () => {
    const { queue } = await bus.queue();
    const known = await bus.admin.getQueue(queue);
    const half = { ...known, lockDuration: 'PT30S', autoDeleteOnIdle: 'PT1M' };
    await expect(bus.admin.updateQueue(half)).rejects.toThrow(/'AutoDeleteOnIdle' must be PT5M or more/);
    const rule = { keyName: 'r', accessRights: ['Manage'], claimType: 'SharedAccessKey' };
    const guarded = { ...known, lockDuration: 'PT30S', authorizationRules: [rule] } as never;
    await expect(bus.admin.updateQueue(guarded)).rejects.toMatchObject({ statusCode: 400 });
    expect(await bus.admin.getQueue(queue)).toMatchObject({ lockDuration: 'PT1M' });
    const fresh = name('queue');
    await expect(bus.admin.createQueue(fresh, { authorizationRules: [rule] as never })).rejects.toThrow(
      /rights of 'r'/,
    );
    expect(await bus.admin.queueExists(fresh)).toBe(false);
    const say = (settings: object) => bus.admin.createQueue(fresh, settings);
    await expect(say({ lockDuration: 'PT4S' })).rejects.toThrow(/'LockDuration' must be between PT5S and PT5M/);
    await expect(say({ userMetadata: 'x'.repeat(1025) })).rejects.toThrow(/UserMetadata .* at most 1024 characters/);
    await expect(say({ maxMessageSizeInKilobytes: 102_401 })).rejects.toThrow(/between 1 and 102400/);
    await expect(say({ forwardTo: 'nowhere' })).rejects.toThrow(/no such queue or topic/);
    await expect(say({ forwardTo: fresh })).rejects.toThrow(/to itself/);
    await expect(say({ requiresSession: true, forwardTo: queue })).rejects.toThrow(/requires sessions/);
  });

  it('refuses pages and values that are none', async () => {
    const { topic } = await bus.subscription();
    const at = `http://127.0.0.1:${bus.server.amqpPort}`;
    const ask = async (path: string, body?: string) => {
      const headers = { authorization: `Bearer ${ADMIN_KEY}` };
      const answer = await fetch(at + path, body === undefined ? { headers } : { method: 'PUT', headers, body });
      return [answer.status, /<Detail>(.*?) TrackingId/.exec(await answer.text())?.[1]];
    };
    expect(await ask('/$Resources/Topics?$top=0')).toEqual([400, "The value of '$top' is no whole number from 1 on."]);
    expect((await ask('/$Resources/Topics?$skip=-1'))[0]).toBe(400);
    expect((await ask('/$Resources/Topics?$skip=100000'))[0]).toBe(200);
    for (const [type, text] of [
      ['long', 'many'],
      ['long', '9223372036854775808'],
      ['int', '1.5'],
      ['double', 'INF'],
      ['boolean', 'perhaps'],
      ['boolean', 'constructor'],
      ['dateTime', 'today'],
    ]) {
      const value = `<Value p4:type="l28:${type}">${text}</Value>`;
      const pairs = `<Properties><KeyValueOfstringanyType><Key>k</Key>${value}</KeyValueOfstringanyType></Properties>`;
      const filter = `<RuleDescription><Filter i:type="CorrelationFilter">${pairs}</Filter></RuleDescription>`;
      const answer = await ask(`/${topic}/Subscriptions/s/Rules/x`, `<entry><content>${filter}</content></entry>`);
      expect(answer).toEqual([400, `&quot;${text}&quot; is no value of type ${type}.`]);
    }
  });

  it('gives entities rules of their own, which open what they say and nothing else', async () => {
    const queue = name('guarded');
    const key = Buffer.from('k'.repeat(32)).toString('base64');
    const rules = [
      { keyName: 'in', accessRights: ['Send'], claimType: 'SharedAccessKey', primaryKey: key, secondaryKey: SAS_KEY },
    ] as never;
    const made = await bus.admin.createQueue(queue, { authorizationRules: rules });
    expect(made.authorizationRules).toMatchObject([{ keyName: 'in', accessRights: ['Send'], primaryKey: key }]);
    const quick = { retryOptions: { maxRetries: 0, timeoutInMs: 3000 } };
    for (const each of [key, SAS_KEY]) {
      const client = new sdk.ServiceBusClient(connectionString(bus.server.amqpPort, each, 'in'), quick);
      await client.createSender(queue).sendMessages({ body: 1 });
      await expect(client.createReceiver(queue).receiveMessages(1, { maxWaitTimeInMs: 500 })).rejects.toMatchObject({
        code: 'UnauthorizedAccess',
      });
      await client.close();
    }
    const changed = [{ ...(rules as object[])[0], primaryKey: SAS_KEY, secondaryKey: SAS_KEY }] as never;
    await bus.admin.updateQueue({ ...made, authorizationRules: changed });
    const rotated = new sdk.ServiceBusClient(connectionString(bus.server.amqpPort, key, 'in'), quick);
    await expect(rotated.createSender(queue).sendMessages({ body: 1 })).rejects.toMatchObject({
      code: 'UnauthorizedAccess',
    });
    await rotated.close();
  });

  it('lets the key of an entity forward its messages only where it may send', async () => {
    const key = Buffer.from('k'.repeat(32)).toString('base64');
    const guarded = async (accessRights: string[], keyName: string) => {
      const rule = { keyName, accessRights, claimType: 'SharedAccessKey', primaryKey: key, secondaryKey: SAS_KEY };
      const queue = name('queue');
      return bus.admin.createQueue(queue, { authorizationRules: [rule] as never });
    };
    const mine = await guarded(['Manage', 'Send', 'Listen'], 'mine');
    const [open, closed] = [await guarded(['Send'], 'mine'), await guarded(['Send'], 'other')];
    const options = { tlsOptions: { ca: bus.ca }, retryOptions: { maxRetries: 0 } } as object;
    const owner = new sdk.ServiceBusAdministrationClient(connectionString(bus.server.amqpPort, key, 'mine'), options);
    const forward = (settings: object) => owner.updateQueue({ ...mine, ...settings });
    const refused = { code: 'UnauthorizedRequestError' };
    await expect(forward({ forwardTo: closed.name })).rejects.toMatchObject(refused);
    await expect(forward({ forwardDeadLetteredMessagesTo: closed.name })).rejects.toMatchObject(refused);
    expect((await owner.getQueue(mine.name)).forwardTo).toBeUndefined();
    // Its clients prove that they may send there with a second token of the same key.
    const both = await forward({ forwardTo: open.name, forwardDeadLetteredMessagesTo: open.name });
    expect(both.forwardTo).toContain(open.name);
    await bus.admin.updateQueue({ ...both, forwardTo: closed.name });
  });

  it('keeps entities and messages over a restart', async () => {
    const { topic, sender } = await bus.subscription({ maxDeliveryCount: 4 });
    await sender.sendMessages({ body: 'kept' });
    await bus.server.end();
    await bus.server.start();
    expect(await bus.admin.getSubscription(topic, 's')).toMatchObject({ maxDeliveryCount: 4 });
    expect((await bus.admin.getSubscriptionRuntimeProperties(topic, 's')).activeMessageCount).toBe(1);
  });
});

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
