// Devices page by page, for people and programs who look after them.

import { type Sql, statement } from '../kit/database.ts';
import { type Device, type DeviceKind, type DeviceRow, deviceColumns, deviceOf } from './devices.ts';
import { canonicalTag } from './tags.ts';

export type DeviceFilter = {
  readonly hub: string;
  readonly userId?: string | undefined;
  readonly tag?: string | undefined;
  readonly platform?: string | undefined;
  readonly kind?: DeviceKind | undefined;
};

// No named statement: which index is right depends on the values.
const page = `select ${deviceColumns} from device
   where hub = $1 and id > $2 collate "C" and (expires_at is null or expires_at > $3)
     and ($4::text is null or user_id = $4) and ($5::text[] is null or tags @> $5) and ($6::text is null or platform = $6)
     and ($7::text is null or kind = $7)
   order by id limit $8`;
const registrations = `select ${deviceColumns} from device
   where hub = $1 and id > $2 collate "C" and kind = 'registration' and (expires_at is null or expires_at > $3)
     and ($4::text[] is null or handle = any ($4)) and ($5::text[] is null or tags @> $5)
   order by id limit $6`;
const ofUser = statement(
  'hub.devices-of-user',
  `select ${deviceColumns} from device where user_id = $1 and (expires_at is null or expires_at > $2)
   order by hub, created_at, id limit 500`,
);
const count = statement(
  'hub.devices-count',
  'select count(*)::bigint as count from device where hub = $1 and ($2::text is null or kind = $2)',
);
const forget = statement('hub.devices-forget', 'delete from device where user_id = $1');

/** In the order of their ids, dead ones too. Fewer than `limit` means that these were the last. */
export async function listDevices(
  sql: Sql,
  { hub, userId, tag, platform, kind }: DeviceFilter,
  range: { readonly after?: string | undefined; readonly limit: number },
  now: Date,
): Promise<Device[]> {
  const tags = tag === undefined ? null : [canonicalTag(tag)];
  const values = [hub, range.after ?? '', now, userId ?? null, tags, platform ?? null, kind ?? null, range.limit];
  return (await sql.query<DeviceRow>(page, values)).map(deviceOf);
}

/** Registrations of a hub in the order of their ids: all, those with one of these addresses, or those with a tag. */
export async function listRegistrations(
  sql: Sql,
  where: { readonly hub: string; readonly handles?: readonly string[]; readonly tag?: string },
  range: { readonly after: string; readonly limit: number },
  now: Date,
): Promise<Device[]> {
  const { hub, handles = null, tag } = where;
  const tags = tag === undefined ? null : [canonicalTag(tag)];
  const rows = await sql.query<DeviceRow>(registrations, [hub, range.after, now, handles, tags, range.limit]);
  return rows.map(deviceOf);
}

/** The devices of one person in all hubs. */
export async function devicesOf(sql: Sql, userId: string, now: Date): Promise<Device[]> {
  return (await sql.query<DeviceRow>(ofUser, [userId, now])).map(deviceOf);
}

/** For a person who is forgotten. */
export async function forgetDevicesOf(sql: Sql, userId: string): Promise<void> {
  await sql.query(forget, [userId]);
}

/** Reads them all: a second for a million. */
export async function countDevices(sql: Sql, hub: string, kind?: DeviceKind): Promise<number> {
  const [row] = await sql.query<{ count: number }>(count, [hub, kind ?? null]);
  return row!.count;
}
