// kill -9 under load, and how long until messages flow again: from the kill to the first message received that was sent
// after it, while the server is started again at once. Also: what was confirmed and never came out, and what came again
// after it was completed. Eight senders at 25/s each, two receivers, 1 KB, durable.
//   node bench/peers/recover.ts [--rounds 3] [--only carillon,carillon-postgres,carillon-both,rabbitmq,nats]
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { NotInstalled } from './servers.ts';
import { type Client, carillonVictim, natsVictim, rabbitVictim, type Victim } from './victims.ts';

const VICTIMS: Readonly<Record<string, () => Promise<Victim>>> = {
  carillon: () => carillonVictim('server'),
  'carillon-postgres': () => carillonVictim('postgres'),
  'carillon-both': () => carillonVictim('both'),
  rabbitmq: rabbitVictim,
  nats: natsVictim,
};
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: Object.keys(VICTIMS).join(',') },
  },
});
/** Between two sends of a sender: so slow that nobody gathers a backlog. */
const PAUSE_MS = 40;
const PATIENCE_MS = 60_000;
/** How long what is late may still come; what comes later counts as lost. */
const DRAIN_MS = 90_000;

type Tally = {
  readonly confirmed: Set<string>;
  readonly came: Set<string>;
  readonly completed: Set<string>;
  again: number;
  stopSending: boolean;
  stop: boolean;
};

/** Loops of `work` with a client that is replaced when it fails. */
async function keep(victim: Victim, stopped: () => boolean, work: (client: Client) => Promise<void>): Promise<void> {
  let client: Client | undefined;
  while (!stopped()) {
    try {
      client ??= await victim.connect();
      await work(client);
    } catch {
      await client?.close().catch(() => {});
      client = undefined;
      await sleep(20);
    }
  }
  await client?.close().catch(() => {});
}

async function measure(victim: Victim, rounds: number): Promise<void> {
  await victim.prepare();
  const tally: Tally = {
    confirmed: new Set(),
    came: new Set(),
    completed: new Set(),
    again: 0,
    stopSending: false,
    stop: false,
  };
  let [ids, killedAtId] = [0, Infinity];
  let flows: ((at: number) => void) | undefined;
  const senders = Array.from({ length: 8 }, () =>
    keep(
      victim,
      () => tally.stopSending,
      async (client) => {
        const id = `${++ids}`;
        await client.publish(id);
        tally.confirmed.add(id);
        await sleep(PAUSE_MS);
      },
    ),
  );
  const receivers = Array.from({ length: 2 }, () =>
    keep(
      victim,
      () => tally.stop,
      async (client) => {
        const came = (received: readonly string[]) => {
          for (const id of received) {
            tally.came.add(id);
            if (tally.completed.has(id)) tally.again++;
            if (Number(id) > killedAtId) flows?.(performance.now());
          }
        };
        for (const id of await client.receive(came)) tally.completed.add(id);
      },
    ),
  );
  const took: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await sleep(2_000);
    const flowing = new Promise<number>((resolve) => {
      flows = resolve;
    });
    killedAtId = ids;
    const killedAt = performance.now();
    const restarting = victim.killAndStart();
    const at = await Promise.race([flowing, sleep(PATIENCE_MS, Infinity, { ref: false })]);
    await restarting;
    took.push((at - killedAt) / 1000);
  }
  tally.stopSending = true;
  await Promise.race([Promise.all(senders), sleep(5_000)]);
  const missing = () => [...tally.confirmed].filter((id) => !tally.came.has(id)).length;
  const stopped = performance.now();
  while (missing() > 0 && performance.now() < stopped + DRAIN_MS) await sleep(100);
  const drained = ((performance.now() - stopped) / 1000).toFixed(1);
  tally.stop = true;
  await Promise.race([Promise.all(receivers), sleep(5_000)]);
  const times = took.map((seconds) => seconds.toFixed(2)).join(', ');
  console.log(
    `${victim.name.padEnd(26)} flows again after ${times} s; ${tally.confirmed.size} confirmed, ${missing()} of them never came (looked for ${drained} s), ${tally.again} came again after completion`,
  );
}

for (const name of values.only.split(',')) {
  const start = VICTIMS[name];
  if (!start) throw new Error(`no contender ${name}; there are ${Object.keys(VICTIMS).join(', ')}`);
  try {
    const victim = await start();
    await measure(victim, Number(values.rounds));
    await victim.stop();
  } catch (error) {
    if (!(error instanceof NotInstalled)) throw error;
    console.log(`${name}: ${error.message}`);
  }
}
process.exit();
