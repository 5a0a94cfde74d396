// What a server meets in its life: kill -9 in the middle of a stream, a thousand clients, TLS, WebSockets, hostile bytes.
import { execFile } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { ServiceBusClient } from '@azure/service-bus';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AmqpDescribed } from '../../src/gateways/servicebus/amqp/decode.ts';
import { eventually } from '../support/eventually.ts';
import { CLOSE, openAndBegin, RawClient } from '../support/raw-amqp.ts';
import { BusUnderTest, name, QUICK, receiveAll, SAS_KEY } from '../support/service-bus.ts';

const PATIENT = { maxRetries: 50, timeoutInMs: 5000, retryDelayInMs: 200 };

describe('the Service Bus door', () => {
  let bus: BusUnderTest;
  beforeAll(async () => {
    bus = await BusUnderTest.start();
  });
  afterAll(() => bus?.[Symbol.asyncDispose]());

  it('loses nothing that was accepted when it is killed in the middle of a stream', async () => {
    const { topic } = await bus.subscription({ maxDeliveryCount: 100 });
    const client = new ServiceBusClient(bus.connectionString, { retryOptions: PATIENT });
    const [sender, receiver] = [client.createSender(topic), client.createReceiver(topic, 's')];
    const accepted = new Set<number>();
    const completed = new Set<number>();
    const stream = receiver.subscribe({
      processMessage: async (message) => {
        completed.add(message.body);
      },
      processError: async () => {},
    });
    const sending = (async () => {
      for (let i = 0; i < 300; i++) {
        // A refused connection is not tried again by the client itself; programs do.
        await eventually(() => sender.sendMessages({ body: i }), 60_000);
        accepted.add(i);
      }
    })();
    await eventually(() => expect(accepted.size).toBeGreaterThan(30), 20_000);
    await bus.server.end('SIGKILL');
    await bus.server.start();
    await sending;
    await eventually(() => expect(completed.size).toBe(300), 60_000);
    expect([...accepted].filter((each) => !completed.has(each))).toEqual([]);
    await stream.close();
    await client.close();
  });

  it('serves a thousand connections at once', async () => {
    const { queue, receiver } = await bus.queue();
    const clients = [...Array(1000).keys()].map(() => new ServiceBusClient(bus.connectionString));
    for (let first = 0; first < clients.length; first += 50) {
      const some = clients.slice(first, first + 50);
      await Promise.all(some.map((each, i) => each.createSender(queue).sendMessages({ body: first + i })));
    }
    const got = await receiveAll(receiver(), 1000);
    expect(new Set(got.map((message) => message.body)).size).toBe(1000);
    await Promise.all(clients.map((each) => each.close()));
  }, 170_000);

  it('speaks AMQP in TLS and over WebSockets on the same port', async () => {
    const { queue } = await bus.queue();
    const secure = bus.connectionString.replace(';UseDevelopmentEmulator=true', '');
    const script = `
      const { ServiceBusClient } = require('@azure/service-bus');
      const { WebSocket } = require('ws');
      (async () => {
        const overTls = new ServiceBusClient(${JSON.stringify(secure)});
        await overTls.createSender('${queue}').sendMessages({ body: 'tls' });
        await overTls.close();
        const overWebSocket = new ServiceBusClient(${JSON.stringify(secure)}, { webSocketOptions: { webSocket: WebSocket } });
        await overWebSocket.createSender('${queue}').sendMessages({ body: Buffer.alloc(300000, 1) });
        const [one, two] = await overWebSocket.createReceiver('${queue}').receiveMessages(2);
        console.log(JSON.stringify([one.body, two.body.length]));
        await overWebSocket.close();
      })();`;
    const ca = `${bus.server.dataDir}/servicebus/ca.pem`;
    const printed = await new Promise<string>((resolve, reject) => {
      const env = { ...process.env, NODE_EXTRA_CA_CERTS: ca };
      execFile(process.execPath, ['-e', script], { env, timeout: 60_000 }, (error, out, err) =>
        error ? reject(new Error(err)) : resolve(out),
      );
    });
    expect(JSON.parse(printed)).toEqual(['tls', 300_000]);
  });

  it('takes a JWT signed with the key, and an API key, as a token', async () => {
    const { queue, sender } = await bus.queue();
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ exp: Math.floor(Date.now() / 1000) + 600 })}`;
    const jwt = `${claims}.${createHmac('sha256', SAS_KEY).update(claims).digest('base64url')}`;
    await sender.sendMessages({ body: 1 });
    for (const [token, good] of [
      [jwt, true],
      [`${claims}.AAAA`, false],
      ['test-admin-key-0123456789', true],
    ] as const) {
      const answer = await fetch(`http://127.0.0.1:${bus.server.amqpPort}/${queue}?api-version=2021-05`, {
        headers: { authorization: `Bearer ${token}` },
      });
      expect([token.slice(-4), answer.status]).toEqual([token.slice(-4), good ? 200 : 401]);
    }
    const health = await fetch(`http://127.0.0.1:${bus.server.amqpPort}/health`);
    expect(await health.json()).toEqual({ status: 'healthy' });
  });

  it('shows what a client has sent as an event over HTTP', async () => {
    const { topic, sender } = await bus.subscription();
    await sender.sendMessages({ body: { amount: 3 }, subject: 'account.debited', messageId: 'e-1' });
    const log = await bus.server.call<{ items: { event: object }[] }>('GET', `/v1/topics/${topic}/events`);
    expect(log.items).toMatchObject([{ event: { id: 'e-1', type: 'account.debited', data: { amount: 3 } } }]);
  });

  it('brings what an unmodified client has sent to the inbox of whom it concerns', async () => {
    const request = { request: 'b7', requester: { id: 'grace', name: 'Grace' }, approver: 'ada', amount: 5 };
    const sender = bus.client.createSender('finance');
    const body = { ...request, currency: 'EUR', purpose: 'A loom' };
    await sender.sendMessages({ messageId: 'amqp-1', subject: 'finance.budget.requested', body });
    await eventually(async () => {
      const inbox = await bus.server.call<{ items: object[] }>('GET', '/v1/recipients/ada/inbox');
      expect(inbox.items).toMatchObject([{ body: 'A loom', topic: 'finance' }]);
    }, 15_000);
    const trace = await bus.server.call('GET', '/v1/events/trace?topic=finance&id=amqp-1');
    expect(trace).toMatchObject({ event: { type: 'finance.budget.requested' } });
  });

  it('tells one connection too many, and lets the next one in when there is room', async () => {
    await using small = await BusUnderTest.start(undefined, { CARILLON_AMQP_CONNECTIONS: '2' });
    const { queue, sender } = await small.queue();
    await sender.sendMessages({ body: 1 });
    const send = async (client: ServiceBusClient) => {
      await client.createSender(queue).sendMessages({ body: 2 });
      return client;
    };
    const open = () => new ServiceBusClient(small.connectionString, { retryOptions: { ...QUICK, timeoutInMs: 3000 } });
    const second = await send(open());
    const third = open();
    await expect(send(third)).rejects.toThrow();
    void third.close(); // waits a minute for the connection that it did not get
    await second.close();
    await eventually(async () => {
      const client = open();
      await send(client).finally(() => client.close());
    }, 15_000);
    await using raw = await RawClient.signedIn(small.server.amqpPort, SAS_KEY);
    await using refused = await RawClient.signedIn(small.server.amqpPort, SAS_KEY);
    raw.write(openAndBegin());
    refused.write(openAndBegin());
    await eventually(() => expect(refused.of(CLOSE)).toHaveLength(1));
    const error = refused.of(CLOSE)[0]!.fields[0] as AmqpDescribed;
    expect(String((error.value as unknown[])[0])).toBe('amqp:resource-limit-exceeded');
  });

  it('stays up under hostile bytes and hostile requests', async () => {
    const seed = randomBytes(4).readUInt32BE();
    console.log(`seed ${seed}`);
    const dice = random(seed);
    for (let round = 0; round < 200; round++) await throwAt(bus.server.amqpPort, hostile(dice));
    const base = `http://127.0.0.1:${bus.server.amqpPort}`;
    const headers = { authorization: 'Bearer test-admin-key-0123456789' };
    for (const path of ['/%', '/..%2f..', '/a/Subscriptions/b/Nope', `/${'x'.repeat(3000)}`, '/__proto__', '/$x'])
      expect((await fetch(base + path, { headers })).status).toBeGreaterThanOrEqual(400);
    for (const body of ['', '<a', '<a>&x;</a>', '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', '<a>'.repeat(9999), '\0'])
      expect((await fetch(`${base}/q`, { method: 'PUT', headers, body })).status).toBe(400);
    const { sender, receiver } = await bus.subscription();
    await sender.sendMessages({ body: 'alive' });
    expect((await receiveAll(receiver(), 1))[0]!.body).toBe('alive');
    await expect(bus.client.createSender(`${name('no')}\u0000'"<>`).sendMessages({ body: 1 })).rejects.toThrow();
  });
});

const HEADER = Buffer.from('AMQP\0\x01\0\0', 'latin1');
const SASL = Buffer.from('AMQP\x03\x01\0\0', 'latin1');
// An anonymous sasl-init, an open and a begin, as a client sends them.
const INIT = Buffer.from('0000001a020100000053 41c00d02a309414e4f4e594d4f5553a000'.replaceAll(' ', ''), 'hex');
const OPEN = Buffer.from('00000014020000000053 10c00702a10161a10162'.replaceAll(' ', ''), 'hex');
const BEGIN = Buffer.from('0000001c020000000053 11c00f04406043 700000080070000008 00'.replaceAll(' ', ''), 'hex');

/** A prefix of a true conversation, then noise, or a frame that lies about its length, or a mutated frame. */
function hostile(dice: () => number): Buffer {
  const good = [SASL, INIT, HEADER, OPEN, BEGIN].slice(0, Math.floor(dice() * 6));
  const noise = Buffer.from([...Array(Math.floor(dice() * 300))].map(() => Math.floor(dice() * 256)));
  const framed = Buffer.concat([
    Buffer.alloc(4),
    Buffer.from([2, 0, 0, 0, 0, 0x53, 0x10 + Math.floor(dice() * 9)]),
    noise,
  ]);
  framed.writeUInt32BE(dice() < 0.7 ? framed.length : Math.floor(dice() * 2 ** 32));
  const bytes = Buffer.concat([...good, dice() < 0.5 ? noise : framed]);
  if (bytes.length > 0 && dice() < 0.5) bytes[Math.floor(dice() * bytes.length)]! ^= 1 << Math.floor(dice() * 8);
  return bytes;
}

function throwAt(port: number, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.end(bytes));
    socket.on('error', () => resolve());
    socket.on('close', () => resolve());
    socket.resume();
    socket.setTimeout(2000, () => socket.destroy());
  });
}

/** Mulberry32. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
