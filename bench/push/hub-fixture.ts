// A durable PostgreSQL with a hub and many devices, for the benches of the whole pipeline.

import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureHub, type HubCredentials } from '../../src/hub/hubs.ts';
import { HubLanes } from '../../src/hub/lanes.ts';
import { Database } from '../../src/kit/database.ts';
import { migrate } from '../../src/kit/migrate.ts';
import { sealingKey } from '../../src/kit/sealing.ts';
import { Engine } from '../../src/main/engine/engine.ts';

export type HubFixture = {
  readonly database: Database;
  readonly lanes: HubLanes;
  readonly folder: string;
  stop(): Promise<void>;
};

export const hubName = 'bench';

/** What went out is counted by the benches themselves: hundreds of lines a second would slow them down. */
export function told(signal: { readonly name: string }): void {
  if (signal.name !== 'push.pushed') console.error(signal);
}

export async function startHub(credentials: HubCredentials): Promise<HubFixture> {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-bench-push-'));
  await chmod(folder, 0o755);
  const engine = await Engine.start({ folder, emit: () => {} });
  const admin = new Database({ url: engine.url('postgres'), poolSize: 1 });
  await admin.query('create database bench');
  await admin.close();
  const database = new Database({ url: engine.url('bench'), poolSize: 10 });
  await migrate(database, new URL('../../migrations', import.meta.url).pathname);
  const key = sealingKey('bench');
  await ensureHub(database, key, { name: hubName, credentials, subject: 'mailto:push@example.com' }, new Date());
  const lanes = new HubLanes({ database, key, emit: told });
  const stop = async (): Promise<void> => {
    await lanes.stop();
    await database.close();
    await engine.stop();
    await rm(folder, { recursive: true, force: true });
  };
  return { database, lanes, folder, stop };
}
