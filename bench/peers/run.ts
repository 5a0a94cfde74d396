// Our broker against others, in alternating rounds on one machine: contenders take turns within every scenario, so that
// whatever else the machine does hits all alike. Ratios mean something, absolute figures only here and now.
//   node bench/peers/run.ts [publish] [receive] [latency] [fanout] [--rounds 3] [--seconds 2] [--only carillon,nats]
// Servers come from Debian packages (rabbitmq-server, nats-server, redis-server) and are started and stopped here. A
// contender whose server is not installed is named and left out.
import { parseArgs } from 'node:util';
import { startBullmq } from './bullmq.ts';
import { startCarillon } from './carillon.ts';
import { startGraphileWorker } from './graphile-worker.ts';
import { startNats } from './nats.ts';
import type { Peer } from './peer.ts';
import { startPgBoss } from './pg-boss.ts';
import { startRabbit } from './rabbitmq.ts';
import { printFigures } from './report.ts';
import { type Sample, SCENARIOS } from './scenarios.ts';
import { NotInstalled } from './servers.ts';

const STARTS: Readonly<Record<string, () => Promise<Peer>>> = {
  carillon: startCarillon,
  rabbitmq: startRabbit,
  nats: startNats,
  bullmq: startBullmq,
  'pg-boss': startPgBoss,
  'graphile-worker': startGraphileWorker,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    only: { type: 'string', default: Object.keys(STARTS).join(',') },
  },
});
const scenarios = SCENARIOS.filter(({ group }) => positionals.length === 0 || positionals.includes(group));
const seconds = Math.min(Number(values.seconds), 10);

async function startAll(names: readonly string[], peers: Peer[]): Promise<void> {
  for (const name of names) {
    const start = STARTS[name];
    if (!start) throw new Error(`no contender ${name}; there are ${Object.keys(STARTS).join(', ')}`);
    try {
      peers.push(await start());
    } catch (error) {
      if (!(error instanceof NotInstalled)) throw error;
      console.log(`${name}: ${error.message}`);
    }
  }
}

async function measure(peers: readonly Peer[]): Promise<void> {
  for (const { run } of scenarios) {
    const samples: (Sample & { readonly peer: string })[] = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const peer of peers) {
        const measured = await run(peer, seconds).catch((error: unknown) => {
          console.log(`${peer.name} failed: ${error}`);
          return [];
        });
        samples.push(...measured.map((sample) => ({ ...sample, peer: peer.name })));
      }
    }
    printFigures(samples, peers[0]!.name);
  }
}

const peers: Peer[] = [];
try {
  await startAll(values.only.split(','), peers);
  await measure(peers);
} finally {
  await Promise.allSettled(peers.map((peer) => peer.stop()));
}
process.exit();
