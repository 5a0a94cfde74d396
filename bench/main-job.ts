// The main job, from outside: an event published over HTTP -> durable -> handled -> the notice is seen on the open
// stream of its recipient. Server and client are processes of their own on this machine.
//   node bench/main-job.ts [--seconds 10] [--rates 20,1000]
import { Agent, request } from 'node:http';
import { parseArgs } from 'node:util';
import { ADMIN_KEY, ServerProcess } from '../test/support/server-process.ts';

const RECIPIENTS = 50;

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '10' }, rates: { type: 'string', default: '20,1000' } },
});
const seconds = Math.min(Number(values.seconds), 60);

const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const authorization = `Bearer ${ADMIN_KEY}`;

await using server = await ServerProcess.start({ env: { CARILLON_LOG_LEVEL: 'warn' } });
const sentAt = new Map<string, number>();
const latencies: number[] = [];
const streams = await Promise.all(Array.from({ length: RECIPIENTS }, (_, n) => openStream(`person-${n}`)));

await run(200, 3, 'warm-up');
for (const rate of values.rates.split(',').map(Number)) await run(rate, seconds, `${rate} events/s`);
for (const stream of streams) stream.destroy();
agent.destroy();

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
function publish(id: string, customer: string, answers: number[]): Promise<void> {
  const data = { customer, account: '4711', amount: 250, currency: 'EUR', text: id };
  const body = JSON.stringify({ specversion: '1.0', id, source: '/bench', type: 'account.debited', data });
  const headers = { authorization, 'content-type': 'application/cloudevents+json' };
  const began = performance.now();
  sentAt.set(id, began);
  return new Promise((resolve, reject) => {
    const post = request(`${server.url}/v1/topics/account/events`, { method: 'POST', agent, headers }, (answer) => {
      answer.resume().on('end', () => {
        answers.push(performance.now() - began);
        if (answer.statusCode === 202) resolve();
        else reject(new Error(`publish: ${answer.statusCode}`));
      });
    });
    post.on('error', reject).end(body);
  });
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
