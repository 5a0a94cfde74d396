// Devices as they are kept. An installation and a registration are the same thing in different words, so both are stored
// as an installation; a registration has at most one template and carries no tags but its own. Every write raises the
// etag; a writer who names the etag that he saw is refused when somebody was there before him.

import { type Database, type Sql, statement } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import { type Installation, patchInstallation } from './installation.ts';
import { canonicalTag, installationTag, type TagLimits, userTag } from './tags.ts';

export type DeviceKind = 'installation' | 'registration';

export type Device = {
  readonly hub: string;
  readonly id: string;
  readonly kind: DeviceKind;
  readonly installation: Installation;
  readonly etag: number;
  /** The push service called the address dead. */
  readonly gone: boolean;
  /** What its owner calls it. */
  readonly label: string | undefined;
  readonly createdAt: Date;
  readonly updatedAt: Date;
};

/** Without a label the one that it has stays. */
export type NewDevice = {
  readonly hub: string;
  readonly kind: DeviceKind;
  readonly installation: Installation;
  readonly label?: string | undefined;
};

/** `etag` undefined: whatever is there. `'*'`: it must be there. */
export type Condition = { readonly etag?: number | '*' | undefined };

export type DeviceRow = {
  readonly hub: string;
  readonly id: string;
  readonly kind: DeviceKind;
  readonly definition: string;
  readonly etag: number;
  readonly gone_at: Date | null;
  readonly label: string | null;
  readonly created_at: Date;
  readonly updated_at: Date;
};

export const deviceColumns = 'hub, id, kind, definition, etag, gone_at, label, created_at, updated_at';

const writeDevice = statement(
  'hub.device-write',
  `insert into device as old (hub, id, kind, platform, handle, handle_since, user_id, tags, definition, etag, expires_at,
     created_at, updated_at, label)
   values ($1, $2, $3, $4, $5, $10, $6, $7, $8, 1, $9, $10, $10, $12)
   on conflict (hub, id) do update set kind = excluded.kind, platform = excluded.platform, handle = excluded.handle,
     -- The app itself says where it is; a patch that leaves the address alone says nothing about it.
     handle_since = case when $11 or old.handle <> excluded.handle then excluded.handle_since else old.handle_since end,
     gone_at = case when $11 or old.handle <> excluded.handle then null else old.gone_at end, user_id = excluded.user_id, tags = excluded.tags, definition = excluded.definition,
     etag = old.etag + 1, expires_at = excluded.expires_at, updated_at = excluded.updated_at,
     label = coalesce(excluded.label, old.label)
   returning ${deviceColumns}`,
);
const findRow = statement(
  'hub.device-find',
  `select ${deviceColumns} from device where hub = $1 and id = $2 and (expires_at is null or expires_at > $3)`,
);
export const lockDeviceRow = statement(
  'hub.device-lock',
  `select ${deviceColumns} from device where hub = $1 and id = $2 and (expires_at is null or expires_at > $3) for update`,
);
const removeRow = statement(
  'hub.device-remove',
  `delete from device where hub = $1 and id = $2 and ($3::text is null or kind = $3) and ($4::int is null or etag = $4)
   returning id`,
);
const hubIsThere = statement('hub.is-there', 'select 1 from hub where name = $1');

/** Throws Refusal('not_found') for a hub or, with a condition, a device that is not there, 'precondition_failed' for a changed one. */
export async function putDevice(
  database: Database,
  device: NewDevice,
  now: Date,
  { etag }: Condition = {},
): Promise<Device> {
  return database.transaction(async (tx) => {
    await checkHub(tx, device.hub);
    if (etag !== undefined) {
      const [row] = await tx.query<DeviceRow>(lockDeviceRow, [device.hub, device.installation.installationId, now]);
      checkCondition(row, etag);
    }
    return writeDeviceRow(tx, device, now, true);
  });
}

/** All operations or none, on the newest state. */
export async function patchDevice(
  database: Database,
  { hub, id }: { readonly hub: string; readonly id: string },
  operations: unknown,
  now: Date,
  limits?: TagLimits,
): Promise<Device> {
  return database.transaction(async (tx) => {
    const [row] = await tx.query<DeviceRow>(lockDeviceRow, [hub, id, now]);
    if (row === undefined || row.kind !== 'installation') throw absent();
    const { kind, installation } = deviceOf(row);
    return writeDeviceRow(
      tx,
      { hub, kind, installation: patchInstallation(installation, operations, limits) },
      now,
      false,
    );
  });
}

/** As patchDevice, for whoever knows how to change it; of any kind. */
export async function editDevice(
  database: Database,
  { hub, id }: { readonly hub: string; readonly id: string },
  edit: (device: Device) => Pick<NewDevice, 'installation' | 'label'>,
  now: Date,
  { etag }: Condition = {},
): Promise<Device> {
  return database.transaction(async (tx) => {
    const [row] = await tx.query<DeviceRow>(lockDeviceRow, [hub, id, now]);
    checkCondition(row, etag ?? '*');
    return writeDeviceRow(tx, { hub, kind: row!.kind, ...edit(deviceOf(row!)) }, now, false);
  });
}

export async function findDevice(sql: Sql, hub: string, id: string, now: Date): Promise<Device | undefined> {
  const [row] = await sql.query<DeviceRow>(findRow, [hub, id, now]);
  return row && deviceOf(row);
}

/** Whether it was there. Without a kind, of any. With a condition it throws as putDevice does. */
export async function deleteDevice(
  database: Database,
  { hub, id, kind }: { readonly hub: string; readonly id: string; readonly kind?: DeviceKind },
  { etag }: Condition = {},
): Promise<boolean> {
  const [removed] = await database.query(removeRow, [hub, id, kind ?? null, typeof etag === 'number' ? etag : null]);
  if (removed !== undefined) return true;
  if (typeof etag === 'number') {
    const [row] = await database.query<DeviceRow>(findRow, [hub, id, new Date(0)]);
    checkCondition(row, etag);
  }
  return false;
}

export async function checkHub(sql: Sql, hub: string): Promise<void> {
  const [row] = await sql.query(hubIsThere, [hub]);
  if (row === undefined) throw new Refusal('not_found', `There is no hub "${hub}".`);
}

export function deviceOf(row: DeviceRow): Device {
  return {
    hub: row.hub,
    id: row.id,
    kind: row.kind,
    installation: JSON.parse(row.definition, reviveTime) as Installation, // true: write() made it from one
    etag: row.etag,
    gone: row.gone_at !== null,
    label: row.label ?? undefined,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** The person behind the device: an installation says it, a registration has a tag for it. */
export function userOf({ kind, installation }: Pick<Device, 'kind' | 'installation'>): string | undefined {
  if (kind === 'installation') return installation.userId;
  for (const tag of installation.tags) {
    const user = /^\$?UserId:\{(.+)\}$/i.exec(tag)?.[1];
    if (user !== undefined) return user;
  }
  return undefined;
}

/** Every canonical tag by which the device, one of its templates or tiles might be meant. */
export function allTags({ kind, installation }: Pick<Device, 'kind' | 'installation'>): string[] {
  const { templates, secondaryTiles, installationId, userId } = installation;
  const tiles = Object.values(secondaryTiles);
  const lists = [installation, ...Object.values(templates), ...tiles].map(({ tags }) => tags);
  for (const tile of tiles) lists.push(...Object.values(tile.templates).map(({ tags }) => tags));
  const implicit = kind === 'registration' ? [] : [installationTag(installationId)];
  if (kind === 'installation' && userId !== undefined) implicit.push(userTag(userId));
  return [...new Set([...lists.flat().map(canonicalTag), ...implicit])];
}

export function handleOf({ pushChannel }: Pick<Installation, 'pushChannel'>): string {
  return typeof pushChannel === 'string' ? pushChannel : pushChannel.endpoint;
}

/** `confirmed`: the address is good at this moment, whatever was known of it before. */
export async function writeDeviceRow(sql: Sql, device: NewDevice, now: Date, confirmed: boolean): Promise<Device> {
  const { hub, kind, installation, label } = device;
  const [row] = await sql.query<DeviceRow>(writeDevice, [
    hub,
    installation.installationId,
    kind,
    installation.platform,
    handleOf(installation),
    userOf(device) ?? null,
    allTags(device),
    JSON.stringify(installation),
    installation.expirationTime ?? null,
    now,
    confirmed,
    label ?? null,
  ]);
  return deviceOf(row!);
}

export function checkCondition(row: DeviceRow | undefined, etag: number | '*'): void {
  if (row === undefined) throw absent();
  if (etag !== '*' && row.etag !== etag)
    throw new Refusal('precondition_failed', 'The device was changed since its ETag was read.', { etag: row.etag });
}

function absent(): Refusal {
  return new Refusal('not_found', 'There is no such device.');
}

function reviveTime(this: unknown, key: string, value: unknown): unknown {
  return key === 'expirationTime' && typeof value === 'string' ? new Date(value) : value;
}
