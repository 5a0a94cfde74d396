// Pushes per second and CPU per push of our drivers against node:http2 and the usual libraries, on loopback TLS, the sink in another
// process. The contestants take turns, several rounds, and medians are compared: the machine's noise hits all alike.
// Run: node bench/push/run.ts [rounds] [msPerRun]; about 40 seconds.

import {
  apns,
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
import { startSink } from './sinks.ts';

type Sample = { readonly rate: number; readonly cpuUs: number };
type Entry = { readonly contestant: Contestant; readonly rival: boolean; readonly samples: Sample[] };

const [rounds = 3, msPerRun = 1000] = process.argv.slice(2).map(Number);
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
    ownWebPush('Web Push: ours, 1000 messages per sender key', sinks.webpush, { messagesPerKey: 1000 }),
    webPushOnNode('Web Push: our driver on node:http2', sinks.webpush),
    webPushLibrary('Web Push: web-push', sinks.http1),
  ],
  [await wns('WNS: ours (HTTP/1.1)', sinks.wns)],
];
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
console.log(`memory ${Math.round(process.memoryUsage().rss / 1e6)} MB; ${rounds} rounds of ${msPerRun} ms, medians`);
for (const { contestant } of entries) await contestant.stop();
for (const sink of Object.values(sinks)) await sink.stop();
