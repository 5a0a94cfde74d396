// The conversations of a person with the assistant, for whoever looks after the system.
import { Type } from 'typebox';
import { closeConversation, listConversations, readBack } from '../../../assistant/conversations/list.ts';
import type { Poster } from '../../../assistant/poster.ts';
import { surfaces } from '../../../assistant/references/reference.ts';
import { tryPlaces } from '../../../assistant/try-places.ts';
import type { Database } from '../../../kit/database.ts';
import { Refusal } from '../../../kit/refusal.ts';
import { getRecipient } from '../../../people/recipients.ts';
import type { App } from '../app.ts';
import { decodeCursor, decodeNumberCursor, encodeCursor } from '../cursor.ts';
import { onRecipient } from '../identity.ts';
import { Nullable, PageOf, PageQuery, RecipientParams, responses, Time } from '../schemas.ts';

export type ConversationDeps = {
  readonly database: Database;
  readonly conversations: {
    readonly posters: readonly Poster[];
    /** Their streams look what there is: `ConversationStreams.wake`. */
    readonly wake: (ids: readonly string[]) => void;
  };
};

const Conversation = Type.Object({
  id: Type.String({ examples: ['cnv_3k8v0c2m5q'] }),
  agent: Type.String(),
  standing: Type.Boolean({ description: 'The one in which notices wait, the same on all pages of the person.' }),
  activities: Type.Integer({ description: 'How much was said in it.' }),
  lastAt: Time(),
  openedAt: Nullable(Time('When a page connected first.')),
  createdAt: Time(),
});
const Said = Type.Object({
  sequence: Type.Integer(),
  author: Type.Enum(['user', 'agent', 'carillon']),
  activity: Type.Unknown({ description: 'As clients get it.' }),
});
const Params = Type.Object({
  ...RecipientParams.properties,
  conversation: Type.String({ maxLength: 100, examples: ['cnv_3k8v0c2m5q'] }),
});
const TestBody = Type.Object(
  {
    text: Type.String({ minLength: 1, maxLength: 250, default: 'It works' }),
    surface: Type.Optional(Type.Enum([...surfaces])),
  },
  { additionalProperties: false, examples: [{ text: 'It works', surface: 'teams' }] },
);
const Tried = Type.Object({
  surface: Type.Enum([...surfaces]),
  connection: Type.String(),
  place: Type.String(),
  outcome: Type.Enum(['posted', 'blocked', 'gone', 'refused', 'paced', 'retry', 'stopped']),
  cause: Type.Optional(Type.String({ description: 'What the service said.' })),
  detail: Type.Optional(Type.String()),
});

export function conversationRoutes(app: App, { database, conversations }: ConversationDeps): void {
  const path = '/v1/recipients/:recipient/conversations';
  const read = { access: onRecipient('listen') };
  app.get(path, { config: read, schema: listSchema }, async ({ params, query }) => {
    const { recipient } = params;
    await getRecipient(database, recipient);
    const after = placeOf(decodeCursor('conversations', query.cursor));
    const found = await listConversations(database, recipient, { after, limit: query.limit + 1 });
    const items = found.slice(0, query.limit);
    const last = found.length > query.limit ? items.at(-1) : undefined;
    const next = last && `${last.lastAt.getTime()}.${last.id}`;
    return { items: items.map(shown), next: encodeCursor('conversations', next) };
  });
  app.get(`${path}/:conversation/activities`, { config: read, schema: readSchema }, async ({ params, query }) => {
    const { recipient: recipientId, conversation: id } = params;
    const before = decodeNumberCursor('activities', query.cursor) ?? Number.MAX_SAFE_INTEGER;
    const found = await readBack(database, { recipientId, id, before, limit: query.limit + 1 });
    const items = found.slice(0, query.limit);
    const next = found.length > query.limit ? items.at(-1)!.sequence : undefined;
    return { items: items.map(saidAs), next: encodeCursor('activities', next) };
  });
  const write = { access: onRecipient('send') };
  app.post('/v1/recipients/:recipient/places/test', { config: write, schema: testSchema }, async ({ params, body }) => {
    const { surface, text } = body;
    return { items: await tryPlaces({ database, ...conversations }, { recipientId: params.recipient, surface, text }) };
  });
  const manage = { access: onRecipient('manage') };
  app.delete(`${path}/:conversation`, { config: manage, schema: closeSchema }, async ({ params }, reply) => {
    await database.transaction((tx) => closeConversation(tx, params.recipient, params.conversation));
    conversations.wake([params.conversation]);
    return reply.code(204).send(null);
  });
}

type View = Awaited<ReturnType<typeof listConversations>>[number];

function shown({ lastAt, openedAt, createdAt, ...rest }: View) {
  const times = { lastAt: lastAt.toISOString(), openedAt: openedAt?.toISOString() ?? null };
  return { ...rest, ...times, createdAt: createdAt.toISOString() };
}

function saidAs({ sequence, author, activity }: Awaited<ReturnType<typeof readBack>>[number]) {
  return { sequence, author: author as 'user' | 'agent' | 'carillon', activity }; // the column's check allows no other
}

function placeOf(cursor: string | undefined) {
  if (cursor === undefined) return undefined;
  const [, at, id] = /^(\d{1,15})\.(\w+)$/.exec(cursor) ?? [];
  if (id === undefined) throw new Refusal('bad_request', 'The cursor is not one that a page of this list returned.');
  return { lastAt: new Date(Number(at)), id };
}

const tags = ['people'];
const listSchema = {
  operationId: 'listConversations',
  summary: 'List the conversations of a person in the web chat',
  description: 'The newest first. Where else the assistant can speak to them: `places`.',
  tags,
  params: RecipientParams,
  querystring: Type.Object(PageQuery),
  response: responses({ 200: PageOf(Conversation) }),
};
const readSchema = {
  operationId: 'readConversation',
  summary: 'Read what was said in a conversation',
  description: 'The newest first.',
  tags,
  params: Params,
  querystring: Type.Object(PageQuery),
  response: responses({ 200: PageOf(Said) }),
};
const testSchema = {
  operationId: 'testPlaces',
  summary: 'Say a test in the places of a person',
  description:
    'In all of them, or those of one surface; says what each service answered. Whoever has none gets it in their standing conversation.',
  tags,
  params: RecipientParams,
  body: TestBody,
  response: responses({ 200: Type.Object({ items: Type.Array(Tried) }) }),
};
const closeSchema = {
  operationId: 'closeConversation',
  summary: 'End a conversation and forget what was said in it',
  description: 'Pages that show it are disconnected. What comes for the person opens another one.',
  tags,
  params: Params,
  response: responses({ 204: Type.Null({ description: 'It is closed.' }) }),
};
