// What the Service Bus door costs: the official client against it, durable, and against two servers of the same AMQP
// library (servicebus-peer.ts): one that keeps nothing and stores nothing, and one that does nothing but store, in the same
// PostgreSQL, which is the least that durability costs. Alternating runs, medians.
// `node bench/servicebus.ts [seconds per part, default 0.5]`
// Many short parts by turns, because the pace of a shared machine changes within seconds.
// A sender that waits for each batch pays the commit with every one of them; several in flight share commits.
import { type ChildProcess, fork } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ServiceBusAdministrationClient, ServiceBusClient } from '@azure/service-bus';
import { ServerProcess } from '../test/support/server-process.ts';
import { connectionString, SAS_KEY } from '../test/support/service-bus.ts';
import { openStore, startPeer } from './servicebus-peer.ts';

const ROUNDS = 20;
/** How long each is warmed up: V8 compiles for thousands of batches, on the same processors. */
const WARM_UP_MS = 8_000;
const BATCH = 100;
const IN_FLIGHT = [1, 4, 8, 16, 32];
const RECEIVE = 250;
const LATENCIES = 300;

if (process.argv[2] === 'peer') await servePeer(process.argv[3]);
else await compare(Number(process.argv[2] ?? 0.5) * 1000);

async function servePeer(storeUrl?: string): Promise<void> {
  const peer = await startPeer(storeUrl === undefined ? undefined : await openStore(storeUrl));
  process.send!(peer.port);
  process.on('message', () => {
    peer.empty();
    process.send!('empty');
  });
  process.once('disconnect', () => process.exit());
}

/** `send`: by how many batches are in flight. */
type Figures = { send: Map<number, number[]>; receive: number[]; latency: number[] };

type Contender = {
  readonly string: string;
  readonly figures: Figures;
  /** Empties the queue `bench`. */
  empty(): Promise<unknown>;
  stop(): void;
};

async function compare(ms: number): Promise<void> {
  await using server = await ServerProcess.start({ env: { CARILLON_SAS_KEY: SAS_KEY, CARILLON_LOG_LEVEL: 'error' } });
  const host = encodeURIComponent(join(server.dataDir, 'socket'));
  const door = await theDoor(server);
  const memory = await startContender();
  const stored = await startContender(`postgres://postgres@/carillon?host=${host}`);
  for (const contender of [door, stored, memory]) await warmUp(contender);
  for (let round = 0; round < ROUNDS; round++)
    for (const contender of round % 2 === 0 ? [door, stored, memory] : [memory, stored, door])
      await measure(contender, ms, contender !== stored);
  print({ door: door.figures, stored: stored.figures, memory: memory.figures });
  for (const contender of [stored, memory]) contender.stop();
}

function none(): Figures {
  return { send: new Map(IN_FLIGHT.map((lanes) => [lanes, []])), receive: [], latency: [] };
}

async function theDoor(server: ServerProcess): Promise<Contender> {
  const string = connectionString(server.amqpPort);
  const options = { tlsOptions: { ca: await readFile(`${server.dataDir}/servicebus/ca.pem`, 'utf8') } } as object;
  const admin = new ServiceBusAdministrationClient(string, options);
  await admin.createQueue('bench');
  const empty = () => admin.deleteQueue('bench').then(() => admin.createQueue('bench'));
  return { string, figures: none(), empty, stop: () => {} };
}

async function startContender(storeUrl?: string): Promise<Contender> {
  const child = fork(new URL(import.meta.url), ['peer', ...(storeUrl ? [storeUrl] : [])]);
  const port = Number(await answerOf(child));
  const empty = () => {
    child.send('empty');
    return answerOf(child);
  };
  return { string: connectionString(port), figures: none(), empty, stop: () => child.disconnect() };
}

function answerOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve) => child.once('message', resolve));
}

async function warmUp(contender: Contender): Promise<void> {
  const client = new ServiceBusClient(contender.string);
  const sender = client.createSender('bench');
  const batch = aBatch();
  await sendFor(WARM_UP_MS, Math.max(...IN_FLIGHT), () => sender.sendMessages(batch));
  await client.close();
  await contender.empty();
}

function aBatch(): { body: Buffer }[] {
  return Array.from({ length: BATCH }, () => ({ body: Buffer.alloc(1024, 'x') }));
}

/** `receives`: what was sent can be received again. */
async function measure(contender: Contender, ms: number, receives: boolean): Promise<void> {
  const client = new ServiceBusClient(contender.string);
  const { figures } = contender;
  const sender = client.createSender('bench');
  const batch = aBatch();
  await sender.sendMessages(batch);
  let sent = BATCH;
  for (const [lanes, rates] of figures.send) {
    const part = await sendFor(ms, lanes, () => sender.sendMessages(batch));
    rates.push(part.rate);
    sent += part.sent;
  }
  if (receives) figures.receive.push(await receiveFor(ms, client, sent));
  await client.close();
  await contender.empty();
  if (receives) figures.latency.push(...(await latencies(contender.string, batch[0]!.body)));
}

/** Receives and completes for so long, or until all that was sent is received; messages per second. */
async function receiveFor(ms: number, client: ServiceBusClient, sent: number): Promise<number> {
  const receiver = client.createReceiver('bench', { maxAutoLockRenewalDurationInMs: 0 });
  let received = 0;
  const from = performance.now();
  while (received < sent && performance.now() - from < ms) {
    const messages = await receiver.receiveMessages(Math.min(RECEIVE, sent - received));
    await Promise.all(messages.map((message) => receiver.completeMessage(message)));
    received += messages.length;
  }
  return (received * 1000) / (performance.now() - from);
}

/** Sends batches for so long, `lanes` of them at once; messages per second. */
async function sendFor(ms: number, lanes: number, send: () => Promise<void>): Promise<{ sent: number; rate: number }> {
  let sent = 0;
  const from = performance.now();
  const lane = async () => {
    for (; performance.now() - from < ms; sent += BATCH) await send();
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return { sent, rate: (sent * 1000) / (performance.now() - from) };
}

/** Milliseconds from the send of a single message to its arrival at a waiting receiver, one after the other. */
async function latencies(string: string, body: Buffer): Promise<number[]> {
  const client = new ServiceBusClient(string);
  const sender = client.createSender('bench');
  const receiver = client.createReceiver('bench', { receiveMode: 'receiveAndDelete' });
  const found: number[] = [];
  let arrived: () => void = () => {};
  const stream = receiver.subscribe({
    processMessage: async () => arrived(),
    processError: async ({ error }) => console.error(error.message),
  });
  for (let i = 0; i < LATENCIES / ROUNDS; i++) {
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const from = performance.now();
    await sender.sendMessages({ body });
    await arrival;
    found.push(performance.now() - from);
  }
  await stream.close();
  await client.close();
  return found;
}

function print({ door, stored, memory }: Record<'door' | 'stored' | 'memory', Figures>): void {
  const share = (a: readonly number[], b: readonly number[]) => `${Math.round((median(a) / median(b)) * 100)} %`;
  const rate = (values: readonly number[]) => `${Math.round(median(values))}/s`;
  for (const lanes of IN_FLIGHT) {
    const [d, s, m] = [door, stored, memory].map(({ send }) => send.get(lanes)!) as [number[], number[], number[]];
    const shares = `door ${share(d, m)}, stored ${share(s, m)}; door of stored ${share(d, s)}`;
    console.log(
      `batches of ${BATCH}, 1 KB, ${lanes} in flight: door ${rate(d)}, stored ${rate(s)}, memory ${rate(m)}: ${shares}`,
    );
  }
  const [d, m] = [door.receive, memory.receive];
  const most = ({ send }: Figures) => Math.max(...[...send.values()].map(median));
  const shareOfMost = Math.round((most(door) / most(memory)) * 100);
  console.log(
    `the most of each: door ${Math.round(most(door))}/s, memory ${Math.round(most(memory))}/s: ${shareOfMost} %`,
  );
  console.log(`receive ${RECEIVE} + complete each: door ${rate(d)}, memory ${rate(m)}: ${share(d, m)}`);
  for (const [name, { latency }] of Object.entries({ door, memory }))
    console.log(
      `send -> received, ${name}: p50 ${median(latency).toFixed(2)} ms, p99 ${quantile(latency, 0.99).toFixed(2)} ms`,
    );
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}
