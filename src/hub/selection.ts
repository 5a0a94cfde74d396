// Which devices a send means: pages in the order of their ids, each from where the last one ended. Nothing is held but one
// page, and a node that takes over goes on from the last id that was written down.

import { type Sql, statement } from '../kit/database.ts';
import type { AimDevice } from './aims.ts';
import { type Device, type DeviceRow, deviceColumns, deviceOf } from './devices.ts';
import { type Installation, type InstallationPlatform, platforms } from './installation.ts';
import { anchorTags, canonicalTag, type TagExpression } from './tags.ts';

export type Selection = {
  readonly hub: string;
  /** Undefined: of all platforms. */
  readonly platforms?: readonly InstallationPlatform[] | undefined;
  /** Only looked up by its anchors here: whoever reads the page judges each template and tile exactly. */
  readonly expression?: TagExpression | undefined;
};

// No named statements: PostgreSQL plans them anew with the values each time. A rare tag wants the index of the tags, a
// common one the order of the ids; one plan for all of them would be wrong for most. Each set of anchors is a condition.
const conditions = (anchors: readonly unknown[], ofPlatform: string) =>
  `hub = $1 and id > $2 and gone_at is null and (expires_at is null or expires_at > $3) and platform ${ofPlatform}
   ${anchors.map((_, i) => `and tags && $${i + 6}`).join(' ')}`;
const rowsOfPage = (anchors: readonly unknown[]) =>
  `select ${deviceColumns} from device where ${conditions(anchors, '= any ($4)')} order by id limit $5`;
// A definition is JSON as it stands, so a page is put together there and read here in one go: a fifth of the cost of a row
// each. One platform, so that the index of the walk answers for a platform that few devices have.
const textOfPage = (anchors: readonly unknown[], one: boolean, byTags: boolean) =>
  `select string_agg(definition, ',' order by id) as definitions, string_agg(left(kind, 1), '' order by id) as kinds, max(id) as last
   from (select id, kind, definition from device where ${conditions(anchors, one ? '= $4' : '= any ($4)')}
     order by ${byTags ? "id || ''" : 'id'} limit $5) as page`;

/** Devices that may be meant, after the id `after`. Fewer than `limit` means that these were the last. */
export async function selectPage(
  sql: Sql,
  { hub, platforms: wanted = platforms, expression }: Selection,
  range: { readonly after?: string | undefined; readonly limit: number },
  now: Date,
): Promise<Device[]> {
  const anchors = expression === undefined ? [] : anchorTags(expression);
  const values = [hub, range.after ?? '', now, wanted, range.limit, ...anchors];
  const rows = await sql.query<DeviceRow>(rowsOfPage(anchors), values);
  return rows.map(deviceOf);
}

/** A page for pushing: nothing but what that needs. `installation.expirationTime` is left as its text. */
export type PushPage = {
  readonly devices: readonly AimDevice[];
  /** The id after which the next page begins; undefined for an empty one. */
  readonly last: string | undefined;
  /** What it held in the database, about. */
  readonly bytes: number;
};

// The planner believes that testing an array costs next to nothing, so for a tag that 1 of 100 devices has it walks along
// the ids (120 ms for a page among a million) instead of asking the index of the tags (38 ms, but so much for each page).
// It is asked how many devices it expects, and an order that no index has takes the walk away from it.
const expected = (anchors: readonly unknown[]) =>
  `explain (format json) select 1 from device where hub = $1 ${anchors.map((_, i) => `and tags && $${i + 2}`).join(' ')}`;
const allDevices = statement('hub.devices-in-all', "select reltuples from pg_class where oid = 'device'::regclass");

/** Whether so few devices are expected that pages should be looked up by tags instead of along the ids. */
export async function favoursTags(sql: Sql, { hub, expression }: PushSelection): Promise<boolean> {
  const anchors = expression === undefined ? [] : anchorTags(expression);
  if (anchors.length === 0) return false;
  type Plans = { readonly 'QUERY PLAN': readonly { readonly Plan: { readonly 'Plan Rows': number } }[] };
  const [[plans], [sum]] = await Promise.all([
    sql.query<Plans>(expected(anchors), [hub, ...anchors]),
    sql.query<{ reltuples: number }>(allDevices),
  ]);
  const rows = plans!['QUERY PLAN'][0]!.Plan['Plan Rows'];
  // By tags a page costs the reading of `rows` devices; along the ids of 500 times as many as come between two of them.
  return rows * rows < 300 * Math.max(sum!.reltuples, 1);
}

export type PushSelection = {
  readonly hub: string;
  /** Undefined: of all. */
  readonly platform: InstallationPlatform | undefined;
  readonly expression?: TagExpression | undefined;
};

type PageRow = { readonly definitions: string | null; readonly kinds: string; readonly last: string };

/** As selectPage. */
export async function selectPushPage(
  sql: Sql,
  { hub, platform, expression }: PushSelection,
  range: { readonly after: string; readonly limit: number; readonly byTags?: boolean | undefined },
  now: Date,
): Promise<PushPage> {
  const anchors = expression === undefined ? [] : anchorTags(expression);
  const values = [hub, range.after, now, platform ?? platforms, range.limit, ...anchors];
  const [row] = await sql.query<PageRow>(textOfPage(anchors, platform !== undefined, range.byTags ?? false), values);
  if (row === undefined || row.definitions === null) return { devices: [], last: undefined, bytes: 0 };
  const { kinds, last } = row;
  // Written from installations alone.
  const installations = JSON.parse(`[${row.definitions}]`) as Installation[];
  const devices = installations.map((installation, i) => ({
    id: installation.installationId,
    kind: kinds[i] === 'r' ? ('registration' as const) : ('installation' as const),
    installation,
  }));
  return { devices, last, bytes: row.definitions.length };
}

const byIds = `select id, kind, definition from device
   where hub = $1 and id = any ($2) and gone_at is null and (expires_at is null or expires_at > $3)`;

/** Those of the devices that can still be pushed to, by id. */
export async function findPushDevices(
  sql: Sql,
  hub: string,
  ids: readonly string[],
  now: Date,
): Promise<ReadonlyMap<string, AimDevice>> {
  type Row = Pick<DeviceRow, 'id' | 'kind' | 'definition'>;
  const rows = await sql.query<Row>(byIds, [hub, ids, now]);
  return new Map(
    rows.map(({ id, kind, definition }) => [id, { id, kind, installation: JSON.parse(definition) as Installation }]),
  );
}

const registrations = `select ${deviceColumns} from device
   where hub = $1 and id > $2 collate "C" and kind = 'registration' and (expires_at is null or expires_at > $3)
     and ($4::text[] is null or handle = any ($4)) and ($5::text[] is null or tags @> $5)
   order by id limit $6`;

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
