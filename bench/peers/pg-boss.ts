// pg-boss on an embedded PostgreSQL like ours. Each subscription is a queue of its own. Idle workers ask again about 200
// times a second in all: its own `work` polls twice a second at most, and is woken by NOTIFY only for new jobs.
import { setTimeout as sleep } from 'node:timers/promises';
import { PgBoss } from 'pg-boss';
import { type Flow, freshName, jsonOf, loops, type Peer, type Sink, type Topic } from './peer.ts';
import { startPostgres } from './postgres.ts';

type Data = { readonly id: string };

const PAUSE_MS = 5;

export async function startPgBoss(): Promise<Peer> {
  const postgres = await startPostgres();
  const boss = new PgBoss({ connectionString: postgres.url, max: 10, schedule: false });
  boss.on('error', (error) => console.log(`pg-boss: ${error}`));
  await boss.start();
  return {
    name: 'pg-boss',
    open: (subscriptions) => open(boss, subscriptions),
    stop: async () => {
      await boss.stop({ graceful: false });
      await postgres.stop();
    },
  };
}

async function open(boss: PgBoss, subscriptions: number): Promise<Topic> {
  const topic = freshName();
  const queues = Array.from({ length: subscriptions }, (_, i) => `${topic}-s${i}`);
  for (const queue of queues) await boss.createQueue(queue);
  return {
    publish: async (ids) => {
      const jobs = ids.map((id) => ({ data: jsonOf(id) }));
      const insert = async (queue: string) =>
        jobs.length === 1 ? boss.send(queue, jobs[0]!.data) : boss.insert(queue, jobs);
      await Promise.all(queues.map(insert));
    },
    consume: async (flow, sink) => consume(boss, queues, flow, sink),
    close: async () => {
      for (const queue of queues) await boss.deleteQueue(queue);
    },
  };
}

function consume(boss: PgBoss, queues: readonly string[], { batch, outstanding }: Flow, sink: Sink) {
  const workers = queues.length * outstanding;
  return loops(workers, async (worker) => {
    const queue = queues[worker % queues.length]!;
    const jobs = await boss.fetch<Data>(queue, { batchSize: batch });
    if (jobs.length === 0) return void (await sleep(PAUSE_MS * workers));
    const ids = jobs.map((job) => job.data.id);
    sink.received(ids);
    await boss.complete(
      queue,
      jobs.map((job) => job.id),
    );
    sink.completed(ids);
  });
}
