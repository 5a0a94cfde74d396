// How many deliveries a second are planned, and claimed + settled, by a real dispatcher over a durable PostgreSQL; once
// with a channel that takes everything at once (the bookkeeping alone), once while somebody holds a snapshot open (dead
// rows cannot be vacuumed then: the case in which queues in tables collapse), and once as mails to a local SMTP server.
// Prints figures, dead rows and WAL; about 20 seconds. Run: node bench/deliveries.ts [deliveries of the backlog]
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Channel } from '../src/deliveries/channel.ts';
import { Dispatcher } from '../src/deliveries/dispatcher.ts';
import { type PlannedDelivery, planDeliveries } from '../src/deliveries/plan.ts';
import type { LanePolicy } from '../src/deliveries/policy.ts';
import { EmailChannel, emailPolicy } from '../src/email/channel.ts';
import { Database } from '../src/kit/database.ts';
import { migrate } from '../src/kit/migrate.ts';
import { Engine } from '../src/main/engine/engine.ts';
import { MailServer } from '../test/support/mail-server.ts';

const BACKLOG = Number(process.argv[2] ?? 30_000);
const MAILS = 500;
const PLAN_BATCH = 500;
const WIDE: Partial<LanePolicy> = { batchSize: 250, concurrency: 4 };

const instant: Channel = {
  name: 'mobile',
  deliver: async (batch) => batch.map(() => ({ kind: 'delivered', providerId: 'bench' })),
};

let made = 0;

function plans(count: number, channel: 'mobile' | 'email'): PlannedDelivery[] {
  return Array.from({ length: count }, () => {
    const n = ++made;
    const who = { recipientId: `person-${n % 10_000}`, endpoint: `person-${n}@example.org` };
    return { noticeId: `ntc_${n}`, channel, dueAt: new Date(), urgency: 'normal', ...who };
  });
}

async function planMany(database: Database, count: number, channel: 'mobile' | 'email'): Promise<void> {
  for (let planned = 0; planned < count; planned += PLAN_BATCH) {
    const batch = plans(Math.min(PLAN_BATCH, count - planned), channel);
    await database.transaction((tx) => planDeliveries(tx, batch));
  }
}

/** Runs a dispatcher until it has delivered `count`; returns how many seconds that took. */
async function drain(database: Database, channel: Channel, policy: Partial<LanePolicy>, count: number) {
  const finished = Promise.withResolvers<void>();
  let delivered = 0;
  const began = performance.now();
  await using _dispatcher = Dispatcher.start({
    database,
    channels: [channel],
    policy: { [channel.name]: policy },
    emit: (signal) => {
      if (signal.name === 'delivery.attempted' && signal.outcome === 'delivered' && ++delivered === count) {
        finished.resolve();
      }
      if (signal.name === 'lane.failed') finished.reject(signal.error);
    },
  });
  await finished.promise;
  return (performance.now() - began) / 1000;
}

async function measure<T>(database: Database, what: string, count: number, work: () => Promise<T>): Promise<void> {
  const before = await wal(database);
  const began = performance.now();
  await work();
  const seconds = (performance.now() - began) / 1000;
  const bytes = ((await wal(database)) - before) / count;
  const rate = Math.round(count / seconds).toLocaleString('en');
  console.log(
    `${what.padEnd(46)} ${rate.padStart(9)}/s  ${Math.round(bytes).toString().padStart(5)} bytes of WAL each`,
  );
}

async function wal(database: Database): Promise<number> {
  const rows = await database.query<{ at: number }>("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::int8 as at");
  return rows[0]!.at;
}

async function tableState(database: Database): Promise<string> {
  const [row] = await database.query<{ size: number; indexes: number; hot: number; updated: number }>(
    `select pg_table_size('delivery') as size, pg_indexes_size('delivery') as indexes,
       n_tup_hot_upd as hot, n_tup_upd as updated
     from pg_stat_user_tables where relname = 'delivery'`,
  );
  const mb = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MB`;
  const hot = ((100 * row!.hot) / Math.max(1, row!.updated)).toFixed(1);
  return `table ${mb(row!.size)}, indexes ${mb(row!.indexes)}, ${hot} % of the claims HOT`;
}

async function run(database: Database): Promise<void> {
  await measure(database, `plan, ${PLAN_BATCH} per transaction`, BACKLOG, () => planMany(database, BACKLOG, 'mobile'));
  await measure(database, 'claim + settle', BACKLOG, () => drain(database, instant, WIDE, BACKLOG));
  console.log(`  ${await tableState(database)}`);

  const holder = await database.dedicated('holder');
  await holder.query('begin isolation level repeatable read');
  await holder.query('select 1 from delivery limit 1');
  for (let round = 1; round <= 3; round++) {
    await planMany(database, BACKLOG / 2, 'mobile');
    const what = `claim + settle under a held snapshot, round ${round}`;
    await measure(database, what, BACKLOG / 2, () => drain(database, instant, WIDE, BACKLOG / 2));
  }
  await holder.query('rollback');
  await holder.end();
  console.log(`  ${await tableState(database)}`);
  await mails(database);
}

async function mails(database: Database): Promise<void> {
  await using server = await MailServer.start();
  const email = new EmailChannel({
    smtpUrl: server.url,
    from: 'bench@example.org',
    publicUrl: 'https://carillon.example',
    unsubscribeKeys: [Buffer.alloc(32, 1)],
    letters: async (deliveries) =>
      new Map(
        deliveries.map(({ id, noticeId, recipientId }) => [
          id,
          { card: { title: noticeId, body: 'Hello.' }, category: 'bench', noticeId, recipientId },
        ]),
      ),
  });
  await planMany(database, MAILS, 'email');
  await measure(database, 'mails to a local SMTP server in this process', MAILS, () =>
    drain(database, email, emailPolicy, MAILS),
  );
  email.stop();
}

async function main(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'carillon-bench-'));
  await chmod(folder, 0o755);
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const engine = stack.use(await Engine.start({ folder, emit: () => {} }));
  const database = stack.use(new Database({ url: engine.url('postgres'), poolSize: 10 }));
  await migrate(database, new URL('../migrations', import.meta.url).pathname);
  await run(database);
}

await main();
