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

// Template, person and tags as an app registers them. Every device has a push variable, so that each payload is rendered.
const makeDevices = `
  insert into device (hub, id, kind, platform, handle, handle_since, user_id, tags, definition, etag, created_at, updated_at)
  select $1, id, 'installation', $2, handle, now(), 'user-' || n, tags, json_build_object('installationId', id, 'userId', 'user-' || n,
      'platform', $2, 'pushChannel', case when $2 = 'browser' then $4::json else to_json(handle) end, 'tags', own,
      'templates', json_build_object('order', json_build_object('body', $5::text, 'headers', json_build_object(), 'tags', array[]::text[])),
      'pushVariables', json_build_object('name', 'Person ' || n), 'secondaryTiles', json_build_object())::text, 1, now(), now()
  from (
    select n, id, handle, own, own || array['$installationid:{' || id || '}', '$userid:{user-' || n || '}'] as tags
    from (
      select n, replace(gen_random_uuid()::text, '-', '') as id,
        case when $2 = 'apns' then encode(sha256(('t' || n)::bytea), 'hex') else $6 || encode(sha256(('t' || n)::bytea), 'hex') end as handle,
        array['topic:' || n % 500, 'city:' || n % 97, 'dept:' || n % 100, 'tier:' || n % 4] as own
      from generate_series(1, $3::int) as n) as numbered) as device`;

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
  const lanes = new HubLanes({ database, key, emit: (signal) => console.error(signal) });
  const stop = async (): Promise<void> => {
    await lanes.stop();
    await database.close();
    await engine.stop();
    await rm(folder, { recursive: true, force: true });
  };
  return { database, lanes, folder, stop };
}

/** `address`: what a browser's subscription looks like, or the beginning of every other handle. */
export async function addDevices(
  { database }: HubFixture,
  platform: 'apns' | 'fcmv1' | 'browser',
  count: number,
  body: string,
  address = '',
): Promise<void> {
  const subscription = platform === 'browser' ? address : null;
  await database.query(makeDevices, [
    hubName,
    platform,
    count,
    subscription,
    body,
    platform === 'browser' ? '' : address,
  ]);
  await database.query('vacuum (analyze) device');
}
