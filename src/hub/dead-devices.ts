// Devices whose push service says that they are gone. A registration is nothing without its address and goes; an
// installation stays, marked, until its app comes back with a new address. What was registered again after the service saw
// it die, or has another address by now, is alive.

import { type Sql, statement } from '../kit/database.ts';

export type DeadDevice = {
  readonly hub: string;
  readonly id: string;
  /** The address that was pushed to. */
  readonly handle: string;
  /** When the service saw it die; undefined: just now. */
  readonly since: Date | undefined;
  /** In the words of telemetry. */
  readonly cause?: string | undefined;
};

const dead = `from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[]) as dead (hub, id, handle, since, cause)
   where device.hub = dead.hub and device.id = dead.id and device.handle = dead.handle
     and device.handle_since <= dead.since`;
const told = `returning device.hub, platform, device.handle, device.id, kind, cause)
   insert into hub_feedback (hub, at, platform, handle, device_id, kind, cause)
   select hub, $6::timestamptz, platform, handle, id, kind, cause from gone`;
const markInstallations = statement(
  'hub.device-mark-gone',
  `with gone as (update device set gone_at = $6 ${dead} and kind = 'installation' and gone_at is null ${told}`,
);
const removeRegistrations = statement(
  'hub.device-remove-gone',
  `with gone as (delete from device using ${dead.slice('from '.length)} and kind = 'registration' ${told}`,
);
const removeExpired = statement('hub.device-remove-expired', 'delete from device where expires_at <= $1');

/** Idempotent. Tells the feedback of them. */
export async function pruneDevices(sql: Sql, devices: readonly DeadDevice[], now: Date): Promise<void> {
  if (devices.length === 0) return;
  const columns = [
    devices.map(({ hub }) => hub),
    devices.map(({ id }) => id),
    devices.map(({ handle }) => handle),
    devices.map(({ since }) => since ?? now),
    devices.map(({ cause }) => cause ?? 'ExpiredChannel'),
    now,
  ];
  await Promise.all([sql.query(removeRegistrations, columns), sql.query(markInstallations, columns)]);
}

/** Devices whose time is over; they were left out of everything since it was. */
export async function forgetExpiredDevices(sql: Sql, now: Date): Promise<void> {
  await sql.query(removeExpired, [now]);
}
