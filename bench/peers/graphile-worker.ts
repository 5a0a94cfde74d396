// graphile-worker on an embedded PostgreSQL like ours. Each subscription is a task of its own. It hands out one by one;
// for batches it fetches that many jobs ahead (its local queue) and completes together what ends in the same moment. It
// says that a job is complete before the database has confirmed it, which flatters it.
import { EventEmitter } from 'node:events';
import { Logger, makeWorkerUtils, run, type WorkerUtils } from 'graphile-worker';
import pg from 'pg';
import { type Flow, freshName, jsonOf, type Peer, type Sink, type Topic } from './peer.ts';
import { startPostgres } from './postgres.ts';

type Data = { readonly id: string };

const quiet = new Logger(() => () => {});
const MOST_AT_ONCE = 1_000;

export async function startGraphileWorker(): Promise<Peer> {
  const postgres = await startPostgres();
  const pool = new pg.Pool({ connectionString: postgres.url, max: 20 });
  pool.on('error', () => {});
  const utils = await makeWorkerUtils({ pgPool: pool, logger: quiet });
  await utils.migrate();
  return {
    name: 'graphile-worker',
    open: async (subscriptions) => open(pool, utils, subscriptions),
    stop: async () => {
      await utils.release();
      await pool.end();
      await postgres.stop();
    },
  };
}

function open(pgPool: pg.Pool, utils: WorkerUtils, subscriptions: number): Topic {
  const topic = freshName();
  const tasks = Array.from({ length: subscriptions }, (_, i) => `${topic}-s${i}`);
  return {
    publish: async (ids) => {
      const jobs = tasks.flatMap((identifier) => ids.map((id) => ({ identifier, payload: jsonOf(id) })));
      if (jobs.length === 1) await utils.addJob(tasks[0]!, jobs[0]!.payload);
      else await utils.addJobs(jobs);
    },
    consume: (flow, sink) => consume(pgPool, tasks, flow, sink),
    close: () =>
      utils.withPgClient(async (client) => void (await client.query('truncate graphile_worker._private_jobs'))),
  };
}

async function consume(pgPool: pg.Pool, tasks: readonly string[], { batch, outstanding }: Flow, sink: Sink) {
  const work = async (payload: unknown) => sink.received([(payload as Data).id]);
  const events = new EventEmitter();
  events.on('job:complete', ({ job }: { job: { payload: Data } }) => sink.completed([job.payload.id]));
  const concurrentJobs = Math.min(batch * outstanding * tasks.length, MOST_AT_ONCE);
  const batching = { localQueue: { size: concurrentJobs }, completeJobBatchDelay: 0 };
  const runner = await run({
    pgPool,
    logger: quiet,
    noHandleSignals: true,
    events,
    taskList: Object.fromEntries(tasks.map((task) => [task, work])),
    preset: { worker: { concurrentJobs, pollInterval: 100, ...(batch > 1 ? batching : {}) } },
  });
  return () => runner.stop();
}
