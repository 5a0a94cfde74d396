// How many events a second the server takes over HTTP, each answered only when it is durable (fsync on), and how long an
// answer takes. The senders run in a thread of their own and write raw HTTP over keep-alive connections, one request at a
// time on each, so that on a small machine the figures are the server's and not those of a client library.
// Prints figures; about 20 seconds. Run: node bench/http.ts
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { Access } from '../src/access/access.ts';
import { HttpServer } from '../src/gateways/http/server.ts';
import { compileDefinitions } from '../src/handler/notification.ts';
import { HubWatch } from '../src/hub/hub-status.ts';
import { HubLanes } from '../src/hub/lanes.ts';
import { azureSendLimits } from '../src/hub/sends.ts';
import { azureTagLimits } from '../src/hub/tags.ts';
import { InboxStream } from '../src/inbox/stream.ts';
import { Database } from '../src/kit/database.ts';
import { migrate } from '../src/kit/migrate.ts';
import { sealingKey } from '../src/kit/sealing.ts';
import { Signals } from '../src/kit/signals.ts';
import { openDecisions } from '../src/main/answers.ts';
import { Engine } from '../src/main/engine/engine.ts';
import { Broker } from '../src/topics/broker.ts';

const KEY = 'a-key-of-the-bench';

type Mode = 'binary' | 'structured' | 'batched';
type Phase = {
  readonly what: string;
  readonly mode: Mode;
  readonly connections: number;
  readonly ms: number;
  readonly topic?: string;
};
type Load = Phase & { readonly port: number };
type Result = {
  readonly answers: number;
  readonly refused: number;
  readonly ms: number;
  readonly latencies: Float64Array;
};

const BATCH = 100;
const data = JSON.stringify({ customer: 'c-1', amount: 42, text: 'x'.repeat(950) });

const phases: readonly Phase[] = [
  { what: 'warm-up', mode: 'binary', connections: 32, ms: 2_000 },
  { what: 'binary, 64 senders', mode: 'binary', connections: 64, ms: 4_000 },
  { what: 'structured, 64 senders', mode: 'structured', connections: 64, ms: 4_000 },
  { what: 'binary, 256 senders', mode: 'binary', connections: 256, ms: 4_000 },
  { what: 'binary, 1 sender', mode: 'binary', connections: 1, ms: 2_000 },
  { what: 'HTTP alone, 64 senders', mode: 'binary', connections: 64, ms: 2_000, topic: 'nothing' },
  { what: `batches of ${BATCH}, 8 senders`, mode: 'batched', connections: 8, ms: 4_000 },
];

function request(mode: Mode, topic: string, id: string): string {
  const head = `POST /v1/topics/${topic}/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${KEY}\r\n`;
  if (mode === 'binary') {
    const ce = `ce-specversion: 1.0\r\nce-id: ${id}\r\nce-source: /bench\r\nce-type: bench.event\r\ncontent-type: application/json\r\n`;
    return `${head}${ce}content-length: ${data.length}\r\n\r\n${data}`;
  }
  const event = (eventId: string) =>
    `{"specversion":"1.0","id":"${eventId}","source":"/bench","type":"bench.event","data":${data}}`;
  const body =
    mode === 'structured' ? event(id) : `[${Array.from({ length: BATCH }, (_, i) => event(`${id}-${i}`)).join(',')}]`;
  const type = mode === 'structured' ? 'application/cloudevents+json' : 'application/cloudevents-batch+json';
  return `${head}content-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

/** One connection: sends the next request when the answer of the one before is complete. */
function sender(
  { port, mode, topic = 'bench' }: Load,
  name: string,
  until: number,
  latencies: number[],
): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1').setNoDelay(true);
    let sent = 0;
    let refused = 0;
    let began = 0;
    let text = '';
    const send = () => {
      began = performance.now();
      socket.write(request(mode, topic, `${name}-${sent++}`));
    };
    socket.on('connect', send);
    socket.on('error', reject);
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text += chunk;
      const head = text.indexOf('\r\n\r\n');
      if (head === -1) return;
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1]);
      if (text.length < head + 4 + length) return;
      if (!text.startsWith('HTTP/1.1 202')) refused++;
      text = '';
      const now = performance.now();
      latencies.push(now - began);
      if (now < until) return send();
      socket.destroy();
      resolve(refused);
    });
  });
}

async function load(phase: Load): Promise<Result> {
  const latencies: number[] = [];
  const began = performance.now();
  const name = `${phase.what}-${Date.now()}`.replace(/\W+/g, '-');
  const senders = Array.from({ length: phase.connections }, (_, i) =>
    sender(phase, `${name}-${i}`, began + phase.ms, latencies),
  );
  const refused = (await Promise.all(senders)).reduce((sum, one) => sum + one, 0);
  return {
    answers: latencies.length,
    refused,
    ms: performance.now() - began,
    latencies: Float64Array.from(latencies).sort(),
  };
}

async function bench(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-bench-'));
  await chmod(folder, 0o755); // the engine's own account must be able to pass
  try {
    await using engine = await Engine.start({ folder, emit: () => undefined });
    await using database = new Database({ url: engine.url('postgres') });
    await migrate(database, join(import.meta.dirname, '../migrations'));
    await serve(database);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function serve(database: Database): Promise<void> {
  const signals = new Signals();
  const { emit } = signals;
  await using broker = await Broker.start({ database, emit, node: { id: 'bench' } });
  await broker.createTopic('bench', { settings: { duplicateDetection: true } });
  await using inbox = await InboxStream.start({ database, emit });
  const decisions = openDecisions({ database, broker, inbox, emit });
  const access = await Access.start({
    database,
    presets: [{ name: 'bench', secret: KEY, grants: [{ right: 'send', entity: '*' }] }],
  });
  const key = sealingKey('hub-key-of-the-bench');
  const now = () => new Date();
  await using lanes = new HubLanes({ database, key, emit });
  const hubs = {
    admin: {
      database,
      key,
      subject: 'mailto:bench@example.org',
      tagLimits: azureTagLimits,
      sendLimits: azureSendLimits,
      now,
    },
    defaultRules: [],
    watch: new HubWatch({ database, key, now }, lanes),
    push: { database, lanes, now },
    wake: () => undefined,
    wakeJobs: () => undefined,
  };
  await using http = await HttpServer.start(
    {
      database,
      broker: withNothing(broker),
      inbox,
      decisions,
      access,
      signals,
      definitions: compileDefinitions([]),
      dispatcher: { wake: () => undefined },
      edit: () => undefined,
      conversations: { posters: [], wake: () => undefined },
      mappings: [],
      notReady: async () => [],
      hubs,
    },
    { host: '127.0.0.1', port: 0, version: '0', stopWithinMs: 500 },
  );
  for (const phase of phases) await run({ ...phase, port: http.port });
}

/** A topic that takes events and forgets them: what is left is the cost of HTTP, access and decoding. */
function withNothing(broker: Broker): Broker {
  const publish: Broker['publish'] = async (topic, messages) => {
    if (topic !== 'nothing') return broker.publish(topic, messages);
    return messages.map(() => ({ sequence: 0, partition: 0, duplicate: false, enqueuedAt: new Date(0) }));
  };
  return new Proxy(broker, {
    get: (target, name) => {
      if (name === 'publish') return publish;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}

async function run(phase: Load): Promise<void> {
  const cpu = process.cpuUsage();
  const worker = new Worker(new URL(import.meta.url), { workerData: phase });
  const result = await new Promise<Result>((resolve, reject) => worker.once('message', resolve).once('error', reject));
  const used = process.cpuUsage(cpu);
  const events = result.answers * (phase.mode === 'batched' ? BATCH : 1);
  const at = (share: number) => result.latencies[Math.floor((result.latencies.length - 1) * share)]!.toFixed(1);
  const rate = Math.round((events / result.ms) * 1000).toLocaleString('en');
  const cores = ((used.user + used.system) / 1000 / result.ms).toFixed(1);
  console.log(
    `${phase.what.padEnd(28)} ${rate.padStart(8)} events/s   p50 ${at(0.5)} ms  p99 ${at(0.99)} ms   refused ${result.refused}   ${cores} cores (senders included)`,
  );
}

if (parentPort) parentPort.postMessage(await load(workerData as Load));
else await bench();
