// Very many rules on one topic: how long it takes to make them, what a publish costs then, how long one more rule and a
// restart take. 100,000 correlation filters on one subscription; then 2,000 SQL filters on 2,000 subscriptions.
//   node bench/topics/rules.ts [--correlation 100000] [--sql 2000] [--seconds 3]
import { parseArgs } from 'node:util';
import { Broker } from '../../src/topics/broker.ts';
import type { Rule } from '../../src/topics/entities/rule.ts';
import { openPlace, percentile } from './place.ts';

const { values } = parseArgs({
  options: {
    correlation: { type: 'string', default: '100000' },
    sql: { type: 'string', default: '2000' },
    seconds: { type: 'string', default: '3' },
  },
});
const body = Buffer.alloc(1024, 'x');
await using place = await openPlace();
let { broker } = place;

async function timed<T>(title: string, work: () => Promise<T>): Promise<T> {
  const began = performance.now();
  const result = await work();
  console.log(`${title.padEnd(58)} ${(performance.now() - began).toFixed(0).padStart(8)} ms`);
  return result;
}

/** 64 senders, one message each time. */
async function publishing(title: string, topic: string, messageOf: (n: number) => object): Promise<void> {
  const took: number[] = [];
  const end = performance.now() + Number(values.seconds) * 1000;
  let n = 0;
  const sender = async () => {
    while (performance.now() < end) {
      const began = performance.now();
      await broker.publish(topic, [{ body, ...messageOf(++n) }]);
      took.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: 64 }, sender));
  const rate = Math.round(took.length / Number(values.seconds));
  console.log(`${title.padEnd(58)} ${String(rate).padStart(8)} /s, p50 ${percentile(took, 0.5).toFixed(2)} ms`);
}

async function restart(title: string): Promise<void> {
  await broker.stop();
  await timed(title, async () => {
    broker = await Broker.start({ database: place.database, emit: () => {}, node: { id: 'bench' } });
  });
}

await broker.createTopic('none');
await broker.createSubscription('none', 's');
await publishing('publish, 64 senders, one rule', 'none', () => ({}));

const count = Number(values.correlation);
await broker.createTopic('correlation');
await broker.createSubscription('correlation', 's', {}, []);
const rules = Array.from({ length: count }, (_, i): Rule => {
  const properties = i % 2 ? { level: i % 10 } : undefined;
  return { name: `r${i}`, filter: { type: 'correlation', subject: `s${i}`, ...(properties ? { properties } : {}) } };
});
await timed(`make ${count} correlation filters`, () => broker.addRules('correlation', 's', rules));
await timed('make one more', () =>
  broker.addRule('correlation', 's', { name: 'more', filter: { type: 'correlation', to: 'x' } }),
);
await timed('remove one', () => broker.removeRule('correlation', 's', 'more'));
await publishing('publish, 64 senders', 'correlation', (n) => ({
  subject: `s${n % count}`,
  properties: { level: n % 10 },
}));
await restart('start again');

const sql = Number(values.sql);
await broker.createTopic('sql');
await timed(`make ${sql} subscriptions with an SQL filter each`, async () => {
  for (let i = 0; i < sql; i++) {
    const filter = { type: 'sql', expression: `kind = 'k${i}' AND amount > ${i % 100}` } as const;
    await broker.createSubscription('sql', `s${i}`, {}, [{ name: 'r', filter }]);
  }
});
await publishing('publish, 64 senders', 'sql', (n) => ({ properties: { kind: `k${n % sql}`, amount: 1000 } }));
await timed('make one more rule', () =>
  broker.addRule('sql', 's1', { name: 'more', filter: { type: 'sql', expression: "a = 'b'" } }),
);
await restart('start again');
console.log(`memory ${(process.memoryUsage().rss / 2 ** 20).toFixed(0)} MB`);
await broker.stop();
