// The main job, from outside: an event published over HTTP -> durable -> handled -> the notice is seen on the open
// stream of its recipient. Server and client are processes of their own on this machine; the client writes raw HTTP over
// keep-alive connections, one request at a time on each, so that the figures are not those of a client library.
// It is warmed up first: V8 compiles for tens of thousands of events, on the same processors.
//   node bench/main-job.ts [--seconds 10] [--rates 20,1000] [--warm-up 30]
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { parseArgs } from 'node:util';
import { ADMIN_KEY, ServerProcess } from '../test/support/server-process.ts';

const RECIPIENTS = 50;
const CONNECTIONS = 64;

/** One connection: a request, its answer, and then the next request. */
class Publisher {
  readonly #socket: Socket;
  #answered: ((status: number) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    // The answers are small: each comes in one piece.
    socket.on('data', (chunk) => this.#answered?.(Number(chunk.toString('latin1', 9, 12))));
    socket.on('error', (error) => this.#failed?.(error));
    socket.on('close', () => this.#failed?.(new Error('the server closed a connection')));
  }

  static async open(): Promise<Publisher> {
    const socket = connect(server.port, '127.0.0.1').setNoDelay(true);
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new Publisher(socket);
  }

  /** Posts one event; resolves with the status of the answer. */
  post(path: string, body: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
      this.#socket.write(
        `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: ${authorization}\r\n` +
          `content-type: application/cloudevents+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
    });
  }

  close(): void {
    this.#failed = undefined;
    this.#socket.destroy();
  }
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    rates: { type: 'string', default: '20,1000' },
    'warm-up': { type: 'string', default: '30' },
  },
});
const seconds = Math.min(Number(values.seconds), 60);

const authorization = `Bearer ${ADMIN_KEY}`;

await using server = await ServerProcess.start({ env: { CARILLON_LOG_LEVEL: 'warn' } });
const sentAt = new Map<string, number>();
const latencies: number[] = [];
const publishers = await Promise.all(Array.from({ length: CONNECTIONS }, () => Publisher.open()));
const free = [...publishers];
const waiting: ((publisher: Publisher) => void)[] = [];
const streams = await Promise.all(Array.from({ length: RECIPIENTS }, (_, n) => openStream(`person-${n}`)));

await run(1_000, Math.min(Number(values['warm-up']), 120), 'warm-up');
for (const rate of values.rates.split(',').map(Number)) await run(rate, seconds, `${rate} events/s`);
for (const stream of streams) stream.destroy();
for (const publisher of publishers) publisher.close();

/** Publishes at an even pace, waits for the last notice, and prints what was seen. */
async function run(rate: number, length: number, label: string): Promise<void> {
  sentAt.clear();
  latencies.length = 0;
  const total = rate * length;
  const answers: number[] = [];
  const start = performance.now();
  const posts: Promise<void>[] = [];
  for (let n = 0; n < total; n++) {
    const wait = start + (n * 1000) / rate - performance.now();
    if (wait > 1) await new Promise((resolve) => setTimeout(resolve, wait));
    posts.push(publish(`${label}-${n}`, `person-${n % RECIPIENTS}`, answers));
  }
  await Promise.all(posts);
  const deadline = performance.now() + 10_000;
  while (latencies.length < total && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 20));
  console.log(
    `${label}: ${latencies.length} of ${total} seen; published ${quantiles(answers)}; published -> seen ${quantiles(latencies)}`,
  );
}

function quantiles(all: number[]): string {
  const sorted = all.toSorted((a, b) => a - b);
  const at = (q: number) => (sorted[Math.floor((sorted.length - 1) * q)] ?? Number.NaN).toFixed(1);
  return `p50 ${at(0.5)} p99 ${at(0.99)} max ${at(1)} ms`;
}

/** A debit: the preference of the customer, by default above 100, is evaluated on its amount. */
async function publish(id: string, customer: string, answers: number[]): Promise<void> {
  const data = { customer, account: '4711', amount: 250, currency: 'EUR', text: id };
  const body = JSON.stringify({ specversion: '1.0', id, source: '/bench', type: 'account.debited', data });
  const began = performance.now();
  sentAt.set(id, began);
  const publisher = free.pop() ?? (await new Promise<Publisher>((resolve) => waiting.push(resolve)));
  const status = await publisher.post('/v1/topics/account/events', body);
  answers.push(performance.now() - began);
  const next = waiting.shift();
  if (next) next(publisher);
  else free.push(publisher);
  if (status !== 202) throw new Error(`publish: ${status}`);
}

/** Opens one person's live inbox; resolves once its first frame has come. */
function openStream(recipient: string) {
  return new Promise<ReturnType<typeof request>>((resolve, reject) => {
    const headers = { authorization, accept: 'text/event-stream' };
    const stream = request(`${server.url}/v1/recipients/${recipient}/inbox/stream`, { headers }, (answer) => {
      let rest = '';
      answer.setEncoding('utf8').on('data', (text: string) => {
        const frames = (rest + text).split('\n\n');
        rest = frames.pop()!;
        for (const frame of frames) noteSeen(frame);
        resolve(stream);
      });
    });
    stream.on('error', reject).end();
  });
}

function noteSeen(frame: string): void {
  if (!frame.includes('event: item')) return;
  const data = frame.split('\n').find((line) => line.startsWith('data: '));
  const item = JSON.parse(data!.slice(6)) as { body: string };
  const began = sentAt.get(item.body);
  if (began !== undefined) latencies.push(performance.now() - began);
}
