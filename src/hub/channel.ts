// The `mobile` channel of deliveries: one notice to one device. The handler asks where people can be reached, so that
// their preferences govern it; a delivery's endpoint is `{hub}/{device id}`.

import { createHash } from 'node:crypto';
import type { Channel, ClaimedDelivery, Outcome } from '../deliveries/channel.ts';
import type { LanePolicy } from '../deliveries/policy.ts';
import { findNotices, type Notice } from '../inbox/notice.ts';
import { type Database, type Sql, statement } from '../kit/database.ts';
import { pruneDevices } from './dead-devices.ts';
import { type Device, type DeviceRow, deviceOf, handleOf } from './devices.ts';
import type { Platform, PushOutcome } from './drivers/driver.ts';
import { confidential, type NoticeContent, payloads } from './drivers/payloads.ts';
import { type ChunkOutcome, outcomeCode } from './fan-out.ts';
import { type HubLanes, pushPlatform, pushPlatforms } from './lanes.ts';
import { outcomeName } from './outcome-name.ts';
import { Targets } from './targets.ts';

export type MobileDeps = {
  readonly database: Database;
  readonly lanes: HubLanes;
  readonly now?: () => Date;
  /** By the name of a notification: what its pushes say instead of its content, if that must not leave the house. */
  readonly concealed?: (notification: string) => string | undefined;
};

/** The lane's way of driving this channel. */
export const mobilePolicy: Partial<LanePolicy> = { batchSize: 200, concurrency: 4 };

/** A delivery with all that its push needs. */
type Ready = {
  readonly delivery: ClaimedDelivery;
  readonly device: Device;
  readonly platform: Platform;
  readonly notice: Notice;
};

const findPlaces = statement(
  'hub.places-of-people',
  `select user_id, hub, id from device
   where user_id = any ($1::text[]) and platform = any ($2) and gone_at is null and (expires_at is null or expires_at > $3)
   order by user_id, hub, id`,
);
const findTargets = statement(
  'hub.targets-of-deliveries',
  `select device.hub, device.id, kind, definition, etag, gone_at, label, created_at, updated_at
   from unnest($1::text[], $2::text[]) as wanted (hub, id)
   join device on device.hub = wanted.hub and device.id = wanted.id
   where gone_at is null and (expires_at is null or expires_at > $3)`,
);

/** For the handler: the living devices of each person who has some. */
export async function mobileEndpoints(
  sql: Sql,
  ids: readonly string[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const values = [ids, pushPlatforms, new Date()];
  const rows = await sql.query<{ user_id: string; hub: string; id: string }>(findPlaces, values);
  const found = new Map<string, string[]>();
  for (const { user_id, hub, id } of rows) {
    const known = found.get(user_id);
    if (known === undefined) found.set(user_id, [`${hub}/${id}`]);
    else known.push(`${hub}/${id}`);
  }
  return found;
}

export function mobileChannel(deps: MobileDeps): Channel {
  return { name: 'mobile', deliver: (batch) => deliver(deps, batch) };
}

async function deliver(deps: MobileDeps, batch: readonly ClaimedDelivery[]): Promise<Outcome[]> {
  const now = (deps.now ?? (() => new Date()))();
  const [notices, devices] = await Promise.all([
    findNotices(deps.database, batch),
    findDevices(deps.database, batch, now),
  ]);
  const outcomes = new Map<string, Outcome>();
  const ready: Ready[] = [];
  for (const delivery of batch) {
    const checked = prepare(delivery, notices.get(delivery.noticeId), devices.get(delivery.endpoint ?? ''));
    if ('kind' in checked) outcomes.set(delivery.id, checked);
    else ready.push(checked);
  }
  const groups = Map.groupBy(ready, ({ device, platform, notice }) => `${device.hub}/${platform}/${notice.urgency}`);
  await Promise.all([...groups.values()].map((group) => pushGroup(deps, group, outcomes, now)));
  return batch.map(({ id }) => outcomes.get(id)!);
}

function prepare(delivery: ClaimedDelivery, notice: Notice | undefined, device: Device | undefined): Ready | Outcome {
  if (device === undefined) return { kind: 'gone', cause: 'device_removed' };
  if (notice === undefined || notice.recalledAt) return { kind: 'refused', cause: 'notice_removed' };
  const platform = pushPlatform(device.installation.platform);
  if (platform === undefined) return { kind: 'refused', cause: 'platform_not_supported' };
  return { delivery, device, platform, notice };
}

/** All of one hub, platform and urgency: what one plan of the driver covers. */
async function pushGroup(
  { database, lanes, concealed }: MobileDeps,
  group: readonly Ready[],
  outcomes: Map<string, Outcome>,
  now: Date,
): Promise<void> {
  const { device, platform, notice } = group[0]!;
  const lane = (await lanes.of(device.hub)).get(platform);
  if (lane === undefined) {
    const detail = `The hub "${device.hub}" has no credentials for ${platform}.`;
    for (const { delivery } of group) outcomes.set(delivery.id, { kind: 'refused', cause: 'no_credentials', detail });
    return;
  }
  const rendered = group.map((each) =>
    payloads[platform](contentOf(each.notice, concealed?.(each.notice.notification))),
  );
  const targets = group.map(({ delivery, device, notice }, i) => ({
    address: device.installation.pushChannel,
    payload: rendered[i]!.payload,
    id: uuidOf(delivery.id),
    collapseId: notice.id,
  }));
  const options = { urgency: notice.urgency, headers: rendered[0]!.headers };
  const chunk = await lane.send(new Targets(targets), options, { urgent: notice.urgency === 'high' });
  await pruneDevices(database, deadOf(group, chunk), now);
  const exceptions = new Map(chunk.exceptions.map(({ index, outcome }) => [index, outcome]));
  group.forEach(({ delivery }, i) => {
    outcomes.set(delivery.id, outcomeOf(platform, chunk.codes[i]!, exceptions.get(i), chunk.down));
  });
}

/**
 * A push service that takes nothing (`down`) concerns its platform alone, while the lane of deliveries carries all of
 * them: so it is a try again for these devices, and the alarm is the driver's own signal.
 */
function outcomeOf(
  platform: Platform,
  code: number,
  exception: PushOutcome | undefined,
  down: ChunkOutcome['down'],
): Outcome {
  if (code === outcomeCode.waiting) {
    const cause = `${platform}_down:${down?.cause ?? 'stopped'}`;
    return { kind: 'retry', cause, retryAfterMs: down?.retryAfterMs };
  }
  if (exception === undefined) return { kind: 'delivered', providerId: undefined };
  // Of the exceptions only `down` is a stranger to deliveries, and its code is `waiting`.
  return exception as Outcome;
}

function deadOf(group: readonly Ready[], { exceptions }: ChunkOutcome) {
  return exceptions.flatMap(({ index, outcome }) => {
    if (outcome.kind !== 'gone') return [];
    const { device, platform } = group[index]!;
    const cause = outcomeName(platform, outcome);
    return [{ hub: device.hub, id: device.id, handle: handleOf(device.installation), since: outcome.since, cause }];
  });
}

function contentOf({ id, card, category, urgency }: Notice, instead: string | undefined): NoticeContent {
  const content = { noticeId: id, card, category, urgency };
  return instead === undefined ? content : confidential(content, instead);
}

async function findDevices(
  sql: Sql,
  batch: readonly ClaimedDelivery[],
  now: Date,
): Promise<ReadonlyMap<string, Device>> {
  const places = [...new Set(batch.map(({ endpoint }) => endpoint ?? ''))].map((endpoint) => {
    const slash = endpoint.indexOf('/');
    return [endpoint.slice(0, slash), endpoint.slice(slash + 1)] as const;
  });
  const rows = await sql.query<DeviceRow>(findTargets, [places.map(([hub]) => hub), places.map(([, id]) => id), now]);
  return new Map(rows.map((row) => [`${row.hub}/${row.id}`, deviceOf(row)]));
}

/** A name of this push that is the same at every attempt: how Apple's answers are told apart. */
function uuidOf(id: string): string {
  const hex = createHash('sha256').update(id).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}
