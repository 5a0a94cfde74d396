// Which devices an expression may mean, and registrations as the REST door lists them: pages in the order of their ids, each
// from where the last one ended. What a send reads is in push-page.ts.

import type { Sql } from '../kit/database.ts';
import { type Device, type DeviceRow, deviceColumns, deviceOf } from './devices.ts';
import { type InstallationPlatform, platforms } from './installation.ts';
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
const rowsOfPage = (anchors: readonly unknown[]) =>
  `select ${deviceColumns} from device
   where hub = $1 and id > $2 and gone_at is null and (expires_at is null or expires_at > $3) and platform = any ($4)
     ${anchors.map((_, i) => `and tags && $${i + 6}`).join(' ')}
   order by id limit $5`;

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
