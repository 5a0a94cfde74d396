// Registrations: the older words for a device, in Atom.

import { newRegistrationId } from '../../hub/bulk.ts';
import { listRegistrations } from '../../hub/device-list.ts';
import { type Device, deleteDevice, findDevice, putDevice } from '../../hub/devices.ts';
import { withLife } from '../../hub/rules.ts';
import { conditionOf } from '../../kit/if-match.ts';
import { DoorError } from './answers.ts';
import { entryType, feedType } from './atom.ts';
import type { Answer, Call, HubDoorDeps, Operation } from './door.ts';
import { printRegistration, printRegistrations, readRegistration } from './registration-xml.ts';

const mostListed = 100;

export const registrationOperations: readonly Operation[] = [
  { method: 'POST', kind: 'registrationids', rest: 'none', right: 'Listen', run: makeId },
  { method: 'POST', kind: 'registrations', rest: 'none', right: 'Listen', run: create },
  { method: 'PUT', kind: 'registrations', rest: 'some', right: 'Listen', run: put },
  { method: 'GET', kind: 'registrations', rest: 'some', right: 'Listen', run: get },
  { method: 'DELETE', kind: 'registrations', rest: 'some', right: 'Listen', run: remove },
  {
    method: 'GET',
    kind: 'registrations',
    rest: 'none',
    // An app may look up what it registered under its own address.
    right: ({ query }) => (query.has('$filter') ? 'Listen' : 'Manage'),
    run: list,
  },
  { method: 'GET', kind: 'tags', rest: 'some', right: 'Manage', run: listByTag },
];

async function makeId(_deps: HubDoorDeps, { hub, origin }: Call): Promise<Answer> {
  const location = `${origin}/${encodeURIComponent(hub)}/registrationIDs/${newRegistrationId()}?api-version=2020-06`;
  return { status: 201, headers: { Location: location } };
}

async function create({ database, admin, now }: HubDoorDeps, { hub, settings, body, origin }: Call): Promise<Answer> {
  const installation = withLife(readRegistration(body, newRegistrationId(), admin.tagLimits), settings, now());
  return entry(await putDevice(database, { hub, kind: 'registration', installation }, now()), origin);
}

async function put({ database, admin, now }: HubDoorDeps, call: Call): Promise<Answer> {
  const installation = withLife(readRegistration(call.body, call.rest, admin.tagLimits), call.settings, now());
  const device = { hub: call.hub, kind: 'registration', installation } as const;
  return entry(await putDevice(database, device, now(), conditionOf(call)), call.origin);
}

async function get({ database, now }: HubDoorDeps, { hub, rest, origin }: Call): Promise<Answer> {
  const device = await findDevice(database, hub, rest, now());
  if (device?.kind !== 'registration') throw new DoorError(404, 'The registration does not exist.');
  return entry(device, origin);
}

async function remove({ database }: HubDoorDeps, call: Call): Promise<Answer> {
  await deleteDevice(database, { hub: call.hub, id: call.rest, kind: 'registration' }, conditionOf(call));
  return { status: 200 };
}

function list(deps: HubDoorDeps, call: Call): Promise<Answer> {
  const filter = call.query.get('$filter');
  return page(deps, call, filter === undefined ? {} : { handles: handlesOf(filter) });
}

function listByTag(deps: HubDoorDeps, call: Call): Promise<Answer> {
  const tag = /^(.+)\/registrations$/i.exec(call.rest)?.[1];
  if (tag === undefined) throw new DoorError(404, 'There is nothing at this path.');
  return page(deps, call, { tag });
}

async function page(
  { database, now }: HubDoorDeps,
  { hub, query, origin }: Call,
  where: { readonly handles?: readonly string[]; readonly tag?: string },
): Promise<Answer> {
  const top = Number(query.get('$top') ?? mostListed);
  if (!Number.isInteger(top) || top < 1) throw new DoorError(400, '$top must be a number from 1 to 100.');
  const limit = Math.min(top, mostListed);
  const after = readToken(query.get('continuationtoken') ?? '');
  const devices = await listRegistrations(database, { hub, ...where }, { after, limit }, now());
  const more = devices.length === limit;
  const next: Record<string, string> = more
    ? { 'x-ms-continuationtoken': Buffer.from(devices.at(-1)!.id).toString('base64url') }
    : {};
  return { status: 200, body: printRegistrations(devices, origin, hub), type: feedType, headers: next };
}

/** The id where the page before ended. */
function readToken(token: string): string {
  const id = Buffer.from(token, 'base64url').toString();
  if (Buffer.from(id).toString('base64url') !== token || !/^[-_@#.:=\w]*$/.test(id))
    throw new DoorError(400, 'The continuation token is none of ours.');
  return id;
}

/** Whatever member the filter names: .NET calls every address a ChannelUri, and encodes it once more. */
function handlesOf(filter: string): string[] {
  // JavaScript's client forgets a quote here.
  const baidu = /^\s*BaiduChannelId eq '?([^']+)'? and BaiduUserId eq '?([^']+)'?\s*$/i.exec(filter);
  if (baidu !== null) return [`${baidu[2]}-${baidu[1]}`];
  // Addresses may hold quotes, which not every client doubles.
  const handle = /^\s*\w+\s+eq\s+'?(.+?)'?(?:\s+and\s+\w+\s+eq\s.*)?\s*$/i.exec(filter)?.[1];
  if (handle === undefined) throw new DoorError(400, 'The filter is not one of those that a hub knows.');
  let decoded = handle;
  try {
    decoded = decodeURIComponent(handle);
  } catch {
    // It was not encoded, and holds a percent sign of its own.
  }
  return [...new Set([handle, decoded, handle.replaceAll("''", "'"), handle.toUpperCase()])];
}

function entry(device: Device, origin: string): Answer {
  const href = `${origin}/${encodeURIComponent(device.hub)}/registrations/${device.id}?api-version=2020-06`;
  const headers = { ETag: `W/"${device.etag}"`, 'Content-Location': href };
  return { status: 200, body: printRegistration(device, origin), type: entryType, headers };
}
