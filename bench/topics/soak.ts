// Does it stay as it is? A steady rate of durable 1 KB events through everything that could grow: duplicate detection,
// two subscriptions (one settles one by one and gives a tenth back; the other takes batches), a queue with sessions.
// Prints latency, sizes and dead rows per interval. The limits of housekeeping are small, so that generations and slots
// turn over many times within minutes, as they would within days.
//   node bench/topics/soak.ts [--minutes 10] [--rate 1000] [--every 60]
import { parseArgs } from 'node:util';
import type { Database } from '../../src/kit/database.ts';
import type { Broker } from '../../src/topics/broker.ts';
import { loops } from '../peers/peer.ts';
import { openPlace, percentile, steadily } from './place.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    rate: { type: 'string', default: '1000' },
    every: { type: 'string', default: '60' },
  },
});
const minutes = Math.min(Number(values.minutes), 600);
const body = Buffer.alloc(1024, 'x');
const sent = new Map<string, number>();
let took: number[] = [];
let completed = 0;

async function prepare(broker: Broker): Promise<void> {
  await broker.createTopic('soak', { settings: { duplicateDetection: true, retentionMs: 30_000 } });
  const settings = { lockDurationMs: 60_000, maxDeliveryCount: 1_000 };
  await broker.createSubscription('soak', 'single', settings);
  await broker.createSubscription('soak', 'batches', settings);
  const queue = { ...settings, requiresSession: true };
  await broker.createQueue('sessions', { queue, settings: { retentionMs: 30_000 } });
}

function consume(broker: Broker): (() => Promise<void>)[] {
  const single = broker.receiver('soak/Subscriptions/single');
  const batches = broker.receiver('soak/Subscriptions/batches');
  return [
    loops(16, async () => {
      const [message] = await single.receive({ waitMs: 500 });
      if (!message) return;
      if (message.deliveryCount === 0 && message.sequence % 10 === 0) return single.abandon(message);
      const at = sent.get(message.messageId);
      if (at !== undefined && message.deliveryCount === 0) took.push(performance.now() - at);
      sent.delete(message.messageId);
      await single.complete(message);
      completed++;
    }),
    loops(2, async () => {
      const messages = await batches.receive({ max: 100, waitMs: 500 });
      if (messages.length > 0) await batches.complete(messages);
    }),
    loops(2, async () => {
      const session = await broker.acceptSession('sessions', { waitMs: 500 });
      if (!session) return;
      const messages = await session.receive({ max: 100 });
      if (messages.length > 0) await session.complete(messages);
      await session.close();
    }),
  ];
}

const SIZES = `select sum(pg_total_relation_size(c.oid))::bigint as bytes, coalesce(sum(s.n_dead_tup), 0)::bigint as dead,
    case when c.relname ~ '^block' then 'log' when c.relname ~ '^progress' then 'progress'
         when c.relname ~ '^dedup' then 'ids' when c.relname = 'held' then 'held' else 'rest' end as what
  from pg_class c left join pg_stat_user_tables s on s.relid = c.oid
 where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace group by what`;

async function sizes(database: Database): Promise<string> {
  const rows = await database.query<{ what: string; bytes: number; dead: number }>(SIZES);
  const of = new Map(rows.map((row) => [row.what, row]));
  return ['log', 'ids', 'progress', 'held', 'rest']
    .map(
      (what) =>
        `${((of.get(what)?.bytes ?? 0) / 2 ** 20).toFixed(1).padStart(7)} ${String(of.get(what)?.dead ?? 0).padStart(6)}`,
    )
    .join(' ');
}

const housekeeping = {
  everyMs: 5_000,
  generationBytes: 64 * 2 ** 20,
  generationMs: 60_000,
  progressBytes: 4 * 2 ** 20,
};
await using place = await openPlace({ housekeeping });
const { broker, database } = place;
await prepare(broker);
const stops = consume(broker);
const ending = new AbortController();
let ids = 0;
const sending = steadily(Number(values.rate), ending.signal, async () => {
  const messageId = `${++ids}`;
  if (ids % 10 === 0) {
    await broker.publish('sessions', [{ messageId, sessionId: `s${ids % 97}`, body }]);
    return;
  }
  sent.set(messageId, performance.now());
  await broker.publish('soak', [{ messageId, body, properties: { n: ids } }]);
});
console.log(
  'minute  completed/s     p50     p99  ms | MB and dead rows of: log, ids, progress, held, rest | backlog, heap MB',
);
const every = Number(values.every) * 1000;
for (let at = every; at <= minutes * 60_000; at += every) {
  await new Promise((resolve) => setTimeout(resolve, every));
  const [times, count] = [took, completed];
  [took, completed] = [[], 0];
  const counts = await broker.counts('soak', 'single');
  const heap = process.memoryUsage().heapUsed / 2 ** 20;
  console.log(
    `${(at / 60_000).toFixed(1).padStart(6)} ${(count / (every / 1000)).toFixed(0).padStart(12)} ${percentile(times, 0.5).toFixed(2).padStart(7)} ${percentile(times, 0.99).toFixed(2).padStart(7)}     | ${await sizes(database)} | ${counts.active} ${heap.toFixed(0)}`,
  );
}
ending.abort();
await sending;
await Promise.all(stops.map((stop) => stop()));
