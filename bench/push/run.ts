// Pushes per second and CPU per push of our drivers against node:http2 and the usual libraries, on loopback TLS, the sink in another
// process. The contestants take turns, several rounds, and medians are compared: the machine's noise hits all alike.
// Run: node bench/push/run.ts [rounds] [msPerRun]; about 40 seconds.

import { fanOut } from '../../src/hub/fan-out.ts';
import { Targets } from '../../src/hub/targets.ts';
import {
  apns,
  apnsDriver,
  apnsOnNode,
  type Contestant,
  fcm,
  fcmOnNode,
  nodeApn,
  ownWebPush,
  webPushLibrary,
  webPushOnNode,
  wns,
} from './contestants.ts';
import { type Sink, startSink } from './sinks.ts';

type Sample = { readonly rate: number; readonly cpuUs: number };
type Entry = { readonly contestant: Contestant; readonly rival: boolean; readonly samples: Sample[] };

const [rounds = 3, msPerRun = 800] = process.argv.slice(2).map(Number);
const sinks = {
  apns: await startSink('fast', 'apns'),
  fcm: await startSink('fast', 'fcm', '0', '100'),
  webpush: await startSink('fast', 'webpush'),
  http1: await startSink('fast-http1', 'webpush'),
  wns: await startSink('fast-http1', 'wns'),
};

/** In each group the first is ours and the others are compared with it. */
const groups: readonly (readonly Contestant[])[] = [
  [
    apns('APNs: ours', sinks.apns),
    apnsOnNode('APNs: our driver on node:http2', sinks.apns),
    nodeApn('APNs: @parse/node-apn', sinks.apns),
  ],
  [await fcm('FCM: ours', sinks.fcm), await fcmOnNode('FCM: our driver on node:http2', sinks.fcm)],
  [
    ownWebPush('Web Push: ours', sinks.webpush),
    ownWebPush('Web Push: ours, sealed in a thread', sinks.webpush, { threads: 1 }),
    webPushOnNode('Web Push: our driver on node:http2', sinks.webpush),
    webPushLibrary('Web Push: web-push', sinks.http1),
  ],
  [await wns('WNS: ours (HTTP/1.1)', sinks.wns)],
];
/** Milliseconds from handing an urgent push over, in the middle of a broadcast, to its outcome. */
async function overtaking(sink: Sink): Promise<readonly number[]> {
  const { driver, plan, target } = apnsDriver(sink);
  const chunk = new Targets(Array.from({ length: 20_000 }, (_, n) => target(n)));
  const took: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const broadcast = fanOut(driver, plan, chunk);
    await new Promise((resolve) => setTimeout(resolve, 30));
    const began = performance.now();
    await fanOut(driver, plan, new Targets([target(1)]), { urgent: true });
    took.push(performance.now() - began);
    await broadcast;
  }
  await driver.close();
  return took;
}

const entries: Entry[] = groups.flatMap((group) =>
  group.map((contestant, i) => ({ contestant, rival: i > 0, samples: [] })),
);

async function measure({ contestant, samples }: Entry, ms: number): Promise<void> {
  const cpu = process.cpuUsage();
  const began = performance.now();
  const delivered = await contestant.run(ms);
  const tookMs = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  samples.push({ rate: (delivered / tookMs) * 1000, cpuUs: (user + system) / delivered });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

for (const entry of entries) await measure(entry, 300);
for (const entry of entries) entry.samples.length = 0;
for (let round = 0; round < rounds; round += 1) for (const entry of entries) await measure(entry, msPerRun);

console.log(`${'contestant'.padEnd(48)} ${'pushes/s'.padStart(9)} ${'CPU us'.padStart(8)}   ours is faster`);
let ours = 0;
for (const { contestant, rival, samples } of entries) {
  const rate = median(samples.map((sample) => sample.rate));
  const cpuUs = median(samples.map((sample) => sample.cpuUs));
  if (!rival) ours = rate;
  const ratio = rival ? `${(ours / rate).toFixed(1)} x` : '';
  console.log(
    `${contestant.name.padEnd(48)} ${Math.round(rate).toLocaleString('en').padStart(9)} ${cpuUs.toFixed(1).padStart(8)}   ${ratio}`,
  );
}
const took = await overtaking(sinks.apns);
console.log(
  `an urgent push in a running broadcast: median ${median(took).toFixed(0)} ms, worst ${Math.max(...took).toFixed(0)} ms`,
);
console.log(`memory ${Math.round(process.memoryUsage().rss / 1e6)} MB; ${rounds} rounds of ${msPerRun} ms, medians`);
for (const { contestant } of entries) await contestant.stop();
for (const sink of Object.values(sinks)) await sink.stop();
