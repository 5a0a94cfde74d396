// Administration of hubs by .NET's and Java's NamespaceManager: PUT, GET, DELETE /{hub}, GET /$Resources/NotificationHubs.

import { createHub, deleteHub, editHub, getHub, type HubParts, listHubs } from '../../hub/hub-admin.ts';
import { checkHubName } from '../../hub/hubs.ts';
import { findHubAccess } from '../../hub/rules.ts';
import { DoorError } from './answers.ts';
import { atomFeed, entryType, feedType } from './atom.ts';
import type { Answer, Call, HubDoorDeps, Operation } from './door.ts';
import { printHub, readHub } from './hub-xml.ts';

const mostListed = 100;
const nothing: HubParts = { credentials: {}, rules: [], settings: {} };

export const hubOperations: readonly Operation[] = [
  { method: 'PUT', kind: '', rest: 'none', right: 'Manage', ofNamespace: true, run: put },
  { method: 'GET', kind: '', rest: 'none', right: 'Manage', run: get },
  { method: 'DELETE', kind: '', rest: 'none', right: 'Manage', ofNamespace: true, run: remove },
  { method: 'GET', kind: '$resources', rest: 'some', right: 'Manage', ofNamespace: true, run: list },
];

/** Without If-Match it makes the hub, with it it changes it. */
async function put({ admin, defaultRules }: HubDoorDeps, call: Call): Promise<Answer> {
  const { body, headers, origin } = call;
  const hub = await writtenName(admin, call.hub);
  if (headers['if-match'] === undefined) {
    const made = await createHub(admin, checkHubName(hub), readHub(body, nothing, defaultRules));
    return { status: 201, body: printHub(made, defaultRules, origin), type: entryType };
  }
  const changed = await editHub(admin, hub, (before) => readHub(body, before, defaultRules));
  return { status: 200, body: printHub(changed, defaultRules, origin), type: entryType };
}

async function get({ admin, defaultRules }: HubDoorDeps, { hub, origin }: Call): Promise<Answer> {
  const found = await getHub(admin.database, admin.key, hub);
  return { status: 200, body: printHub(found, defaultRules, origin), type: entryType };
}

async function remove({ admin }: HubDoorDeps, { hub }: Call): Promise<Answer> {
  await deleteHub(admin.database, await writtenName(admin, hub));
  return { status: 200 };
}

/** As it is named there, if it is there in whatever case. */
async function writtenName({ database, key }: HubDoorDeps['admin'], hub: string): Promise<string> {
  return (await findHubAccess(database, key, hub))?.hub ?? hub;
}

async function list({ admin, defaultRules }: HubDoorDeps, { rest, query, origin }: Call): Promise<Answer> {
  if (rest.toLowerCase() !== 'notificationhubs') throw new DoorError(404, 'There is nothing at this path.');
  const [skip, top] = [Number(query.get('$skip') ?? 0), Number(query.get('$top') ?? mostListed)];
  if (!(Number.isSafeInteger(skip) && skip >= 0 && Number.isInteger(top) && top >= 1))
    throw new DoorError(400, '$skip and $top are whole numbers, and $top is at least 1.');
  const all = await listHubs(admin.database, admin.key, '', skip + Math.min(top, mostListed));
  const entries = all.slice(skip).map((hub) => printHub(hub, defaultRules, origin));
  return {
    status: 200,
    body: atomFeed('NotificationHubs', `${origin}/$Resources/NotificationHubs`, entries),
    type: feedType,
  };
}
