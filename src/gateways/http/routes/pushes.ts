// Sends of a hub: pushes to devices by tags, to everybody, to addresses; now or later; and what became of them.
import { Type } from 'typebox';
import type { Message } from '../../../hub/aims.ts';
import { parsePlatform } from '../../../hub/credentials.ts';
import { getHub } from '../../../hub/hub-admin.ts';
import { pushPlatforms } from '../../../hub/lanes.ts';
import { checkMessage } from '../../../hub/message.ts';
import { noticeMessages } from '../../../hub/notice-sends.ts';
import { cancelSend, enqueueSend, findSend, listSends, type Send, type SendJob } from '../../../hub/sends.ts';
import { parseTagExpression, type TagLimits } from '../../../hub/tags.ts';
import type { Tx } from '../../../kit/database.ts';
import { freshId } from '../../../kit/ids.ts';
import { Refusal } from '../../../kit/refusal.ts';
import type { App } from '../app.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { onHub } from '../identity.ts';
import { Nullable, PageOf, PageQuery, responses, Time } from '../schemas.ts';
import { HubParams } from './devices.ts';
import type { HubDeps } from './hubs.ts';

const SendInput = Type.Object(
  {
    title: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 250,
        description: 'With `body` and `link`: on every platform in its own form.',
      }),
    ),
    body: Type.Optional(
      Type.String({ maxLength: 65_536, description: "The text; with `platform` that platform's own payload." }),
    ),
    link: Type.Optional(Type.String({ maxLength: 2_000 })),
    platform: Type.Optional(
      Type.String({
        maxLength: 20,
        description: 'apns, fcmv1, wns or browser: `body` is its payload. With `title` only that one.',
      }),
    ),
    headers: Type.Optional(Type.Record(Type.String(), Type.String(), { description: "The platform's own headers." })),
    properties: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), { description: "Instead: for the devices' own templates." }),
    ),
    tags: Type.Optional(
      Type.String({
        maxLength: 4_000,
        description: 'A tag expression; without it everybody.',
        examples: ['beta && !quiet'],
      }),
    ),
    to: Type.Optional(
      Type.Array(Type.String({ maxLength: 4_096 }), {
        minItems: 1,
        maxItems: 10_000,
        description: 'Addresses of `platform`, instead of devices; as many as the settings allow, 1,000 by default.',
      }),
    ),
    at: Type.Optional(Time('When; without it now. A week ahead at most.')),
    requestId: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, description: 'The same again is not sent again.' }),
    ),
  },
  { additionalProperties: false, examples: [{ title: 'Lunch is ready', tags: 'berlin && !vegan' }] },
);
const SendSchema = Type.Object({
  id: Type.String({ examples: ['nh_06f1c5v9n1'] }),
  state: Type.String({ examples: ['Completed'] }),
  platform: Nullable(Type.String({ description: 'Null for a template send.' })),
  tags: Nullable(Type.String()),
  addresses: Nullable(Type.Integer({ description: 'To how many addresses it went, instead of devices.' })),
  outcomes: Type.Record(Type.String(), Type.Record(Type.String(), Type.Integer()), {
    description: 'Platform to outcome to count.',
  }),
  enqueuedAt: Time(),
  startedAt: Nullable(Time()),
  endedAt: Nullable(Time()),
});
const SendParams = Type.Object({ ...HubParams.properties, send: Type.String({ maxLength: 100 }) });

type Body = {
  readonly title?: string;
  readonly body?: string;
  readonly link?: string;
  readonly platform?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly tags?: string;
  readonly to?: readonly string[];
  readonly at?: string;
  readonly requestId?: string;
};

export function pushRoutes(app: App, { hubs }: HubDeps): void {
  const { admin, wake } = hubs;
  const { database, now } = admin;
  const path = '/v1/hubs/:hub/sends';
  app.post(path, { config: { access: onHub('send') }, schema: postSchema }, async ({ params, body }, reply) => {
    const { credentials } = await getHub(database, admin.key, params.hub);
    const given = jobsOf(
      body,
      pushPlatforms.filter((platform) => credentials[platform] !== undefined),
      admin.tagLimits,
    );
    const { batchAddresses } = admin.sendLimits;
    if ((body.to?.length ?? 0) > batchAddresses)
      throw new Refusal('bad_request', `\`to\` names at most ${batchAddresses} addresses.`);
    const jobs = await Promise.all(
      given.map(async (job) => ({ ...job, message: await checkMessage(hubs.push, params.hub, job.message) })),
    );
    const dueAt = body.at === undefined ? undefined : new Date(body.at);
    const enqueue = (tx: Tx, job: SendJob, i: number) => {
      const requestId = body.requestId && (i === 0 ? body.requestId : `${body.requestId}/${i}`);
      return enqueueSend(tx, params.hub, job, now(), { requestId, dueAt, daysAhead: admin.sendLimits.daysAhead });
    };
    // To all of the platforms or to none: who gets no answer sends it again.
    const ids = await database.transaction((tx) => Promise.all(jobs.map((job, i) => enqueue(tx, job, i))));
    wake();
    return reply.code(202).send({ sends: ids });
  });
  app.get(path, { config: { access: onHub('listen') }, schema: listSchema }, async ({ params, query }) => {
    const { limit } = query;
    const sends = await listSends(database, params.hub, decodeCursor('sends', query.cursor), limit);
    return {
      items: sends.map(shown),
      next: encodeCursor('sends', sends.length === limit ? sends.at(-1)!.id : undefined),
    };
  });
  app.get(`${path}/:send`, { config: { access: onHub('listen') }, schema: getSchema }, async ({ params }) => {
    const send = await findSend(database, params.hub, params.send);
    if (send === undefined) throw absent();
    return shown(send);
  });
  app.delete(
    `${path}/:send`,
    { config: { access: onHub('send') }, schema: cancelSchema },
    async ({ params }, reply) => {
      if (!(await cancelSend(database, params.hub, params.send, now()))) {
        const send = await findSend(database, params.hub, params.send);
        if (send === undefined) throw absent();
        throw new Refusal('conflict', `It is not to come any more: ${send.state}.`);
      }
      return reply.code(204).send(null);
    },
  );
}

/** One, but for a title without a platform: then one for each platform. */
function jobsOf(body: Body, platforms: Parameters<typeof noticeMessages>[1], limits: TagLimits): SendJob[] {
  const { tags, to } = body;
  if (tags !== undefined) parseTagExpression(tags, limits);
  if (to !== undefined && (tags !== undefined || body.platform === undefined))
    throw new Refusal('bad_request', '`to` wants `platform`, and no `tags`.');
  return messagesOf(body, platforms).map((message) => ({ message, ...(to === undefined ? { tags } : { to }) }));
}

function messagesOf(body: Body, platforms: Parameters<typeof noticeMessages>[1]): Message[] {
  const { title, link, properties, headers = {} } = body;
  const platform = body.platform === undefined ? undefined : parsePlatform(body.platform);
  if (properties !== undefined) {
    if (title !== undefined || body.body !== undefined || platform !== undefined)
      throw new Refusal(
        'bad_request',
        '`properties` fill the templates of the devices: there is no other content beside them.',
      );
    return [{ kind: 'template', properties }];
  }
  if (title !== undefined) {
    const wanted = platforms.filter((each) => platform === undefined || each === platform);
    if (wanted.length === 0) throw new Refusal('conflict', 'The hub has no credentials for any of these platforms.');
    return noticeMessages({ title, body: body.body, link }, wanted, freshId('psh'));
  }
  if (platform === undefined || !body.body)
    throw new Refusal('bad_request', 'Give `title`, or `platform` and `body`, or `properties`.');
  return [{ kind: 'native', platform, body: body.body, headers: lowerCased(headers) }];
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function shown({ id, state, job, outcomes, enqueuedAt, startedAt, endedAt }: Send) {
  return {
    id,
    state,
    platform: job.message.kind === 'native' ? job.message.platform : null,
    tags: job.tags ?? null,
    addresses: job.to?.length ?? null,
    outcomes: outcomes as Record<string, Record<string, number>>, // only given ones
    enqueuedAt: enqueuedAt.toISOString(),
    startedAt: startedAt?.toISOString() ?? null,
    endedAt: endedAt?.toISOString() ?? null,
  };
}

function absent(): Refusal {
  return new Refusal('not_found', 'There is no such send.');
}

const postSchema = {
  operationId: 'sendPush',
  summary: 'Push something to the devices of a hub',
  description: 'Durable when it answers. Several sends when a title goes to several platforms.',
  tags: ['devices'],
  params: HubParams,
  body: SendInput,
  response: responses({ 202: Type.Object({ sends: Type.Array(Type.String()) }) }, 409),
};
const listSchema = {
  operationId: 'listPushes',
  summary: 'List the sends of a hub, the newest first',
  tags: ['devices'],
  params: HubParams,
  querystring: Type.Object(PageQuery),
  response: responses({ 200: PageOf(SendSchema) }),
};
const getSchema = {
  operationId: 'getPush',
  summary: 'Read what a send came to',
  tags: ['devices'],
  params: SendParams,
  response: responses({ 200: SendSchema }),
};
const cancelSchema = {
  operationId: 'cancelPush',
  summary: 'Cancel a send that is still to come',
  tags: ['devices'],
  params: SendParams,
  response: responses({ 204: Type.Null({ description: 'It will not be sent.' }) }, 409),
};
