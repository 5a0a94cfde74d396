// Which devices a send means: pages in the order of their ids, each from where the last one ended. Nothing is held but one
// page, and a node that takes over goes on from the last id that was written down.

import type { Sql } from '../kit/database.ts';
import { type Device, type DeviceRow, deviceColumns, deviceOf } from './devices.ts';
import type { InstallationPlatform } from './installation.ts';
import { anchorTags, canonicalTag, type TagExpression } from './tags.ts';

export type Selection = {
  readonly hub: string;
  /** Undefined: of all platforms. */
  readonly platforms?: readonly InstallationPlatform[] | undefined;
  /** Only looked up by its anchors here: whoever reads the page judges each template and tile exactly. */
  readonly expression?: TagExpression | undefined;
};

// No named statement: PostgreSQL plans it anew with the values each time. A rare tag wants the index of the tags, a common
// one the order of the ids; a plan for all of them would be wrong for most.
const page = `select ${deviceColumns} from device
   where hub = $1 and id > $2 collate "C" and gone_at is null and (expires_at is null or expires_at > $3)
     and ($4::text[] is null or platform = any ($4)) and ($5::text[] is null or tags && $5)
   order by id limit $6`;

/** Devices that may be meant, after the id `after`. Fewer than `limit` means that these were the last. */
export async function selectPage(
  sql: Sql,
  { hub, platforms, expression }: Selection,
  range: { readonly after?: string | undefined; readonly limit: number },
  now: Date,
): Promise<Device[]> {
  const anchors = expression === undefined ? undefined : anchorTags(expression);
  const rows = await sql.query<DeviceRow>(page, [
    hub,
    range.after ?? '',
    now,
    platforms ?? null,
    anchors ?? null,
    range.limit,
  ]);
  return rows.map(deviceOf);
}

/** Page after page; the next one is being read while the caller works on this one. */
export async function* selectPages(
  sql: Sql,
  selection: Selection,
  range: { readonly after?: string | undefined; readonly pageSize: number },
  now: () => Date,
): AsyncGenerator<Device[]> {
  const read = (after: string | undefined) => selectPage(sql, selection, { after, limit: range.pageSize }, now());
  let next = read(range.after);
  for (;;) {
    const devices = await next;
    if (devices.length === 0) return;
    const last = devices.length < range.pageSize;
    next = last ? Promise.resolve([]) : read(devices.at(-1)!.id);
    // Whoever stops early must not leave a rejection behind.
    next.catch(() => {});
    yield devices;
    if (last) return;
  }
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
