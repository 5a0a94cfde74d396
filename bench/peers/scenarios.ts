// What is measured. A scenario runs once per contender and round, and every run has a topic of its own.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Flow, Peer, Sink, Topic } from './peer.ts';

/** One measured value. Of `/s` more is better, of `ms` less. */
export type Sample = { readonly figure: string; readonly unit: '/s' | 'ms'; readonly value: number };

export type Scenario = {
  /** The word of the command line that selects it. */
  readonly group: 'publish' | 'receive' | 'latency' | 'fanout';
  readonly run: (peer: Peer, seconds: number) => Promise<readonly Sample[]>;
};

const FILL_MS = 1_000;
const FILL_PER_SECOND = 60_000;
const FANOUT = 100;
const DRAIN_MS = 5_000;

/** Batches on their way per subscription; one by one as many messages as there are senders in the publish figures. */
const FLOWS: readonly Flow[] = [
  { batch: 1, outstanding: 64 },
  { batch: 10, outstanding: 8 },
  { batch: 100, outstanding: 4 },
  { batch: 500, outstanding: 2 },
];

export const SCENARIOS: readonly Scenario[] = [
  publishing('publish, 1 sender', 1, 1),
  publishing('publish, 64 senders', 64, 1),
  publishing('publish, 4 senders, batches of 100', 4, 100),
  ...[1, 3].flatMap((subscriptions) => FLOWS.map((flow) => receiving(subscriptions, flow))),
  latency('publish -> received, 20/s', 20),
  latency('publish -> received, 1,000/s', 1_000),
  fanningOut(),
];

let sequence = 0;
const freshIds = (count: number) => Array.from({ length: count }, () => `${++sequence}`);

function publishing(figure: string, senders: number, batch: number): Scenario {
  const run = (peer: Peer, seconds: number) =>
    onTopic(peer, 1, async (topic) => {
      await topic.publish(freshIds(batch));
      const value = await sending(topic, senders, batch, seconds);
      return [{ figure, unit: '/s', value } as const];
    });
  return { group: 'publish', run };
}

/** Messages published per second. */
async function sending(topic: Topic, senders: number, batch: number, seconds: number): Promise<number> {
  const began = performance.now();
  let count = 0;
  const sender = async () => {
    while (performance.now() < began + seconds * 1000) {
      await topic.publish(freshIds(batch));
      count += batch;
    }
  };
  await Promise.all(Array.from({ length: senders }, sender));
  return count / ((performance.now() - began) / 1000);
}

/** Completions per second, all subscriptions together, from a backlog; until it is drained or the time is up. */
function receiving(subscriptions: number, flow: Flow): Scenario {
  const figure = `receive + complete, ${subscriptions} subscription${subscriptions > 1 ? 's' : ''}, batches of ${flow.batch}`;
  const run = (peer: Peer, seconds: number) =>
    onTopic(peer, subscriptions, async (topic) => {
      const backlog = (await fill(topic, FILL_PER_SECOND * seconds)) * subscriptions;
      const began = performance.now();
      let count = 0;
      let last = began;
      const completed = (ids: readonly string[]) => {
        count += ids.length;
        last = performance.now();
      };
      const stop = await topic.consume(flow, { received: () => {}, completed });
      while (count < backlog && performance.now() < began + seconds * 1000) await sleep(5);
      const value = count && count / ((last - began) / 1000);
      await stop();
      return [{ figure, unit: '/s', value } as const];
    });
  return { group: 'receive', run };
}

/** As much backlog as the contender takes in a short time. */
async function fill(topic: Topic, most: number): Promise<number> {
  const end = performance.now() + FILL_MS;
  let count = 0;
  const filler = async () => {
    while (count < most && performance.now() < end) {
      count += 500;
      await topic.publish(freshIds(500));
    }
  };
  await Promise.all([filler(), filler(), filler(), filler()]);
  return count;
}

function latency(figure: string, perSecond: number): Scenario {
  const run = (peer: Peer, seconds: number) =>
    onTopic(peer, 1, async (topic) => {
      const { sink, sent, took } = stopwatch();
      const stop = await topic.consume({ batch: 10, outstanding: 8 }, sink);
      await topic.publish(freshIds(1));
      await sleep(200);
      const total = Math.max(40, perSecond * seconds);
      await steady(perSecond, total, async () => {
        const ids = freshIds(1);
        sent.set(ids[0]!, performance.now());
        await topic.publish(ids);
      });
      for (const end = performance.now() + DRAIN_MS; took.length < total && performance.now() < end; ) await sleep(5);
      await stop();
      // What never came counts as never, not as nothing.
      while (took.length < total) took.push(Number.POSITIVE_INFINITY);
      took.sort((a, b) => a - b);
      return [
        { figure: `${figure}, p50`, unit: 'ms', value: took[Math.floor(total * 0.5)]! } as const,
        { figure: `${figure}, p99`, unit: 'ms', value: took[Math.floor(total * 0.99)]! } as const,
      ];
    });
  return { group: 'latency', run };
}

function stopwatch() {
  const sent = new Map<string, number>();
  const took: number[] = [];
  const received = (ids: readonly string[]) => {
    const now = performance.now();
    for (const id of ids) {
      const at = sent.get(id);
      if (at !== undefined) took.push(now - at);
      sent.delete(id);
    }
  };
  return { sink: { received, completed: () => {} } satisfies Sink, sent, took };
}

/** Starts `work` at even times, whether or not earlier ones have ended. */
async function steady(perSecond: number, total: number, work: () => Promise<void>): Promise<void> {
  const began = performance.now();
  const running: Promise<void>[] = [];
  while (running.length < total) {
    const due = Math.min(total, ((performance.now() - began) / 1000) * perSecond);
    while (running.length < due) running.push(work());
    await sleep(1);
  }
  await Promise.all(running);
}

/** Events per second that all subscriptions have completed, the time of the last completion included. */
function fanningOut(): Scenario {
  const figure = `fan-out to ${FANOUT} subscriptions, events`;
  const run = (peer: Peer, seconds: number) =>
    onTopic(peer, FANOUT, async (topic) => {
      let count = 0;
      let last = 0;
      const completed = (ids: readonly string[]) => {
        count += ids.length;
        last = performance.now();
      };
      const stop = await topic.consume({ batch: 100, outstanding: 1 }, { received: () => {}, completed });
      await sleep(500);
      const began = performance.now();
      const published = Math.round((await sending(topic, 4, 10, seconds)) * seconds);
      const end = performance.now() + DRAIN_MS;
      while (count < published * FANOUT * 0.999 && performance.now() < end) await sleep(5);
      await stop();
      return [{ figure, unit: '/s', value: count && count / FANOUT / ((last - began) / 1000) } as const];
    });
  return { group: 'fanout', run };
}

async function onTopic(
  peer: Peer,
  subscriptions: number,
  work: (topic: Topic) => Promise<Sample[]>,
): Promise<Sample[]> {
  const topic = await peer.open(subscriptions);
  try {
    return await work(topic);
  } finally {
    await topic.close();
  }
}
