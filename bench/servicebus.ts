// What the Service Bus door costs: the official client against it, durable, and against a server of the same AMQP library
// that keeps nothing and stores nothing. Alternating runs, medians. `node bench/servicebus.ts [seconds per part, default 3]`
// A sender that waits for each batch pays the commit with every one of them; several in flight share commits.
import { type ChildProcess, fork } from 'node:child_process';
import { ServiceBusAdministrationClient, ServiceBusClient } from '@azure/service-bus';
import { ServerProcess } from '../test/support/server-process.ts';
import { connectionString, SAS_KEY } from '../test/support/service-bus.ts';
import { startPeer } from './servicebus-peer.ts';

const ROUNDS = 5;
const BATCH = 100;
const IN_FLIGHT = 4;
const RECEIVE = 250;
const LATENCIES = 300;

if (process.argv[2] === 'peer') await servePeer();
else await compare(Number(process.argv[2] ?? 3) * 1000);

async function servePeer(): Promise<void> {
  const port = await startPeer();
  process.send!(port);
  process.once('disconnect', () => process.exit());
}

type Figures = { send: number[]; sendMany: number[]; receive: number[]; latency: number[] };

async function compare(ms: number): Promise<void> {
  await using server = await ServerProcess.start({ env: { CARILLON_SAS_KEY: SAS_KEY, CARILLON_LOG_LEVEL: 'error' } });
  const { child, port } = await startPeerProcess();
  const strings = { door: connectionString(server.amqpPort), memory: connectionString(port) };
  await makeQueue(strings.door, `${server.dataDir}/servicebus/ca.pem`);
  const figures: Record<keyof typeof strings, Figures> = { door: none(), memory: none() };
  for (let round = 0; round < ROUNDS; round++)
    for (const which of round % 2 === 0 ? (['door', 'memory'] as const) : (['memory', 'door'] as const))
      await measure(strings[which], figures[which], ms);
  child.disconnect();
  print(figures);
}

function none(): Figures {
  return { send: [], sendMany: [], receive: [], latency: [] };
}

async function startPeerProcess(): Promise<{ child: ChildProcess; port: number }> {
  const child = fork(new URL(import.meta.url), ['peer']);
  const port = await new Promise<number>((resolve) => child.once('message', (message) => resolve(Number(message))));
  return { child, port };
}

async function makeQueue(string: string, caFile: string): Promise<void> {
  const { readFile } = await import('node:fs/promises');
  const options = { tlsOptions: { ca: await readFile(caFile, 'utf8') } } as object;
  await new ServiceBusAdministrationClient(string, options).createQueue('bench');
}

async function measure(string: string, figures: Figures, ms: number): Promise<void> {
  const client = new ServiceBusClient(string);
  const sender = client.createSender('bench');
  const receiver = client.createReceiver('bench', { maxAutoLockRenewalDurationInMs: 0 });
  const body = Buffer.alloc(1024, 'x');
  const batch = Array.from({ length: BATCH }, () => ({ body }));
  await sender.sendMessages(batch);
  const alone = await sendFor(ms, 1, () => sender.sendMessages(batch));
  const many = await sendFor(ms, IN_FLIGHT, () => sender.sendMessages(batch));
  figures.send.push(alone.rate);
  figures.sendMany.push(many.rate);
  const sent = BATCH + alone.sent + many.sent;
  let received = 0;
  const begin = performance.now();
  while (received < sent && performance.now() - begin < ms) {
    const messages = await receiver.receiveMessages(Math.min(RECEIVE, sent - received));
    await Promise.all(messages.map((message) => receiver.completeMessage(message)));
    received += messages.length;
  }
  figures.receive.push((received * 1000) / (performance.now() - begin));
  await empty(client, sent - received);
  figures.latency.push(...(await latencies(client, body)));
  await client.close();
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

async function empty(client: ServiceBusClient, count: number): Promise<void> {
  const receiver = client.createReceiver('bench', { receiveMode: 'receiveAndDelete' });
  for (let left = count; left > 0; ) left -= (await receiver.receiveMessages(Math.min(left, 1000))).length;
  await receiver.close();
}

/** Milliseconds from the send of a single message to its arrival at a waiting receiver, one after the other. */
async function latencies(client: ServiceBusClient, body: Buffer): Promise<number[]> {
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
  return found;
}

function print({ door, memory }: Record<'door' | 'memory', Figures>): void {
  const share = (a: readonly number[], b: readonly number[]) => `${Math.round((median(a) / median(b)) * 100)} %`;
  const rate = (values: readonly number[]) => `${Math.round(median(values))}/s`;
  const compared = (what: string, part: 'send' | 'sendMany' | 'receive') =>
    console.log(`${what}: door ${rate(door[part])}, memory ${rate(memory[part])}: ${share(door[part], memory[part])}`);
  compared(`sends in batches of ${BATCH}, 1 KB, one after the other`, 'send');
  compared(`the same, ${IN_FLIGHT} batches in flight`, 'sendMany');
  compared(`receive ${RECEIVE} + complete each`, 'receive');
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
