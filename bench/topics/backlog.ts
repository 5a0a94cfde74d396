// Does a subscription that nobody reads slow the others? Latency and throughput of a subscription at full speed, first
// without, then beside another one of the same topic with a backlog of millions of small messages; then the backlog is
// drained, and the broker is started again on it.
//   node bench/topics/backlog.ts [--messages 5000000] [--seconds 10]
import { parseArgs } from 'node:util';
import { Broker } from '../../src/topics/broker.ts';
import { loops } from '../peers/peer.ts';
import { openPlace, percentile, steadily } from './place.ts';

const { values } = parseArgs({
  options: { messages: { type: 'string', default: '5000000' }, seconds: { type: 'string', default: '10' } },
});
const seconds = Number(values.seconds);
const small = Buffer.alloc(64, 'x');

await using place = await openPlace();
const { database } = place;
let { broker } = place;
await broker.createTopic('t');
await broker.createSubscription('t', 'quick', { lockDurationMs: 300_000 });

/** Messages of `quick` completed per second while two senders publish as fast as they can, in batches of 100. */
async function throughput(): Promise<number> {
  const receiver = broker.receiver('t/Subscriptions/quick');
  let done = 0;
  const stopReceiving = loops(4, async () => {
    const messages = await receiver.receive({ max: 500, waitMs: 200 });
    if (messages.length > 0) await receiver.complete(messages);
    done += messages.length;
  });
  const stopSending = loops(2, async () => {
    await broker.publish(
      't',
      Array.from({ length: 100 }, () => ({ body: small })),
    );
  });
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const rate = done / seconds;
  await stopSending();
  while ((await broker.counts('t', 'quick')).active > 0) await new Promise((resolve) => setTimeout(resolve, 50));
  await stopReceiving();
  return rate;
}

async function latency(): Promise<number[]> {
  const receiver = broker.receiver('t/Subscriptions/quick');
  const sent = new Map<string, number>();
  const took: number[] = [];
  const stop = loops(8, async () => {
    const messages = await receiver.receive({ max: 20, waitMs: 200 });
    for (const { messageId } of messages) took.push(performance.now() - (sent.get(messageId) ?? Number.NaN));
    if (messages.length > 0) await receiver.complete(messages);
  });
  const ending = AbortSignal.timeout(seconds * 1000);
  let n = 0;
  await steadily(500, ending, async () => {
    const messageId = `l${++n}`;
    sent.set(messageId, performance.now());
    await broker.publish('t', [{ messageId, body: small }]);
  });
  while (took.length < n) await new Promise((resolve) => setTimeout(resolve, 20));
  await stop();
  return took;
}

async function report(title: string): Promise<void> {
  const took = await latency();
  const rate = await throughput();
  const [p50, p99] = [percentile(took, 0.5).toFixed(2), percentile(took, 0.99).toFixed(2)];
  console.log(`${title.padEnd(44)} p50 ${p50} ms, p99 ${p99} ms at 500/s; ${Math.round(rate)} completed/s`);
}

await report('without a backlog');
await report('without a backlog, again');
await broker.createSubscription('t', 'slow', { lockDurationMs: 300_000 });
// The backlog is for `slow` alone, so that filling it says nothing about `quick`.
await broker.replaceRules('t', 'quick', [{ name: 'q', filter: { type: 'sql', expression: 'filling IS NULL' } }]);
const total = Number(values.messages);
const began = performance.now();
for (let n = 0; n < total; n += 20_000) {
  await Promise.all(
    Array.from({ length: 4 }, () =>
      broker.publish(
        't',
        Array.from({ length: 5_000 }, () => ({ body: small, properties: { filling: true } })),
      ),
    ),
  );
}
console.log(`filled ${total} in ${((performance.now() - began) / 1000).toFixed(1)} s`);
await broker.replaceRules('t', 'quick', [{ name: 'q', filter: { type: 'true' } }]);
await report(`beside a backlog of ${(await broker.counts('t', 'slow')).active}`);
await report('beside it, again');
await broker.stop();
const restarted = performance.now();
broker = await Broker.start({ database, emit: () => {}, node: { id: 'bench' } });
const waiting = (await broker.counts('t', 'slow')).active;
console.log(`started again on ${waiting} messages in ${(performance.now() - restarted).toFixed(0)} ms`);
const slow = broker.receiver('t/Subscriptions/slow');
const draining = performance.now();
let drained = 0;
const stopDraining = loops(4, async () => {
  const messages = await slow.receive({ max: 500, waitMs: 100 });
  if (messages.length > 0) await slow.complete(messages);
  drained += messages.length;
});
while (drained < waiting && performance.now() - draining < 60_000)
  await new Promise((resolve) => setTimeout(resolve, 100));
await stopDraining();
console.log(`drained ${drained} at ${Math.round(drained / ((performance.now() - draining) / 1000))}/s`);
console.log(`memory ${(process.memoryUsage().rss / 2 ** 20).toFixed(0)} MB`);
await broker.stop();
