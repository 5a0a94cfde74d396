// What becomes of our throughput while an idle transaction holds a snapshot, so that PostgreSQL can vacuum nothing away:
// events are published and completed as fast as two senders go, without it, with it, and without it again.
//   node bench/peers/snapshot.ts [--seconds 60] [--window 10]
import { parseArgs } from 'node:util';
import pg from 'pg';
import { startCarillon } from './carillon.ts';
import { loops } from './peer.ts';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, window: { type: 'string', default: '10' } },
});
const windowSeconds = Number(values.window);
const windows = Math.max(1, Math.round(Math.min(Number(values.seconds), 120) / windowSeconds));

let completed = 0;
let ids = 0;
const carillon = await startCarillon();
const topic = await carillon.open(1);
const sink = {
  received: () => {},
  completed: (done: readonly string[]) => {
    completed += done.length;
  },
};
const stopConsuming = await topic.consume({ batch: 100, outstanding: 4 }, sink);
const stopSending = loops(2, () => topic.publish(Array.from({ length: 50 }, () => `${++ids}`)));

/** Completions per second of one window. */
async function window(): Promise<number> {
  const [before, began] = [completed, performance.now()];
  await new Promise((resolve) => setTimeout(resolve, windowSeconds * 1000));
  return Math.round((completed - before) / ((performance.now() - began) / 1000));
}

try {
  await window();
  console.log(`without                  ${await window()} /s`);
  const client = new pg.Client({ connectionString: carillon.url });
  await client.connect();
  await client.query('set idle_in_transaction_session_timeout = 0');
  await client.query('begin isolation level repeatable read');
  await client.query('select txid_current(), count(*) from pg_class');
  for (let n = 1; n <= windows; n++)
    console.log(`held for ${String(n * windowSeconds).padStart(4)} s          ${await window()} /s`);
  await client.query('commit');
  await client.end();
  console.log(`without, afterwards      ${await window()} /s`);
  await stopSending();
  await stopConsuming();
} finally {
  await carillon.stop();
}
process.exit();
