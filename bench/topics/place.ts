// A broker in this process on a fresh embedded PostgreSQL (fsync on), for the benches that need no peers.
import { fileURLToPath } from 'node:url';
import { Database } from '../../src/kit/database.ts';
import { migrate } from '../../src/kit/migrate.ts';
import { Broker, type BrokerSettings } from '../../src/topics/broker.ts';
import { startPostgres } from '../peers/postgres.ts';

export type BenchPlace = AsyncDisposable & { readonly database: Database; readonly broker: Broker };

export async function openPlace(settings: BrokerSettings = {}): Promise<BenchPlace> {
  const postgres = await startPostgres();
  const database = new Database({ url: postgres.url, poolSize: 8 });
  await migrate(database, fileURLToPath(new URL('../../migrations', import.meta.url)));
  const broker = await Broker.start({ database, emit: () => {}, node: { id: 'bench' }, settings });
  return {
    database,
    broker,
    [Symbol.asyncDispose]: async () => {
      await broker.stop();
      await database.close();
      await postgres.stop();
    },
  };
}

/** The value below which `share` of the values lie. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Starts `work` at even times until `signal` aborts, whether or not earlier ones have ended. */
export async function steadily(perSecond: number, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  const began = performance.now();
  const running = new Set<Promise<void>>();
  for (let started = 0; !signal.aborted; ) {
    const due = ((performance.now() - began) / 1000) * perSecond;
    for (; started < due; started++) {
      const call = work().finally(() => running.delete(call));
      running.add(call);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(running);
}
