// Broadcast channels of Apple: one push for everybody who follows a channel, whose Live Activity it changes.
import { Type } from 'typebox';
import { broadcastOf } from '../../../hub/broadcast.ts';
import type { App } from '../app.ts';
import { onHub } from '../identity.ts';
import { responses } from '../schemas.ts';
import { HubParams } from './devices.ts';
import type { HubDeps } from './hubs.ts';

const Channel = Type.Object({
  id: Type.String({
    description: "Apple's, base64; percent-encoded in addresses.",
    examples: ['dHN0LXNyY2gtY2hubA=='],
  }),
});
const ChannelParams = Type.Object({ ...HubParams.properties, channel: Type.String({ maxLength: 200 }) });

export function hubChannelRoutes(app: App, { hubs }: HubDeps): void {
  const { lanes } = hubs.push;
  const path = '/v1/hubs/:hub/channels';
  app.get(path, { config: { access: onHub('listen') }, schema: listSchema }, async ({ params }) => {
    const ids = await (await broadcastOf(lanes, params.hub)).list();
    return { items: ids.map((id) => ({ id })) };
  });
  app.post(path, { config: { access: onHub('manage') }, schema: createSchema }, async ({ params, body }, reply) => {
    const id = await (await broadcastOf(lanes, params.hub)).create(body.storesNewest);
    return reply.code(201).send({ id });
  });
  app.delete(
    `${path}/:channel`,
    { config: { access: onHub('manage') }, schema: removeSchema },
    async ({ params }, reply) => {
      await (await broadcastOf(lanes, params.hub)).remove(params.channel);
      return reply.code(204).send(null);
    },
  );
  app.post(
    `${path}/:channel/pushes`,
    { config: { access: onHub('send') }, schema: pushSchema },
    async ({ params, body: { body, headers } }) => {
      const broadcast = await broadcastOf(lanes, params.hub);
      return { outcome: await broadcast.push(params.channel, body, headers === undefined ? {} : { headers }) };
    },
  );
}

const tags = ['devices'];
const listSchema = {
  operationId: 'listChannels',
  summary: "List the broadcast channels of a hub's Apple app",
  tags,
  params: HubParams,
  response: responses({ 200: Type.Object({ items: Type.Array(Channel) }) }, 409, 503),
};
const createSchema = {
  operationId: 'createChannel',
  summary: 'Make a broadcast channel',
  description:
    'Apps of iOS 18 follow it with a Live Activity; one push then reaches them all. Apple keeps 10,000 for an app.',
  tags,
  params: HubParams,
  body: Type.Object(
    {
      storesNewest: Type.Boolean({
        default: false,
        description: 'Who comes online later gets the newest push, until it expires.',
      }),
    },
    { additionalProperties: false, examples: [{ storesNewest: true }] },
  ),
  response: responses({ 201: Channel }, 409, 503),
};
const removeSchema = {
  operationId: 'removeChannel',
  summary: 'Remove a broadcast channel',
  tags,
  params: ChannelParams,
  response: responses({ 204: Type.Null({ description: 'It is gone.' }) }, 409, 503),
};
const pushSchema = {
  operationId: 'pushToChannel',
  summary: 'Push to everybody who follows a channel',
  description: 'Answers when Apple has taken it. Nothing of it is kept.',
  tags,
  params: ChannelParams,
  body: Type.Object(
    {
      body: Type.String({ minLength: 1, maxLength: 16_384, description: "Apple's payload, 5,120 bytes at most." }),
      headers: Type.Optional(
        Type.Record(Type.String(), Type.String(), {
          description: "Apple's: `apns-expiration` (default 0), `apns-priority` (default 10).",
        }),
      ),
    },
    {
      additionalProperties: false,
      examples: [{ body: '{"aps":{"timestamp":1795341600,"event":"update","content-state":{"score":3}}}' }],
    },
  ),
  response: responses({ 200: Type.Object({ outcome: Type.String({ examples: ['Success'] }) }) }, 409),
};
