// How fast the broker is, on a real embedded PostgreSQL with fsync on, in one process with its senders and receivers.
//   node bench/topics/bench.ts [plain] [publish] [receive] [latency] [whole] [--seconds 2] [--rounds 3]
// Every completion is durable before it counts. Client, broker and PostgreSQL share the machine: compare, do not quote.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Database, statement } from '../../src/kit/database.ts';
import { migrate } from '../../src/kit/migrate.ts';
import { Engine } from '../../src/main/engine/engine.ts';
import { Broker } from '../../src/topics/broker.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '2' }, rounds: { type: 'string', default: '3' } },
});
const SECONDS = Number(values.seconds);
const ROUNDS = Number(values.rounds);
const wanted = (name: string) => positionals.length === 0 || positionals.includes(name);
const body = Buffer.alloc(1024, 'x');
const one = () => ({ body, properties: { kind: 'order', amount: 12 } });
const many = (count: number) => Array.from({ length: count }, one);

let topics = 0;
async function freshTopic(broker: Broker, subscriptions: number, settings = {}): Promise<string> {
  const name = `bench-${++topics}`;
  await broker.createTopic(name, { settings });
  for (let i = 0; i < subscriptions; i++) await broker.createSubscription(name, `s${i}`, { lockDurationMs: 300_000 });
  return name;
}

const measured = { cpu: 0, count: 0 };

/** `workers` loops until the time is up; each call of `work` returns how much it did. */
async function rate(workers: number, work: (worker: number) => Promise<number>, seconds = SECONDS): Promise<number> {
  const before = process.cpuUsage();
  const started = performance.now();
  const end = started + seconds * 1000;
  let done = 0;
  const loop = async (worker: number) => {
    while (performance.now() < end) {
      const count = await work(worker);
      if (count === 0) return;
      done += count;
    }
  };
  await Promise.all(Array.from({ length: workers }, (_, worker) => loop(worker)));
  const { user, system } = process.cpuUsage(before);
  measured.cpu += user + system;
  measured.count += done;
  return done / ((performance.now() - started) / 1000);
}

/** Prints rate, spread, and what a message costs this process: the last hardly depends on what else the machine does. */
async function report(name: string, run: () => Promise<number>): Promise<void> {
  const results: number[] = [];
  for (let round = 0; round < ROUNDS; round++) results.push(await run());
  results.sort((a, b) => a - b);
  const [low, middle, high] = [results[0]!, results[results.length >> 1]!, results.at(-1)!].map(Math.round);
  const cpu = measured.count > 0 ? `${(measured.cpu / measured.count).toFixed(1)} us of CPU each` : '';
  console.log(`${name.padEnd(64)} ${String(middle).padStart(9)}  [${low}-${high}]  ${cpu}`);
  measured.cpu = measured.count = 0;
}

function percentile(sorted: readonly number[], share: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN).toFixed(2);
}

/** What the same machine does without us, at the same time: one INSERT per event, eight connections. */
async function benchPlain(database: Database): Promise<void> {
  await database.query('create table if not exists plain (id bigint generated always as identity, body bytea)');
  const insert = statement('bench.plain', 'insert into plain (body) values ($1)');
  const plain = async () => {
    await database.query(insert, [body]);
    return 1;
  };
  await report('plain INSERT, 1 sender /s', () => rate(1, plain));
  await report('plain INSERT, 64 senders on 8 connections /s', () => rate(64, plain));
}

async function benchPublish(broker: Broker): Promise<void> {
  for (const dedup of [false, true]) {
    const name = await freshTopic(broker, 3, { duplicateDetection: dedup });
    const title = dedup ? 'publish with duplicate detection' : 'publish';
    await report(`${title}, 1 sender /s`, () => rate(1, async () => (await broker.publish(name, [one()])).length));
    await report(`${title}, 64 senders /s`, () => rate(64, async () => (await broker.publish(name, [one()])).length));
    await report(`${title}, 4 senders, batches of 100 /s`, () =>
      rate(4, async () => (await broker.publish(name, many(100))).length),
    );
  }
}

async function benchReceive(broker: Broker): Promise<void> {
  for (const subscriptions of [1, 3]) {
    for (const [batch, workers] of [
      [1, 16],
      [10, 8],
      [100, 4],
      [500, 2],
    ] as const) {
      await report(`receive + complete, ${subscriptions} subscriptions, batch ${batch} /s`, async () => {
        const name = await freshTopic(broker, subscriptions);
        const backlog = Math.min(100_000, batch === 1 ? 40_000 * SECONDS : 100_000 * SECONDS);
        for (let i = 0; i < backlog; i += 500) await broker.publish(name, many(500));
        const receivers = Array.from({ length: subscriptions }, (_, i) =>
          broker.receiver(`${name}/Subscriptions/s${i}`),
        );
        return rate(workers * subscriptions, async (worker) => {
          const receiver = receivers[worker % subscriptions]!;
          const messages = await receiver.receive({ max: batch, waitMs: 0 });
          await receiver.complete(messages);
          return messages.length;
        });
      });
    }
  }
}

async function benchLatency(broker: Broker): Promise<void> {
  for (const perSecond of [20, 1000]) {
    const name = await freshTopic(broker, 1);
    const latencies: number[] = [];
    const sent = new Map<string, number>();
    const consumer = await broker.consume(name, 's0', {}, async (batch) => {
      const now = performance.now();
      for (const { messageId } of batch.messages) latencies.push(now - sent.get(messageId)!);
      await batch.commit(async () => {});
    });
    await steady(perSecond, SECONDS * 2, async (n) => {
      sent.set(`${n}`, performance.now());
      await broker.publish(name, [{ ...one(), messageId: `${n}` }]);
    });
    await consumer.stop();
    latencies.sort((a, b) => a - b);
    console.log(
      `publish -> received at ${perSecond}/s`.padEnd(44),
      `p50 ${percentile(latencies, 0.5)} p99 ${percentile(latencies, 0.99)} ms (${latencies.length})`,
    );
  }
}

/** Starts `work` at even times, whether or not earlier ones have ended. */
async function steady(perSecond: number, seconds: number, work: (n: number) => Promise<void>): Promise<void> {
  const started = performance.now();
  const running: Promise<void>[] = [];
  for (let n = 0; n < perSecond * seconds; ) {
    const due = Math.min(perSecond * seconds, Math.floor(((performance.now() - started) / 1000) * perSecond));
    for (; n < due; n++) running.push(work(n));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(running);
}

/** Events to three subscriptions, each received by four receivers: how long until each of them had it. */
async function benchWhole(broker: Broker): Promise<void> {
  for (const perSecond of [1000, 5000, 10_000]) {
    const name = await freshTopic(broker, 3, { duplicateDetection: true });
    const latencies: number[] = [];
    const sent = new Map<string, number>();
    const ending = new AbortController();
    const receiving = [0, 1, 2].flatMap((i) => {
      const receiver = broker.receiver(`${name}/Subscriptions/s${i}`);
      return Array.from({ length: 4 }, async () => {
        while (!ending.signal.aborted) {
          const messages = await receiver.receive({ max: 100, waitMs: 1_000, signal: ending.signal });
          const now = performance.now();
          for (const { messageId } of messages) latencies.push(now - sent.get(messageId)!);
          if (messages.length > 0) await receiver.complete(messages);
        }
      });
    });
    await steady(perSecond, SECONDS * 2, async (n) => {
      sent.set(`${n}`, performance.now());
      await broker.publish(name, [{ ...one(), messageId: `${n}` }]);
    });
    for (const end = performance.now() + 5_000; latencies.length < perSecond * SECONDS * 6 && performance.now() < end; )
      await new Promise((resolve) => setTimeout(resolve, 10));
    ending.abort();
    await Promise.all(receiving);
    latencies.sort((a, b) => a - b);
    const cpu = process.cpuUsage();
    console.log(
      `${perSecond}/s to 3 subscriptions, end to end`.padEnd(44),
      `p50 ${percentile(latencies, 0.5)} p99 ${percentile(latencies, 0.99)} ms`,
      `(${latencies.length} of ${perSecond * SECONDS * 6}, cpu so far ${Math.round((cpu.user + cpu.system) / 1e6)} s)`,
    );
  }
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-bench-'));
  const engine = await Engine.start({ folder, emit: () => {} });
  const database = new Database({ url: engine.url('postgres'), poolSize: 8 });
  try {
    await migrate(database, new URL('../../migrations', import.meta.url).pathname);
    await using broker = await Broker.start({ database, emit: () => {}, node: { id: 'bench' } });
    if (wanted('plain')) await benchPlain(database);
    if (wanted('publish')) await benchPublish(broker);
    if (wanted('receive')) await benchReceive(broker);
    if (wanted('latency')) await benchLatency(broker);
    if (wanted('whole')) await benchWhole(broker);
  } finally {
    await database.close();
    await engine.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
