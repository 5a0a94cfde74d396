// Ours: the broker in this process on an embedded PostgreSQL (fsync on), by peek-lock receivers.
import { fileURLToPath } from 'node:url';
import { Database } from '../../src/kit/database.ts';
import { migrate } from '../../src/kit/migrate.ts';
import { Broker } from '../../src/topics/broker.ts';
import { bodyOf, type Flow, freshName, loops, type Peer, type Sink, type Topic } from './peer.ts';
import { startPostgres } from './postgres.ts';

/** `url` is that of its PostgreSQL. */
export async function startCarillon(): Promise<Peer & { readonly url: string }> {
  const postgres = await startPostgres();
  const database = new Database({ url: postgres.url, poolSize: 8 });
  await migrate(database, fileURLToPath(new URL('../../migrations', import.meta.url)));
  const broker = await Broker.start({ database, emit: () => {}, node: { id: 'bench' } });
  return {
    name: 'Carillon',
    url: postgres.url,
    open: (subscriptions) => open(broker, subscriptions),
    stop: async () => {
      await broker.stop();
      await database.close();
      await postgres.stop();
    },
  };
}

async function open(broker: Broker, subscriptions: number): Promise<Topic> {
  const name = freshName();
  await broker.createTopic(name);
  for (let i = 0; i < subscriptions; i++) await broker.createSubscription(name, `s${i}`, { lockDurationMs: 300_000 });
  return {
    publish: async (ids) => {
      await broker.publish(
        name,
        ids.map((id) => ({ messageId: id, body: bodyOf(id) })),
      );
    },
    consume: async (flow, sink) => consume(broker, name, subscriptions, flow, sink),
    close: () => broker.deleteTopic(name),
  };
}

function consume(broker: Broker, name: string, subscriptions: number, { batch, outstanding }: Flow, sink: Sink) {
  const receivers = Array.from({ length: subscriptions }, (_, i) => broker.receiver(`${name}/Subscriptions/s${i}`));
  const ending = new AbortController();
  const stop = loops(subscriptions * outstanding, async (worker) => {
    const receiver = receivers[worker % subscriptions]!;
    const messages = await receiver.receive({ max: batch, waitMs: 1_000, signal: ending.signal });
    if (messages.length === 0) return;
    const ids = messages.map((message) => message.messageId);
    sink.received(ids);
    await receiver.complete(messages);
    sink.completed(ids);
  });
  return async () => {
    ending.abort();
    await stop();
  };
}
