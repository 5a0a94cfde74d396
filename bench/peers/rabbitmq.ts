// RabbitMQ: quorum queues behind a fanout exchange, publisher confirms. It does not confirm acknowledgements: they count
// when they are sent, which flatters it. A batch is acknowledged by one frame.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import { bodyOf, type Flow, freshName, idOf, type Peer, type Sink, type Topic } from './peer.ts';
import { freePort, program, type Server, startServer, temporaryFolder } from './servers.ts';

/** A batch that does not fill is acknowledged after this time. */
const FLUSH_MS = 2;

/** A node of its own in a folder of its own, not running yet; it may be started again after it was killed. */
export async function prepareRabbit(): Promise<{
  port: number;
  start: () => Promise<Server>;
  stop: () => Promise<void>;
}> {
  // The Debian wrapper in /usr/sbin changes to the account of the system's own RabbitMQ; the program below it does not.
  const command = program(['/usr/lib/rabbitmq/bin/rabbitmq-server', 'rabbitmq-server'], 'rabbitmq-server');
  const folder = await temporaryFolder();
  const [port, distPort, epmdPort] = [await freePort(), await freePort(), await freePort()];
  const epmdArgs = ['-port', `${epmdPort}`, '-address', '127.0.0.1'];
  const epmd = await startServer({ command: program(['epmd'], 'erlang-base'), args: epmdArgs, folder, port: epmdPort });
  await writeFile(join(folder, 'plugins'), '[].');
  await writeFile(join(folder, 'env.conf'), '');
  const env = {
    ERL_EPMD_PORT: `${epmdPort}`,
    RABBITMQ_NODENAME: 'bench@localhost',
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_NODE_PORT: `${port}`,
    RABBITMQ_DIST_PORT: `${distPort}`,
    RABBITMQ_MNESIA_BASE: join(folder, 'data'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
    RABBITMQ_CONF_ENV_FILE: join(folder, 'env.conf'),
    RABBITMQ_CONFIG_FILE: join(folder, 'none'),
  };
  return { port, start: () => startServer({ command, env, folder, port }), stop: () => epmd.stop() };
}

export async function startRabbit(): Promise<Peer> {
  const { port, start, stop } = await prepareRabbit();
  const server = await start();
  const connection = await connect(`amqp://guest:guest@127.0.0.1:${port}`, { noDelay: true });
  return {
    name: 'RabbitMQ',
    open: (subscriptions) => open(connection, subscriptions),
    stop: async () => {
      await connection.close();
      await server.stop();
      await stop();
    },
  };
}

async function open(connection: ChannelModel, subscriptions: number): Promise<Topic> {
  const exchange = freshName();
  const channel = await connection.createConfirmChannel();
  await channel.assertExchange(exchange, 'fanout', { durable: true });
  const queues = Array.from({ length: subscriptions }, (_, i) => `${exchange}-s${i}`);
  for (const queue of queues) {
    await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    await channel.bindQueue(queue, exchange, '');
  }
  return {
    publish: async (ids) => void (await Promise.all(ids.map((id) => publish(channel, exchange, id)))),
    consume: async (flow, sink) => {
      const consumers = await Promise.all(queues.map((queue) => consume(connection, queue, flow, sink)));
      return async () => void (await Promise.all(consumers.map((stop) => stop())));
    },
    close: async () => {
      for (const queue of queues) await channel.deleteQueue(queue);
      await channel.deleteExchange(exchange);
      await channel.close();
    },
  };
}

function publish(channel: ConfirmChannel, exchange: string, id: string): Promise<void> {
  return new Promise((resolve, reject) => {
    channel.publish(exchange, '', bodyOf(id), { persistent: true }, (error) => (error ? reject(error) : resolve()));
  });
}

async function consume(connection: ChannelModel, queue: string, { batch, outstanding }: Flow, sink: Sink) {
  const channel = await connection.createChannel();
  await channel.prefetch(batch * outstanding);
  let waiting: string[] = [];
  let last: Parameters<typeof channel.ack>[0] | undefined;
  let timer: NodeJS.Timeout | undefined;
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    if (last) channel.ack(last, true);
    last = undefined;
    const ids = waiting;
    waiting = [];
    sink.completed(ids);
  };
  await channel.consume(queue, (message) => {
    if (!message) return;
    const id = idOf(message.content);
    sink.received([id]);
    waiting.push(id);
    last = message;
    if (waiting.length >= batch) flush();
    else timer ??= setTimeout(flush, FLUSH_MS);
  });
  return async () => {
    clearTimeout(timer);
    await channel.close();
  };
}
