// Installations: JSON in, JSON out.

import { deleteDevice, findDevice, patchDevice, putDevice } from '../../hub/devices.ts';
import { parseInstallation } from '../../hub/installation.ts';
import { withLife } from '../../hub/rules.ts';
import { DoorError } from './answers.ts';
import type { Answer, Call, HubDoorDeps, Operation } from './door.ts';
import { readJson } from './read-json.ts';

const never = '9999-12-31T23:59:59.9999999Z';

export const installationOperations: readonly Operation[] = [
  { method: 'PUT', kind: 'installations', rest: 'some', right: 'Listen', run: put },
  { method: 'PATCH', kind: 'installations', rest: 'some', right: 'Listen', run: patch },
  { method: 'GET', kind: 'installations', rest: 'some', right: 'Listen', run: get },
  { method: 'DELETE', kind: 'installations', rest: 'some', right: 'Listen', run: remove },
];

async function put({ database, admin, now }: HubDoorDeps, { hub, settings, rest, body }: Call): Promise<Answer> {
  const installation = withLife(parseInstallation(readJson(body), rest, admin.tagLimits), settings, now());
  await putDevice(database, { hub, kind: 'installation', installation }, now());
  return { status: 200 };
}

async function patch({ database, admin, now }: HubDoorDeps, { hub, rest, body }: Call): Promise<Answer> {
  await patchDevice(database, { hub, id: rest }, readJson(body), now(), admin.tagLimits);
  return { status: 200 };
}

async function get({ database, now }: HubDoorDeps, { hub, rest }: Call): Promise<Answer> {
  const device = await findDevice(database, hub, rest, now());
  if (device?.kind !== 'installation') throw new DoorError(404, 'Installation not found.');
  const body = JSON.stringify({
    ...(withoutEmpty(device.installation) as object), // as it was one
    pushChannelExpired: device.gone,
    expirationTime: device.installation.expirationTime?.toISOString() ?? never,
    lastUpdate: device.updatedAt.toISOString(),
  });
  return { status: 200, body, type: 'application/json; charset=utf-8' };
}

async function remove({ database }: HubDoorDeps, { hub, rest }: Call): Promise<Answer> {
  await deleteDevice(database, { hub, id: rest, kind: 'installation' });
  return { status: 204 };
}

/** What was not given is not there: neither of the installation nor of its templates and tiles. */
function withoutEmpty(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Date || Array.isArray(value)) return value;
  const kept = Object.entries(value).filter(([, each]) => !isEmpty(each));
  return Object.fromEntries(kept.map(([name, each]) => [name, withoutEmpty(each)]));
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !(value instanceof Date) && Object.keys(value).length === 0;
}
