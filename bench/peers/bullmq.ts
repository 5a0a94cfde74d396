// BullMQ on Redis that fsyncs every write (appendfsync always). It has no subscriptions: each is a queue of its own, and
// it completes one by one, so a batch is so many jobs at once.
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { type Flow, freshName, jsonOf, type Peer, type Sink, type Topic } from './peer.ts';
import { freePort, program, startServer, temporaryFolder } from './servers.ts';

type Connection = { readonly host: string; readonly port: number; readonly maxRetriesPerRequest: null };
type Data = { readonly id: string };

export async function startBullmq(): Promise<Peer> {
  const command = program(['redis-server'], 'redis-server');
  const folder = await temporaryFolder();
  const port = await freePort();
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, ...durable];
  const server = await startServer({ command, args, folder, port });
  const connection: Connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
  const admin = new Redis(connection);
  return {
    name: 'BullMQ',
    open: async (subscriptions) => open(connection, admin, subscriptions),
    stop: async () => {
      admin.disconnect();
      await server.stop();
    },
  };
}

function open(connection: Connection, admin: Redis, subscriptions: number): Topic {
  const topic = freshName();
  const defaultJobOptions = { removeOnComplete: true };
  const names = Array.from({ length: subscriptions }, (_, i) => `${topic}-s${i}`);
  const queues = names.map((name) => new Queue<Data>(name, { connection, defaultJobOptions }));
  return {
    publish: async (ids) => void (await Promise.all(queues.map((queue) => publish(queue, ids)))),
    consume: async (flow, sink) => {
      const workers = names.map((name) => consume(connection, name, flow, sink));
      await Promise.all(workers.map((worker) => worker.waitUntilReady()));
      return async () => void (await Promise.all(workers.map((worker) => worker.close())));
    },
    close: async () => {
      await Promise.all(queues.map((queue) => queue.close()));
      await admin.flushall();
    },
  };
}

async function publish(queue: Queue<Data>, ids: readonly string[]): Promise<void> {
  if (ids.length === 1) await queue.add('event', jsonOf(ids[0]!));
  else await queue.addBulk(ids.map((id) => ({ name: 'event', data: jsonOf(id) })));
}

function consume(connection: Connection, name: string, { batch, outstanding }: Flow, sink: Sink): Worker<Data> {
  const work = async ({ data }: { data: Data }) => sink.received([data.id]);
  const worker = new Worker<Data>(name, work, { connection, concurrency: batch * outstanding });
  worker.on('completed', (job) => sink.completed([job.data.id]));
  worker.on('error', (error) => console.log(`BullMQ: ${error.message}`));
  return worker;
}
