// Who may come in, for how long, and what a closed entity says. What Azure's client has no call for is said on plain rhea
// or by the byte.
import { createHmac } from 'node:crypto';
import { ServiceBusClient } from '@azure/service-bus';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signSasToken } from '../../src/kit/sas.ts';
import { eventually } from '../support/eventually.ts';
import {
  BEGIN,
  openAndBegin,
  RawClient,
  SASL_MECHANISMS,
  SASL_OUTCOME,
  signIn,
  signInBy,
} from '../support/raw-amqp.ts';
import { RheaClient } from '../support/rhea-client.ts';
import { ADMIN_KEY } from '../support/server-process.ts';
import { BusUnderTest, connectionString, QUICK, receiveAll, SAS_KEY } from '../support/service-bus.ts';

const ROOT = 'RootManageSharedAccessKey';

describe('access to the Service Bus door', () => {
  let bus: BusUnderTest;
  beforeAll(async () => {
    bus = await BusUnderTest.start();
  });
  afterAll(() => bus?.[Symbol.asyncDispose]());

  it.each(['ANONYMOUS', 'MSSBCBS', 'EXTERNAL'])('lets a client in by %s, to put its token later', async (mechanism) => {
    await using client = new RawClient(bus.server.amqpPort);
    client.write(signInBy(mechanism));
    await client.until(() => client.of(SASL_OUTCOME).length > 0);
    expect(String(client.of(SASL_MECHANISMS)[0]!.fields[0])).toContain(mechanism);
    expect(client.of(SASL_OUTCOME)[0]!.fields[0]).toBe(0);
    client.write(openAndBegin());
    await eventually(() => expect(client.of(BEGIN)).toHaveLength(1));
  });

  it('refuses a mechanism that it does not have, and a wrong key', async () => {
    for (const bytes of [signInBy('GSSAPI'), signIn('wrong')]) {
      await using client = new RawClient(bus.server.amqpPort);
      client.write(bytes);
      await client.until(() => client.of(SASL_OUTCOME).length > 0);
      expect(client.of(SASL_OUTCOME)[0]!.fields[0]).toBe(1);
    }
  });

  it('takes what a client says ahead, before it has read that its SASL succeeded', async () => {
    for (const bytes of [signInBy('ANONYMOUS'), signIn(SAS_KEY)]) {
      await using client = new RawClient(bus.server.amqpPort);
      client.write(bytes, openAndBegin());
      await eventually(() => expect(client.of(BEGIN)).toHaveLength(1));
    }
  });

  it('ends a link when its token has expired, and not when a newer one was put', async () => {
    const [ending, lasting] = [await bus.queue(), await bus.queue()];
    await using client = await RheaClient.open(bus.server.amqpPort);
    const put = (queue: string, seconds: number) =>
      client.putToken(signSasToken(`sb://localhost/${queue}`, ROOT, SAS_KEY, seconds, new Date()), `sb://h/${queue}`);
    for (const { queue } of [ending, lasting]) expect((await put(queue, 3)).status).toBe(202);
    const receivers = [
      await client.receiver({ source: ending.queue }),
      await client.receiver({ source: lasting.queue }),
    ] as const;
    expect((await put(lasting.queue, 600)).status).toBe(202);
    const ended = new Promise((resolve) => receivers[0].once('receiver_close', () => resolve(receivers[0].error)));
    expect(await ended).toMatchObject({ condition: 'amqp:unauthorized-access' });
    expect(receivers[1].is_open()).toBe(true);
    await expect(client.sender({ target: ending.queue })).rejects.toThrow('amqp:unauthorized-access');
  });

  it('refuses tokens that are expired, for another entity, forged, or of an unknown type', async () => {
    const { queue } = await bus.queue();
    await using client = await RheaClient.open(bus.server.amqpPort);
    const [now, uri] = [new Date(), `sb://h/${queue}`];
    for (const token of [
      signSasToken(uri, ROOT, SAS_KEY, -5, now),
      signSasToken('sb://h/other', ROOT, SAS_KEY, 600, now),
      signSasToken(uri, ROOT, 'not-the-key', 600, now),
      signSasToken(uri, 'NoSuchRule', SAS_KEY, 600, now),
      'rubbish',
    ])
      expect(await client.putToken(token, uri)).toMatchObject({ status: 401, condition: 'amqp:unauthorized-access' });
    expect(await client.putToken('x', uri, 'kerberos')).toMatchObject({ status: 401 });
    const good = signSasToken('sb://h/nothing', ROOT, SAS_KEY, 600, now);
    expect(await client.putToken(good, 'sb://h/nothing')).toMatchObject({ status: 404, condition: 'amqp:not-found' });
  });

  it("takes a JWT signed with the key of an entity's rule, for the rule's rights there and nowhere else", async () => {
    const [guarded, other] = [await bus.queue(), await bus.queue()];
    const key = Buffer.alloc(32, 'k').toString('base64');
    const rule = { keyName: 'out', accessRights: ['Listen'], claimType: 'SharedAccessKey', primaryKey: key };
    const settings = await bus.admin.getQueue(guarded.queue);
    await bus.admin.updateQueue({ ...settings, authorizationRules: [{ ...rule, secondaryKey: SAS_KEY }] as never });
    await using client = await RheaClient.open(bus.server.amqpPort);
    const [one, two] = [jwt({ kid: 'out' }, key), jwt({ kid: 'out' }, SAS_KEY)];
    expect(await client.putToken(one, `sb://h/${other.queue}`, 'jwt')).toMatchObject({ status: 401 });
    expect(await client.putToken(jwt({ kid: 'out' }, 'x'), `sb://h/${guarded.queue}`, 'jwt')).toMatchObject({
      status: 401,
    });
    expect(await client.putToken(jwt({ kid: 'out', exp: 1 }, key), `sb://h/${guarded.queue}`, 'jwt')).toMatchObject({
      status: 401,
    });
    for (const token of [one, two])
      expect(await client.putToken(token, `sb://h/${guarded.queue}`, 'amqp:jwt')).toMatchObject({ status: 202 });
    expect((await client.receiver({ source: guarded.queue })).is_open()).toBe(true);
    await expect(client.sender({ target: guarded.queue })).rejects.toThrow('amqp:unauthorized-access');
    expect(await client.putToken(ADMIN_KEY, `sb://h/${other.queue}`, 'jwt')).toMatchObject({ status: 202 });
    await client.sender({ target: other.queue });
  });

  it('changes the keys of the namespace while it runs, one after the other, and keeps them over a restart', async () => {
    const { queue } = await bus.queue();
    const tries = async (key: string) => {
      const client = new ServiceBusClient(connectionString(bus.server.amqpPort, key), { retryOptions: QUICK });
      const sent = client.createSender(queue).sendMessages({ body: 1 });
      return sent
        .then(
          () => 'in',
          (error) => error.code,
        )
        .finally(() => client.close());
    };
    const keys = async (path: string, method = 'GET', key = ADMIN_KEY) => {
      const url = `http://127.0.0.1:${bus.server.amqpPort}/$keys${path}`;
      const answer = await fetch(url, { method, headers: { authorization: `Bearer ${key}` } });
      const body = answer.ok ? await answer.json() : {};
      return { status: answer.status, ...(body as { primary?: string; secondary?: string }) };
    };
    expect(await keys('')).toEqual({ status: 200, primary: SAS_KEY });
    expect((await keys('', 'GET', 'nobody-at-all')).status).toBe(401);
    expect((await keys('/third', 'PUT')).status).toBe(400);
    const { secondary } = await keys('/secondary', 'PUT');
    expect([await tries(SAS_KEY), await tries(secondary!)]).toEqual(['in', 'in']);
    const { primary } = await keys('/primary', 'PUT');
    expect([await tries(primary!), await tries(secondary!), await tries(SAS_KEY)]).toEqual([
      'in',
      'in',
      'UnauthorizedAccess',
    ]);
    await bus.server.end();
    await bus.server.start();
    expect(await keys('')).toEqual({ status: 200, primary, secondary });
    expect([await tries(primary!), await tries(SAS_KEY)]).toEqual(['in', 'UnauthorizedAccess']);
  });
});

describe('what is closed', () => {
  let bus: BusUnderTest;
  beforeAll(async () => {
    bus = await BusUnderTest.start();
  });
  afterAll(() => bus?.[Symbol.asyncDispose]());
  const disabled = { code: 'MessagingEntityDisabled' };

  it('a queue that sends are disabled for gives out what it has, and one that receives are disabled for takes more', async () => {
    const { queue, sender, receiver } = await bus.queue();
    const settings = await bus.admin.getQueue(queue);
    const set = (status: string) => bus.admin.updateQueue({ ...settings, status } as never);
    await sender.sendMessages({ body: 1 });
    await set('SendDisabled');
    await expect(sender.sendMessages({ body: 2 })).rejects.toMatchObject(disabled);
    await expect(sender.scheduleMessages({ body: 2 }, new Date(Date.now() + 60_000))).rejects.toMatchObject(disabled);
    const living = receiver();
    const [one] = await receiveAll(living, 1);
    await living.completeMessage(one!);
    await set('ReceiveDisabled');
    await sender.sendMessages({ body: 3 });
    await expect(living.receiveMessages(1, { maxWaitTimeInMs: 500 })).rejects.toMatchObject(disabled);
    await expect(receiver().receiveMessages(1, { maxWaitTimeInMs: 500 })).rejects.toMatchObject(disabled);
    await set('Active');
    expect((await receiveAll(receiver(), 1))[0]!.body).toBe(3);
  });

  it('a subscription that is disabled gets its messages and gives none, a topic that is disabled takes none', async () => {
    const { topic, sender, receiver } = await bus.subscription();
    const subscription = await bus.admin.getSubscription(topic, 's');
    await bus.admin.updateSubscription({ ...subscription, status: 'ReceiveDisabled' });
    await sender.sendMessages({ body: 1 });
    await expect(receiver().receiveMessages(1, { maxWaitTimeInMs: 500 })).rejects.toMatchObject(disabled);
    await bus.admin.updateSubscription({ ...subscription, status: 'Active' });
    expect((await receiveAll(receiver(), 1))[0]!.body).toBe(1);
    const settings = await bus.admin.getTopic(topic);
    await bus.admin.updateTopic({ ...settings, status: 'Disabled' });
    await expect(sender.sendMessages({ body: 2 })).rejects.toMatchObject(disabled);
  });

  it('a waiting receiver hears that its queue was closed, and gets nothing that came after', async () => {
    const { queue, sender, receiver } = await bus.queue();
    const settings = await bus.admin.getQueue(queue);
    const waiting = receiver().receiveMessages(1, { maxWaitTimeInMs: 8_000 });
    await eventually(async () => expect(bus.server.output).toBeDefined());
    await bus.admin.updateQueue({ ...settings, status: 'ReceiveDisabled' });
    await sender.sendMessages({ body: 'late' });
    await expect(waiting).rejects.toMatchObject(disabled);
    await bus.admin.updateQueue({ ...settings, status: 'Active' });
    expect((await receiveAll(receiver(), 1))[0]!).toMatchObject({ body: 'late', deliveryCount: 0 });
  });
});

/** A token of our own; `exp` is seconds since 1970. */
function jwt({ kid, exp = Math.floor(Date.now() / 1000) + 600 }: { kid: string; exp?: number }, key: string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = `${part({ alg: 'HS256', typ: 'JWT', kid })}.${part({ exp })}`;
  return `${claims}.${createHmac('sha256', key).update(claims).digest('base64url')}`;
}
