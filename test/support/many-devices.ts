// Devices by the hundred thousand, made inside PostgreSQL as the hub itself would have stored them.

import type { Sql } from '../../src/kit/database.ts';

export type ManyDevices = {
  readonly hub: string;
  readonly platform: 'apns' | 'fcmv1' | 'wns' | 'browser';
  readonly count: number;
  /** Of the one template that each has. It may use `name`, which differs from device to device. */
  readonly body: string;
  /** A browser's subscription as JSON, whose endpoint goes on differently for each; or what every other handle begins with. */
  readonly address?: string;
};

// Template, person and tags as an app registers them.
const makeDevices = `
  insert into device (hub, id, kind, platform, handle, handle_since, user_id, tags, definition, etag, created_at, updated_at)
  select $1, id, 'installation', $2, handle, now(), 'user-' || n, tags,
    json_build_object('installationId', id, 'userId', 'user-' || n, 'platform', $2,
      'pushChannel', case when $2 = 'browser' then jsonb_set($4::jsonb, '{endpoint}', to_jsonb($4::jsonb ->> 'endpoint' || handle))
        else to_jsonb(handle) end, 'tags', own,
      'templates', json_build_object('order', json_build_object('body', $5::text, 'headers', json_build_object(),
        'tags', array[]::text[])),
      'pushVariables', json_build_object('name', 'Person ' || n), 'secondaryTiles', json_build_object())::text, 1, now(), now()
  from (
    select n, id, handle, own, own || array['$installationid:{' || id || '}', '$userid:{user-' || n || '}'] as tags
    from (
      select n, replace(gen_random_uuid()::text, '-', '') as id, $6 || encode(sha256(($2 || n)::bytea), 'hex') as handle,
        array['topic:' || n % 500, 'city:' || n % 97, 'dept:' || n % 100, 'tier:' || n % 4] as own
      from generate_series(1, $3::int) as n) as numbered) as device`;

export async function addManyDevices(sql: Sql, devices: ManyDevices): Promise<void> {
  const { hub, platform, count, body, address = '' } = devices;
  const browser = platform === 'browser';
  // Building an index afterwards is several times as fast as keeping it up to date.
  const indexes = count < 50_000 ? [] : await sql.query<{ name: string; definition: string }>(secondaryIndexes);
  for (const { name } of indexes) await sql.query(`drop index ${name}`);
  await sql.query(makeDevices, [hub, platform, count, browser ? address : null, body, browser ? '' : address]);
  for (const { definition } of indexes) await sql.query(definition);
  await sql.query('vacuum (analyze) device');
}

const secondaryIndexes = `select indexname as name, indexdef as definition from pg_indexes
  where tablename = 'device' and indexname <> 'device_pkey'`;
