// NATS JetStream: one stream in files, a durable consumer per subscription, every message acknowledged with a confirmed
// (double) acknowledgement. It does not fsync before it confirms: a power cut loses what it confirmed.
import { join } from 'node:path';
import {
  AckPolicy,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { bodyOf, type Flow, freshName, idOf, type Peer, type Sink, type Topic } from './peer.ts';
import { freePort, program, type Server, startServer, temporaryFolder } from './servers.ts';

/** Not running yet; it may be started again after it was killed. */
export async function prepareNats(): Promise<{ port: number; start: () => Promise<Server> }> {
  const command = program(['nats-server'], 'nats-server');
  const folder = await temporaryFolder();
  const port = await freePort();
  const args = ['-a', '127.0.0.1', '-p', `${port}`, '-js', '-sd', join(folder, 'data')];
  return { port, start: () => startServer({ command, args, folder, port }) };
}

export async function startNats(): Promise<Peer> {
  const { port, start } = await prepareNats();
  const server = await start();
  const connection = await connect({ servers: `127.0.0.1:${port}` });
  const manager = await jetstreamManager(connection);
  return {
    name: 'NATS JetStream',
    open: (subscriptions) => open(connection, manager, subscriptions),
    stop: async () => {
      await connection.close();
      await server.stop();
    },
  };
}

async function open(connection: NatsConnection, manager: JetStreamManager, subscriptions: number): Promise<Topic> {
  const name = freshName();
  const storage = StorageType.File;
  await manager.streams.add({ name, subjects: [name], storage, retention: RetentionPolicy.Limits });
  const durables = Array.from({ length: subscriptions }, (_, i) => `s${i}`);
  for (const durable of durables) {
    await manager.consumers.add(name, {
      durable_name: durable,
      ack_policy: AckPolicy.Explicit,
      ack_wait: 300 * 1e9,
      max_ack_pending: 20_000,
    });
  }
  const client = jetstream(connection);
  return {
    publish: async (ids) => void (await Promise.all(ids.map((id) => client.publish(name, bodyOf(id))))),
    consume: async (flow, sink) => {
      const stops = await Promise.all(durables.map((durable) => consume(client, name, durable, flow, sink)));
      return async () => void (await Promise.all(stops.map((stop) => stop())));
    },
    close: async () => void (await manager.streams.delete(name)),
  };
}

async function consume(
  client: ReturnType<typeof jetstream>,
  stream: string,
  durable: string,
  { batch, outstanding }: Flow,
  sink: Sink,
) {
  const consumer = await client.consumers.get(stream, durable);
  const acknowledgements = new Set<Promise<void>>();
  const messages = await consumer.consume({
    max_messages: batch * outstanding,
    callback: (message) => {
      const id = idOf(message.data);
      sink.received([id]);
      const acknowledged = message.ackAck().then((confirmed) => {
        acknowledgements.delete(acknowledged);
        if (confirmed) sink.completed([id]);
      });
      acknowledgements.add(acknowledged);
    },
  });
  return async () => {
    await messages.close();
    await Promise.allSettled(acknowledgements);
  };
}
