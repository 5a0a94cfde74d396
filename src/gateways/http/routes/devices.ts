// Devices: all of a hub for the organisation, their own for people and their apps.
import { Type } from 'typebox';
import { devicesOf, listDevices } from '../../../hub/device-list.ts';
import { type Device, deleteDevice, editDevice, findDevice, putDevice, userOf } from '../../../hub/devices.ts';
import { platforms } from '../../../hub/installation.ts';
import { deleteOwnDevice, putOwnDevice } from '../../../hub/own-devices.ts';
import type { PushDeps } from '../../../hub/push.ts';
import type { TagLimits } from '../../../hub/tags.ts';
import { testPush } from '../../../hub/test-push.ts';
import { conditionOf } from '../../../kit/if-match.ts';
import { Refusal } from '../../../kit/refusal.ts';
import { parseRecipientId } from '../../../people/recipient.ts';
import type { App, Reply } from '../app.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import {
  DeviceInput,
  DevicePatch,
  DeviceSchema,
  installationOf,
  OwnDeviceInput,
  patchedInstallation,
  shownDevice,
} from '../device-json.ts';
import { onHub, onRecipient } from '../identity.ts';
import { PageOf, PageQuery, RecipientParams, responses } from '../schemas.ts';

const HubName = Type.String({ minLength: 1, maxLength: 128, description: 'The name of the hub.', examples: ['main'] });
const DeviceId = Type.String({ minLength: 1, maxLength: 512, description: 'The id of the device.' });
export const HubParams = Type.Object({ hub: HubName });
const DeviceParams = Type.Object({ hub: HubName, device: DeviceId });
const OwnParams = Type.Object({ ...RecipientParams.properties, device: DeviceId });
const OwnQuery = Type.Object({
  hub: Type.String({ maxLength: 128, default: 'main', description: 'The hub of the app.' }),
});
const TestInput = Type.Object(
  {
    title: Type.String({ minLength: 1, maxLength: 250, default: 'It works' }),
    body: Type.Optional(Type.String({ maxLength: 2_000 })),
  },
  { additionalProperties: false },
);
const TestAnswer = Type.Object({
  outcome: Type.String({ description: '`Success`, or what the push service said instead.', examples: ['Success'] }),
});

type Deps = {
  readonly hubs: { readonly push: PushDeps; readonly admin: { readonly tagLimits: TagLimits } };
};

export function deviceRoutes(app: App, { hubs: { push, admin } }: Deps): void {
  const limits = admin.tagLimits;
  const { database, now } = push;
  const path = '/v1/hubs/:hub/devices';
  app.get(path, { config: { access: onHub('listen') }, schema: listSchema }, async ({ params, query }) => {
    const { recipient, tag, platform, limit, after = decodeCursor('devices', query.cursor) } = query;
    const where = { hub: params.hub, userId: recipient, tag, platform };
    const devices = await listDevices(database, where, { after, limit }, now());
    return {
      items: devices.map(shown),
      next: encodeCursor('devices', devices.length === limit ? devices.at(-1)!.id : undefined),
    };
  });
  const one = `${path}/:device`;
  app.get(one, { config: { access: onHub('listen') }, schema: getSchema }, async ({ params }, reply) =>
    withEtag(reply, await existing(push, params)),
  );
  app.put(one, { config: { access: onHub('manage') }, schema: putSchema }, async (request, reply) => {
    const { hub, device } = request.params;
    const installation = installationOf(request.body, device, limits);
    const given = { hub, kind: 'installation', installation, label: request.body.label } as const;
    return withEtag(reply, await putDevice(database, given, now(), conditionOf(request)));
  });
  app.patch(one, { config: { access: onHub('manage') }, schema: patchSchema }, async (request, reply) => {
    const { hub, device: id } = request.params;
    const edit = (device: Device) => ({
      installation: patchedInstallation(device, request.body, limits),
      label: request.body.label,
    });
    return withEtag(reply, await editDevice(database, { hub, id }, edit, now(), conditionOf(request)));
  });
  app.delete(one, { config: { access: onHub('manage') }, schema: deleteSchema }, async (request, reply) => {
    const { hub, device: id } = request.params;
    await deleteDevice(database, { hub, id }, conditionOf(request));
    return reply.code(204).send(null);
  });
  app.post(`${one}/test`, { config: { access: onHub('send') }, schema: testSchema }, async ({ params, body }) => ({
    outcome: await testPush(push, await existing(push, params), body),
  }));
  ownRoutes(app, push, limits);
}

function ownRoutes(app: App, push: PushDeps, limits: TagLimits): void {
  const { database, now } = push;
  const path = '/v1/recipients/:recipient/devices';
  app.get(path, { config: { access: onRecipient('listen') }, schema: listOwnSchema }, async ({ params }) => ({
    items: (await devicesOf(database, parseRecipientId(params.recipient), now())).map(shown),
  }));
  const one = `${path}/:device`;
  app.put(one, { config: { access: onRecipient('send') }, schema: putOwnSchema }, async (request, reply) => {
    const { hub = 'main', label, ...body } = request.body;
    const userId = parseRecipientId(request.params.recipient);
    const installation = installationOf({ ...body, recipientId: userId }, request.params.device, limits);
    return withEtag(
      reply,
      await putOwnDevice(database, { hub, installation, userId, label }, now(), conditionOf(request)),
    );
  });
  app.delete(one, { config: { access: onRecipient('send') }, schema: deleteOwnSchema }, async (request, reply) => {
    const { recipient, device: id } = request.params;
    const userId = parseRecipientId(recipient);
    await deleteOwnDevice(database, { hub: request.query.hub, id, userId }, conditionOf(request));
    return reply.code(204).send(null);
  });
  app.post(`${one}/test`, { config: { access: onRecipient('send') }, schema: testOwnSchema }, async (request) => {
    const { recipient, device: id } = request.params;
    const device = await existing(push, { hub: request.query.hub, device: id });
    if (userOf(device) !== parseRecipientId(recipient)) throw absent();
    return { outcome: await testPush(push, device, request.body) };
  });
}

async function existing({ database, now }: PushDeps, { hub, device: id }: { hub: string; device: string }) {
  const device = await findDevice(database, hub, id, now());
  if (device === undefined) throw absent();
  return device;
}

function absent(): Refusal {
  return new Refusal('not_found', 'There is no such device.');
}

function shown(device: Device) {
  return shownDevice(device, userOf(device));
}

function withEtag(reply: Reply, device: Device) {
  reply.header('etag', `"${device.etag}"`);
  return shown(device);
}

const listSchema = {
  operationId: 'listDevices',
  summary: 'List the devices of a hub',
  tags: ['devices'],
  params: HubParams,
  querystring: Type.Object({
    recipient: Type.Optional(Type.String({ maxLength: 128, description: 'Only those of this recipient.' })),
    tag: Type.Optional(Type.String({ maxLength: 1000, description: 'Only those that carry this tag.' })),
    platform: Type.Optional(Type.Enum([...platforms])),
    after: Type.Optional(
      Type.String({ maxLength: 512, description: 'Only ids that come after this one, instead of a cursor.' }),
    ),
    ...PageQuery,
  }),
  response: responses({ 200: PageOf(DeviceSchema) }),
};
const getSchema = {
  operationId: 'getDevice',
  summary: 'Read a device',
  tags: ['devices'],
  params: DeviceParams,
  response: responses({ 200: DeviceSchema }),
};
const putSchema = {
  operationId: 'putDevice',
  summary: 'Make or replace a device',
  description: 'What is left out is cleared, but for the label. With `If-Match` only if nobody changed it meanwhile.',
  tags: ['devices'],
  params: DeviceParams,
  body: DeviceInput,
  response: responses({ 200: DeviceSchema }, 412),
};
const patchSchema = {
  operationId: 'patchDevice',
  summary: 'Change parts of a device',
  tags: ['devices'],
  params: DeviceParams,
  body: DevicePatch,
  response: responses({ 200: DeviceSchema }, 412),
};
const deleteSchema = {
  operationId: 'deleteDevice',
  summary: 'Forget a device',
  tags: ['devices'],
  params: DeviceParams,
  response: responses({ 204: Type.Null({ description: 'It is not there (any more).' }) }, 412),
};
const testSchema = {
  operationId: 'testDevice',
  summary: 'Push something to one device and see what its push service says',
  tags: ['devices'],
  params: DeviceParams,
  body: TestInput,
  response: responses({ 200: TestAnswer }, 409),
};
const listOwnSchema = {
  operationId: 'listDevicesOfRecipient',
  summary: 'List the devices of a recipient',
  description: 'Those of all hubs.',
  tags: ['devices'],
  params: RecipientParams,
  response: responses({ 200: Type.Object({ items: Type.Array(DeviceSchema) }) }),
};
const putOwnSchema = {
  operationId: 'putDeviceOfRecipient',
  summary: 'Register a device of a recipient',
  description:
    'For apps and pages of the person. A push address is one device: registered under another id or by another person, it moves there. Tags that the organisation gave stay while the device stays with the person. The id is any text that the app keeps.',
  tags: ['devices'],
  params: OwnParams,
  body: OwnDeviceInput,
  response: responses({ 200: DeviceSchema }, 409, 412),
};
const deleteOwnSchema = {
  operationId: 'deleteDeviceOfRecipient',
  summary: 'Forget a device of a recipient',
  tags: ['devices'],
  params: OwnParams,
  querystring: OwnQuery,
  response: responses({ 204: Type.Null({ description: 'It is not there (any more).' }) }, 412),
};
const testOwnSchema = {
  operationId: 'testDeviceOfRecipient',
  summary: "Push something to a recipient's own device and see what its push service says",
  tags: ['devices'],
  params: OwnParams,
  querystring: OwnQuery,
  body: TestInput,
  response: responses({ 200: TestAnswer }, 409),
};
