// Devices that a person's own app registers. What decides who gets what stays with the organisation: nobody gives himself
// tags, and nobody takes over a device of somebody else. The push address is the proof: whoever knows it sits at the
// device, so it moves to him; one address is one device.

import { type Database, statement } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import {
  type Condition,
  checkCondition,
  checkHub,
  type Device,
  type DeviceRow,
  deviceOf,
  handleOf,
  lockDeviceRow,
  userOf,
  writeDeviceRow,
} from './devices.ts';
import type { Installation } from './installation.ts';

const releaseAddress = statement(
  'hub.device-release-address',
  `delete from device where hub = $1 and platform = $2 and handle = $3 and id <> $4 and kind = 'installation'`,
);
const removeOwn = statement(
  'hub.device-remove-own',
  `delete from device where hub = $1 and id = $2 and user_id = $3 and ($4::int is null or etag = $4) returning id`,
);
const findOwn = statement('hub.device-own-etag', 'select etag from device where hub = $1 and id = $2 and user_id = $3');

/**
 * Puts the device under this person. It keeps the tags that it has under them. Refuses (`conflict`) the id of a device
 * of somebody else at another address, ('not_found') an unknown hub, and as putDevice does with a condition.
 */
export async function putOwnDevice(
  database: Database,
  given: {
    readonly hub: string;
    readonly installation: Installation;
    readonly userId: string;
    readonly label?: string | undefined;
  },
  now: Date,
  { etag }: Condition = {},
): Promise<Device> {
  const { hub, installation, userId, label } = given;
  const handle = handleOf(installation);
  return database.transaction(async (tx) => {
    await checkHub(tx, hub);
    const [row] = await tx.query<DeviceRow>(lockDeviceRow, [hub, installation.installationId, now]);
    if (etag !== undefined) checkCondition(row, etag);
    const before = row && deviceOf(row);
    const own = before !== undefined && userOf(before) === userId;
    if (before !== undefined && !own && handleOf(before.installation) !== handle)
      throw new Refusal('conflict', 'A device of this id belongs to somebody else. Register under an id of its own.');
    await tx.query(releaseAddress, [hub, installation.platform, handle, installation.installationId]);
    const tags = own ? before.installation.tags : [];
    const whole = { ...installation, userId, tags };
    return writeDeviceRow(tx, { hub, kind: 'installation', installation: whole, label }, now, true);
  });
}

/** Whether it was there and theirs. With a condition it throws `precondition_failed` for a changed one. */
export async function deleteOwnDevice(
  database: Database,
  { hub, id, userId }: { readonly hub: string; readonly id: string; readonly userId: string },
  { etag }: Condition = {},
): Promise<boolean> {
  const number = typeof etag === 'number' ? etag : null;
  const [removed] = await database.query(removeOwn, [hub, id, userId, number]);
  if (removed !== undefined || number === null) return removed !== undefined;
  const [row] = await database.query<{ etag: number }>(findOwn, [hub, id, userId]);
  if (row !== undefined)
    throw new Refusal('precondition_failed', 'The device was changed since its ETag was read.', { etag: row.etag });
  return false;
}
