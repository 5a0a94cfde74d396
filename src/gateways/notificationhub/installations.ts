// Installations: JSON in, JSON out.

import { deleteDevice, findDevice, patchDevice, putDevice } from '../../hub/devices.ts';
import { type Installation, parseInstallation } from '../../hub/installation.ts';
import { withLife } from '../../hub/rules.ts';
import { DoorError } from './answers.ts';
import type { Answer, Call, HubDoorDeps, Operation } from './door.ts';

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
    ...withoutEmpty(device.installation),
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

/** What was not given is not there. */
function withoutEmpty(installation: Installation): Record<string, unknown> {
  const { tags, templates, pushVariables, secondaryTiles, ...rest } = installation;
  const maps = Object.entries({ templates, pushVariables, secondaryTiles }).filter(
    ([, map]) => Object.keys(map).length > 0,
  );
  return { ...rest, ...(tags.length > 0 ? { tags } : {}), ...Object.fromEntries(maps) };
}

function readJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new DoorError(400, 'The body is no JSON.');
  }
}
