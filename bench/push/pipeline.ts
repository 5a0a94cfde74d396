// The whole way of a broadcast in one process: devices read from PostgreSQL, a template rendered for each, pushed, every
// outcome recorded durably. The push service is a process of its own. In each round @parse/node-apn takes its turn with
// tokens and payloads that it gets for free. Also timed: an urgent push in the middle of the broadcast, and the memory.
// With --selection also how fast tag expressions find their first page among the devices.
// Run: node bench/push/pipeline.ts [apns|fcmv1|browser] [--devices 200000] [--rounds 3] [--alone] [--selection]

import { createECDH, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { planLookup, readPushPage } from '../../src/hub/push-page.ts';
import { HubSender } from '../../src/hub/sender.ts';
import { enqueueSend, findSend } from '../../src/hub/sends.ts';
import { parseTagExpression } from '../../src/hub/tags.ts';
import { Targets } from '../../src/hub/targets.ts';
import { processesIn } from '../../src/main/engine/pidfile.ts';
import { addManyDevices } from '../../test/support/many-devices.ts';
import { apnsCredentials, fcmAccount, nodeApn, vapid, webPushLibrary } from './contestants.ts';
import { cpuSeconds } from './cpu.ts';
import { hubName, startHub } from './hub-fixture.ts';
import { startSink } from './sinks.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    devices: { type: 'string', default: '200000' },
    rounds: { type: 'string', default: '3' },
    alone: { type: 'boolean', default: false },
    selection: { type: 'boolean', default: false },
    latency: { type: 'string', default: '0' },
  },
});
const platform = (positionals[0] ?? 'apns') as 'apns' | 'fcmv1' | 'browser';
const devices = Number(values.devices);
const rivalMs = 1_500;

const bodies = {
  apns: {
    aps: {
      alert: { title: 'Your order', body: "{$(name) + ', order ' + $(order) + ' is on its way'}" },
      sound: 'default',
    },
    notice: '$(notice)',
  },
  fcmv1: {
    message: {
      notification: { title: 'Your order', body: "{$(name) + ', order ' + $(order) + ' is on its way'}" },
      data: { notice: '$(notice)' },
    },
  },
  browser: { title: 'Your order', body: "{$(name) + ', order ' + $(order) + ' is on its way'}", notice: '$(notice)' },
};

const sinkKind = { apns: 'apns', fcmv1: 'fcm', browser: 'webpush' }[platform];
const sink = await startSink('fast', sinkKind, values.latency, platform === 'fcmv1' ? '100' : '1000');
const endpoint = { host: '127.0.0.1', port: sink.port, ca: sink.ca };
const account = platform === 'fcmv1' ? await fcmAccount() : undefined;
const fixture = await startHub({
  apns: { ...apnsCredentials, environment: 'sandbox', endpoint },
  browser: { ...vapid, allowPrivate: true, ca: sink.ca },
  ...(account
    ? {
        fcmv1: {
          ...account.credentials,
          endpoint: { ...endpoint, ca: `${sink.ca}\n${account.ca}` },
        },
      }
    : {}),
});
const subscription = JSON.stringify({
  endpoint: `https://127.0.0.1:${sink.port}/push/${randomBytes(32).toString('hex')}`,
  p256dh: createECDH('prime256v1').generateKeys().toString('base64url'),
  auth: randomBytes(16).toString('base64url'),
});
const began = performance.now();
await addManyDevices(fixture.database, {
  hub: hubName,
  platform,
  count: devices,
  body: JSON.stringify(bodies[platform]),
  ...(platform === 'browser' ? { address: subscription } : {}),
});
console.log(`${devices} devices made in ${seconds(performance.now() - began)} s`);

const { database, lanes } = fixture;
const sender = HubSender.start({ database, lanes, now: () => new Date(), emit: (signal) => console.error(signal) });
const rivalSink = platform === 'browser' ? await startSink('fast-http1', 'webpush') : sink;
const rival =
  values.alone || platform === 'fcmv1'
    ? undefined
    : platform === 'apns'
      ? nodeApn('@parse/node-apn', sink)
      : webPushLibrary('web-push', rivalSink);
const ours: number[] = [];
const theirs: number[] = [];
const ourCpu: number[] = [];
const theirCpu: number[] = [];
if (values.selection) await selectFirstPages();
await broadcast();
for (let round = 0; round < Number(values.rounds); round += 1) {
  if (rival) {
    const start = performance.now();
    const cpu = process.cpuUsage();
    const delivered = await rival.run(rivalMs);
    theirs.push((delivered / (performance.now() - start)) * 1000);
    const { user, system } = process.cpuUsage(cpu);
    theirCpu.push((user + system) / delivered);
    console.log(`${rival.name}: ${Math.round(theirs.at(-1)!)}/s, ${theirCpu.at(-1)!.toFixed(1)} us CPU each`);
  }
  ours.push(await broadcast());
}
console.log(
  `whole pipeline, median of ${ours.length}: ${Math.round(median(ours))}/s [${ours.map(Math.round).join(', ')}]`,
);
if (rival)
  console.log(
    `${rival.name}, transport alone: ${Math.round(median(theirs))}/s; ours is ${(median(ours) / median(theirs)).toFixed(1)} x as fast, with ${(median(theirCpu) / median(ourCpu)).toFixed(1)} times less CPU each`,
  );
await sender.stop();
await rival?.stop();
await fixture.stop();
await sink.stop();
if (rivalSink !== sink) await rivalSink.stop();
await account?.stop();

/** One template send to everybody; devices per second. */
async function broadcast(): Promise<number> {
  const processes = {
    ours: [process.pid],
    postgres: await processesIn(join(fixture.folder, 'postgres')),
    stand_in: [sink.pid],
  };
  const before = usage(processes);
  const loop = performance.eventLoopUtilization();
  const startedAt = Date.now();
  const start = performance.now();
  const job = { message: { kind: 'template', properties: { order: 4711, notice: 'ntc_1' } } } as const;
  const id = await enqueueSend(database, hubName, job, new Date());
  const acceptedMs = performance.now() - start;
  sender.wake();
  let most = 0;
  const urgent: number[] = [];
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    most = Math.max(most, process.memoryUsage().rss);
    const send = await findSend(database, hubName, id);
    if (send?.endedAt) {
      // As it was written down, for this is only seen at the next look.
      const tookMs = send.endedAt.getTime() - startedAt;
      const delivered = send.outcomes[platform]?.Success ?? 0;
      const after = usage(processes);
      const shares = Object.keys(after).map(
        (name) => `${name} ${Math.round(((after[name]! - before[name]!) / tookMs) * 1e5)} %`,
      );
      const cpuUs = ((after.ours! - before.ours!) / delivered) * 1e6;
      ourCpu.push(cpuUs);
      console.log(
        `broadcast: ${delivered} in ${seconds(tookMs)} s = ${Math.round((delivered / tookMs) * 1000)}/s, ${cpuUs.toFixed(1)} us CPU each; event loop ${Math.round(performance.eventLoopUtilization(loop).utilization * 100)} %; cores: ${shares.join(', ')}; ` +
          `accepted in ${acceptedMs.toFixed(0)} ms; urgent ${urgent.map((ms) => ms.toFixed(0)).join(' ')} ms; memory ${Math.round(most / 1e6)} MB`,
      );
      if (delivered !== devices) console.error(`expected ${devices}:`, send.outcomes);
      return (delivered / tookMs) * 1000;
    }
    if (platform === 'apns') urgent.push(await pushUrgently());
  }
}

/** The first 500 devices of selective expressions, and of everybody. */
async function selectFirstPages(): Promise<void> {
  const expressions = [
    'topic:17 && !city:5',
    '(topic:1 || topic:2 || topic:3) && tier:2',
    'dept:7',
    'dept:7 && tier:3',
    'tier:1',
  ];
  for (const text of [...expressions, '']) {
    const expression = text === '' ? undefined : parseTagExpression(text);
    const took: number[] = [];
    let found = 0;
    for (let i = 0; i < 15; i += 1) {
      const start = performance.now();
      const selection = { hub: hubName, platform, expression };
      const lookup = await planLookup(database, selection, 500);
      const page = await readPushPage(database, selection, { after: '', limit: 500, lookup }, new Date());
      took.push(performance.now() - start);
      found = page.length;
    }
    console.log(
      `first page of "${text || 'everybody'}": ${found} devices, median ${median(took).toFixed(1)} ms, worst ${Math.max(...took).toFixed(1)} ms`,
    );
  }
}

async function pushUrgently(): Promise<number> {
  const lane = (await lanes.of(hubName)).get(platform)!;
  const start = performance.now();
  const target = { address: 'ab'.repeat(32), payload: '{"aps":{"alert":"Now!"}}' };
  const { codes } = await lane.send(new Targets([target]), { urgency: 'high' }, { urgent: true });
  if (codes[0] !== 1) console.error('the urgent push was not delivered');
  return performance.now() - start;
}

function usage(processes: Readonly<Record<string, readonly number[]>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(processes).map(([name, pids]) => [name, pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)]),
  );
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}
