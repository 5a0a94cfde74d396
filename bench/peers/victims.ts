// Servers to be killed and started again, with clients that know how to come back. Each server is started as its owner
// would; each client waits no longer than it must before it tries again.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AckPolicy, jetstream, jetstreamManager, StorageType } from '@nats-io/jetstream';
import { connect as connectNats } from '@nats-io/transport-node';
import { connect as connectRabbit } from 'amqplib';
import { prepareNats } from './nats.ts';
import { bodyOf, idOf } from './peer.ts';
import { prepareRabbit } from './rabbitmq.ts';
import { freePort, type Server, temporaryFolder } from './servers.ts';

export type Client = {
  /** Resolves when the message is confirmed; throws when that is not known. */
  readonly publish: (id: string) => Promise<void>;
  /** Some messages, none after a short wait; told when they come. They count as completed when it resolves. */
  readonly receive: (came: (ids: readonly string[]) => void) => Promise<readonly string[]>;
  readonly close: () => Promise<void>;
};

export type Victim = {
  readonly name: string;
  /** Makes what is published to; once, on the first start. */
  readonly prepare: () => Promise<void>;
  readonly connect: () => Promise<Client>;
  /** kill -9, then start again; resolves when it is started. */
  readonly killAndStart: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

const KEY = 'bench-admin-key-0123456789';
const WAIT_MS = 200;

/** Ours, the whole server, over HTTP; `server`, its `postgres`, or both are killed. */
export async function carillonVictim(what: 'server' | 'postgres' | 'both'): Promise<Victim> {
  const folder = await temporaryFolder();
  const port = await freePort();
  const env = {
    ...process.env,
    CARILLON_PORT: `${port}`,
    CARILLON_AMQP_PORT: '0',
    CARILLON_AMQP_HTTP_PORT: '0',
    CARILLON_TLS_PORT: '0',
    CARILLON_DATA_DIR: folder,
    CARILLON_ADMIN_KEY: KEY,
  };
  const start = () => spawn(process.execPath, ['src/main/cli.ts', 'start'], { env, stdio: 'ignore' });
  const call = async (method: string, path: string, body: unknown) => {
    const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };
    const signal = AbortSignal.timeout(15_000);
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers,
      body: JSON.stringify(body),
      signal,
    });
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
    return (await answer.json()) as { messages: { messageId: string; lockToken: string }[] };
  };
  const answers = async () => {
    while (!(await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined))?.ok) await sleep(20);
  };
  const killPostgres = async () =>
    process.kill(
      Number((await readFile(join(folder, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0]),
      'SIGKILL',
    );
  let child = start();
  await answers();
  const name = { server: 'Carillon', postgres: 'Carillon, its PostgreSQL', both: 'Carillon and PostgreSQL' }[what];
  return {
    name,
    prepare: async () =>
      void (await call('PUT', '/v1/queues/work', { lockDurationMs: 5_000, maxDeliveryCount: 1_000 })),
    connect: async () => ({
      publish: async (id) =>
        void (await call('POST', '/v1/queues/work/messages', {
          messages: [{ messageId: id, body: 'x'.repeat(1000) }],
        })),
      receive: async (came) => {
        const { messages } = await call('POST', '/v1/queues/work/receive', { max: 20, waitMs: WAIT_MS });
        const lockTokens = messages.map(({ lockToken }) => lockToken);
        came(messages.map(({ messageId }) => messageId));
        if (messages.length > 0) await call('POST', '/v1/queues/work/settle', { as: 'complete', lockTokens });
        return messages.map(({ messageId }) => messageId);
      },
      close: async () => {},
    }),
    killAndStart: async () => {
      if (what !== 'server') await killPostgres();
      if (what === 'postgres') return;
      child.kill('SIGKILL');
      await once(child, 'exit');
      child = start();
      await answers();
    },
    stop: async () => {
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}

export async function rabbitVictim(): Promise<Victim> {
  const rabbit = await prepareRabbit();
  let server: Server = await rabbit.start();
  const connection = async () => {
    const opened = await connectRabbit(`amqp://guest:guest@127.0.0.1:${rabbit.port}`, { noDelay: true });
    opened.on('error', () => {});
    return opened;
  };
  const declare = { durable: true, arguments: { 'x-queue-type': 'quorum' } };
  return {
    name: 'RabbitMQ',
    prepare: async () => {
      const opened = await connection();
      await (await opened.createChannel()).assertQueue('work', declare);
      await opened.close();
    },
    connect: async () => {
      const opened = await connection();
      const channel = await opened.createConfirmChannel();
      channel.on('error', () => {});
      const lost = new Promise<never>((_, reject) => opened.once('close', () => reject(new Error('lost'))));
      lost.catch(() => {});
      const confirmed = (id: string) =>
        new Promise<void>((resolve, reject) => {
          channel.sendToQueue('work', bodyOf(id), { persistent: true }, (error) => (error ? reject(error) : resolve()));
        });
      return {
        publish: (id) => Promise.race([confirmed(id), lost]),
        receive: (came) => Promise.race([getSome(channel, came), lost]),
        close: () => opened.close().catch(() => {}),
      };
    },
    killAndStart: async () => {
      await server.kill();
      server = await rabbit.start();
    },
    stop: async () => {
      await server.stop();
      await rabbit.stop();
    },
  };
}

type Channel = Awaited<ReturnType<Awaited<ReturnType<typeof connectRabbit>>['createChannel']>>;

async function getSome(channel: Channel, came: (ids: readonly string[]) => void): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < 20) {
    const message = await channel.get('work');
    if (!message) break;
    came([idOf(message.content)]);
    channel.ack(message);
    ids.push(idOf(message.content));
  }
  if (ids.length === 0) await sleep(10);
  return ids;
}

export async function natsVictim(): Promise<Victim> {
  const nats = await prepareNats();
  let server: Server = await nats.start();
  const connection = () =>
    connectNats({ servers: `127.0.0.1:${nats.port}`, reconnectTimeWait: 20, maxReconnectAttempts: -1, timeout: 2_000 });
  return {
    name: 'NATS JetStream',
    prepare: async () => {
      const opened = await connection();
      const manager = await jetstreamManager(opened);
      await manager.streams.add({ name: 'work', subjects: ['work'], storage: StorageType.File });
      await manager.consumers.add('work', { durable_name: 'w', ack_policy: AckPolicy.Explicit, ack_wait: 5 * 1e9 });
      await opened.close();
    },
    connect: async () => {
      const opened = await connection();
      const client = jetstream(opened, { timeout: 2_000 });
      const consumer = await client.consumers.get('work', 'w');
      return {
        publish: async (id) => void (await client.publish('work', bodyOf(id))),
        receive: async (came) => {
          const ids: string[] = [];
          for await (const message of await consumer.fetch({ max_messages: 20, expires: 1_000 })) {
            came([idOf(message.data)]);
            if (await message.ackAck()) ids.push(idOf(message.data));
            if (message.info.pending === 0) break;
          }
          return ids;
        },
        close: () => opened.close(),
      };
    },
    killAndStart: async () => {
      await server.kill();
      server = await nats.start();
    },
    stop: () => server.stop(),
  };
}
