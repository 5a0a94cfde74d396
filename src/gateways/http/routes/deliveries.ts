// What could not be delivered, and trying it again.
import { Type } from 'typebox';
import { type ChannelName, channelNames } from '../../../deliveries/channel.ts';
import { countDead, type DeadLetter, listDead, type RedriveSelection, redrive } from '../../../deliveries/dead.ts';
import type { Dispatcher } from '../../../deliveries/dispatcher.ts';
import type { Database } from '../../../kit/database.ts';
import { Refusal } from '../../../kit/refusal.ts';
import type { App } from '../app.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { onEntity } from '../identity.ts';
import { Nullable, PageOf, PageQuery, responses, Time } from '../schemas.ts';

export type DeliveryDeps = { readonly database: Database; readonly dispatcher: Pick<Dispatcher, 'wake'> };

const Channel = Type.Enum([...channelNames]);

const Dead = Type.Object({
  id: Type.String(),
  noticeId: Type.String(),
  recipientId: Type.String(),
  channel: Channel,
  endpoint: Nullable(Type.String()),
  reason: Type.String(),
  cause: Type.String({ description: 'A short stable code.' }),
  detail: Nullable(Type.String()),
  attempts: Type.Integer(),
  plannedFor: Time(),
  diedAt: Time(),
});

const Redrive = Type.Object(
  {
    ids: Type.Optional(Type.Array(Type.String({ maxLength: 100 }), { minItems: 1, maxItems: 1000 })),
    cause: Type.Optional(Type.String({ maxLength: 200 })),
    all: Type.Optional(Type.Literal(true)),
    channel: Type.Optional(Channel),
  },
  { additionalProperties: false, examples: [{ cause: 'mailbox_full', channel: 'email' }, { all: true }] },
);

export function deliveryRoutes(app: App, { database, dispatcher }: DeliveryDeps): void {
  app.get(
    '/v1/deliveries',
    { config: { access: onEntity('listen', 'system:deliveries') }, schema: listSchema },
    async ({ query }) => {
      const { channel, cause, limit } = query;
      const filter = { channel: channel as ChannelName | undefined, cause, limit }; // the schema lists the channels
      const page = await listDead(database, { ...filter, after: decodeCursor('deliveries', query.cursor) });
      return { items: page.items.map(shown), next: encodeCursor('deliveries', page.next) };
    },
  );
  app.get(
    '/v1/deliveries/causes',
    { config: { access: onEntity('listen', 'system:deliveries') }, schema: causesSchema },
    async () => ({
      items: await countDead(database),
    }),
  );
  app.post(
    '/v1/deliveries/redrive',
    { config: { access: onEntity('manage', 'system:deliveries') }, schema: redriveSchema },
    async ({ body }) => {
      const redriven = await redrive(database, selectionOf(body), new Date());
      dispatcher.wake();
      return { redriven };
    },
  );
}

const listSchema = {
  operationId: 'listDeadDeliveries',
  summary: 'List deliveries that are dead',
  description: 'Newest first: what a provider refused, what was tried in vain, what got too old.',
  tags: ['deliveries'],
  querystring: Type.Object({
    state: Type.Optional(Type.Literal('dead')),
    channel: Type.Optional(Channel),
    cause: Type.Optional(Type.String({ maxLength: 200 })),
    ...PageQuery,
  }),
  response: responses({ 200: PageOf(Dead) }),
};
const causesSchema = {
  operationId: 'countDeadDeliveries',
  summary: 'Count dead deliveries by cause',
  tags: ['deliveries'],
  response: responses({
    200: Type.Object({
      items: Type.Array(
        Type.Object({ channel: Channel, reason: Type.String(), cause: Type.String(), count: Type.Integer() }),
      ),
    }),
  }),
};
const redriveSchema = {
  operationId: 'redriveDeliveries',
  summary: 'Try dead deliveries again',
  description: 'Give `ids`, or a `cause`, or `all`; the latter two optionally for one `channel`.',
  tags: ['deliveries'],
  body: Redrive,
  response: responses({ 200: Type.Object({ redriven: Type.Integer() }) }),
};

type RedriveBody = { ids?: string[]; cause?: string; all?: true; channel?: string };

function selectionOf({ ids, cause, all, channel }: RedriveBody): RedriveSelection {
  const only = channel === undefined ? {} : { channel: channel as ChannelName }; // the schema lists the channels
  if ([ids, cause, all].filter((given) => given !== undefined).length !== 1)
    throw new Refusal('bad_request', 'The request is not valid: give one of ids, cause and all.', {
      errors: [{ field: 'ids', problem: 'or cause or all must be given, one of them' }],
    });
  if (ids !== undefined) return { ids };
  return cause === undefined ? { all: true, ...only } : { cause, ...only };
}

function shown(letter: DeadLetter) {
  return { ...letter, plannedFor: letter.plannedFor.toISOString(), diedAt: letter.diedAt.toISOString() };
}
