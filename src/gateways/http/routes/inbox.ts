// A person's inbox: pages, marks, and the live stream.
import { Type } from 'typebox';
import type { Decision } from '../../../assistant/cards/decision.ts';
import { asksOf } from '../../../assistant/decisions/asked.ts';
import { decisionsOf } from '../../../assistant/decisions/question.ts';
import { findItems, inboxFilters, listInbox, parseCursor, readHead } from '../../../inbox/feed.ts';
import type { InboxItem } from '../../../inbox/item.ts';
import { marks, type Which } from '../../../inbox/mark.ts';
import { markInbox } from '../../../inbox/mark-inbox.ts';
import type { InboxEvent, InboxReader } from '../../../inbox/reader.ts';
import type { InboxStream } from '../../../inbox/stream.ts';
import type { Database } from '../../../kit/database.ts';
import { Gatherer } from '../../../kit/gather.ts';
import { Refusal } from '../../../kit/refusal.ts';
import { parseRecipientId } from '../../../people/recipient.ts';
import type { App } from '../app.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { DecisionSchema, decisionJson } from '../decision-json.ts';
import { type EventStreams, type Frame, type FrameSource, resumeAfter } from '../event-stream.ts';
import { onRecipient } from '../identity.ts';
import { Nullable, PageOf, PageQuery, RecipientParams, responses, Time } from '../schemas.ts';

export type InboxDeps = { readonly database: Database; readonly inbox: InboxStream };

const Item = Type.Object({
  id: Type.String({ examples: ['ntc_3k8v0c2m5q'] }),
  position: Type.Integer({ description: 'Its place in this inbox; the id of its event on the stream.' }),
  title: Type.String(),
  body: Type.String(),
  card: Type.Unknown({ description: 'The whole card: facts, link, actions.' }),
  category: Type.String(),
  notification: Type.String(),
  topic: Type.String(),
  urgency: Type.Enum(['low', 'normal', 'high']),
  createdAt: Time(),
  seenAt: Nullable(Time('The inbox was open with the item in it.')),
  readAt: Nullable(Time('The item itself was opened.')),
  archivedAt: Nullable(Time()),
  recalledAt: Nullable(Time('It was taken back; its words are gone.')),
  decision: Type.Optional(DecisionSchema),
});
const NEEDS_ANSWER = 'needs-answer';
const Counts = Type.Object({ unseen: Type.Integer(), unread: Type.Integer() });

const MarkBody = Type.Object(
  {
    ids: Type.Optional(Type.Array(Type.String({ maxLength: 100 }), { minItems: 1, maxItems: 1000 })),
    all: Type.Optional(Type.Literal(true)),
    upTo: Type.Optional(Type.Integer({ minimum: 0, description: 'With `all`: only items up to this position.' })),
    as: Type.Enum([...marks]),
  },
  {
    additionalProperties: false,
    examples: [
      { ids: ['ntc_3k8v0c2m5q'], as: 'read' },
      { all: true, as: 'seen' },
    ],
  },
);

export function inboxRoutes(app: App, deps: InboxDeps, streams: EventStreams): void {
  const path = '/v1/recipients/:recipient/inbox';
  const decisions = new Gatherer((ids: readonly string[]) => decisionsOf(deps.database, ids));
  app.get(path, { config: { access: onRecipient('listen') }, schema: listSchema }, async ({ params, query }) => {
    const recipient = parseRecipientId(params.recipient);
    const { filter, limit } = query;
    const cursor = decodeCursor('inbox', query.cursor);
    const page =
      filter === NEEDS_ANSWER
        ? await listAsking(deps.database, recipient, cursor, limit)
        : await listInbox(deps.database, recipient, { filter, limit, cursor });
    const items = await withDecisions(deps.database, page.items);
    return { ...page, items, next: encodeCursor('inbox', page.next) };
  });
  app.get(`${path}/:notice`, { config: { access: onRecipient('listen') }, schema: itemSchema }, async ({ params }) => {
    const items = await findItems(deps.database, parseRecipientId(params.recipient), [params.notice]);
    const [item] = await withDecisions(deps.database, items);
    if (!item) throw new Refusal('not_found', `There is no notice ${params.notice} in this inbox.`);
    return item;
  });
  app.post(`${path}/mark`, { config: { access: onRecipient('send') }, schema: markSchema }, ({ params, body }) =>
    markInbox(
      { database: deps.database, stream: deps.inbox },
      parseRecipientId(params.recipient),
      whichOf(body),
      body.as,
    ),
  );
  app.get(
    `${path}/stream`,
    { exposeHeadRoute: false, config: { access: onRecipient('listen') }, schema: streamSchema },
    async (request, reply) => {
      const after = resumeAfter(request, request.query.after);
      const reader = deps.inbox.reader(parseRecipientId(request.params.recipient), after);
      await streams.serve(request, reply, framesOf(reader, deps.database, decisions));
    },
  );
}

const listSchema = {
  operationId: 'listInbox',
  summary: 'Read an inbox',
  description: 'Newest first. Open the stream after `position` to miss nothing.',
  tags: ['inbox'],
  params: RecipientParams,
  querystring: Type.Object({
    filter: Type.Enum([...inboxFilters, NEEDS_ANSWER], {
      default: 'all',
      description: '`needs-answer`: what asks this person something that is still open.',
    }),
    ...PageQuery,
    limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
  }),
  response: responses({
    200: PageOf(Item, { unseen: Type.Integer(), unread: Type.Integer(), position: Type.Integer() }),
  }),
};
const itemSchema = {
  operationId: 'readInboxItem',
  summary: 'Read one item of an inbox',
  tags: ['inbox'],
  params: Type.Object({ ...RecipientParams.properties, notice: Type.String({ maxLength: 100 }) }),
  response: responses({ 200: Item }),
};
const markSchema = {
  operationId: 'markInbox',
  summary: 'Mark items of an inbox',
  description: 'Either `ids` or `all`. Answers the counts afterwards; open streams of the person hear of it.',
  tags: ['inbox'],
  params: RecipientParams,
  body: MarkBody,
  response: responses({ 200: Counts }),
};
const streamSchema = {
  operationId: 'streamInbox',
  summary: 'Follow an inbox live',
  description:
    'Server-sent events: `counts` first and after every change, `item` for a new one (its id is its position), `changed` when states were marked elsewhere, `decided` when the question of a card was settled, `updated` with the items as they are now when notices were corrected or recalled. After a break send `Last-Event-ID` (browsers do) to get what came meanwhile.',
  tags: ['inbox'],
  params: RecipientParams,
  querystring: Type.Object({
    after: Type.Optional(
      Type.Integer({ minimum: 0, description: 'Begin after this position; without it, with what comes now.' }),
    ),
  }),
  response: {
    200: { description: 'The stream.', content: { 'text/event-stream': { schema: Type.String() } } },
    ...responses({}),
  },
};

function whichOf({ ids, all, upTo }: { ids?: string[]; all?: true; upTo?: number }): Which {
  if ((ids === undefined) === (all === undefined))
    throw new Refusal('bad_request', 'The request is not valid: give either ids or all.', {
      errors: [{ field: 'ids', problem: 'or all must be given, and not both' }],
    });
  return ids === undefined ? { all: true, upTo } : { ids };
}

/** Of all streams together: what comes in one batch is asked for at once. */
type Decisions = Gatherer<string, Decision>;

function framesOf(reader: InboxReader, database: Database, decisions: Decisions): FrameSource {
  return {
    next: async () => {
      const event = await reader.next();
      return event && frameOf(reader.recipientId, event, database, decisions);
    },
    close: () => reader.close(),
  };
}

async function frameOf(recipientId: string, event: InboxEvent, database: Database, known: Decisions): Promise<Frame> {
  if (event.kind === 'item') {
    const { item } = event;
    const decision = item.card.actions?.length ? await known.find(item.id) : undefined;
    return { event: 'item', data: shown(item, decision), id: item.position };
  }
  if (event.kind === 'counts') return { event: 'counts', data: event.counts };
  if (event.as === 'updated' && event.ids) {
    const items = await findItems(database, recipientId, event.ids);
    return { event: 'updated', data: { items: await withDecisions(database, items) } };
  }
  if (event.as !== 'settled' || event.ids === undefined)
    return { event: 'changed', data: { ids: event.ids, as: event.as } };
  const decisions = await decisionsOf(database, event.ids);
  return {
    event: 'decided',
    data: { items: [...decisions].map(([id, each]) => ({ id, decision: decisionJson(each) })) },
  };
}

/** A page of what this person is asked; its counts are those of the whole inbox. */
async function listAsking(database: Database, recipientId: string, cursor: string | undefined, limit: number) {
  const { unseen, unread, position } = await readHead(database, recipientId);
  const before = cursor === undefined ? Number.MAX_SAFE_INTEGER : parseCursor(cursor);
  const asking = await asksOf(database, recipientId, before, limit + 1);
  const shown = asking.slice(0, limit);
  const items = await findItems(
    database,
    recipientId,
    shown.map(({ noticeId }) => noticeId),
  );
  const next = asking.length > limit ? String(shown.at(-1)!.position) : undefined;
  return { items, unseen, unread, position, next };
}

/** Only cards with actions ask something: most pages cost nothing more. */
async function withDecisions(database: Database, items: readonly InboxItem[]) {
  const asking = items.filter(({ card }) => card.actions?.length).map(({ id }) => id);
  const decisions = await decisionsOf(database, asking);
  return items.map((item) => shown(item, decisions.get(item.id)));
}

function shown(item: InboxItem, decision: Decision | undefined) {
  return {
    ...item,
    createdAt: item.createdAt.toISOString(),
    seenAt: item.seenAt?.toISOString() ?? null,
    readAt: item.readAt?.toISOString() ?? null,
    archivedAt: item.archivedAt?.toISOString() ?? null,
    recalledAt: item.recalledAt?.toISOString() ?? null,
    ...(decision && { decision: decisionJson(decision) }),
  };
}
