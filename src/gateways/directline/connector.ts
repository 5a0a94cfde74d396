// The Bot Connector, as agents see us: they answer, change, take back, open conversations, ask who is there, and send
// files. Errors and codes are the cloud's, so that an agent's handler fits both.
import type { NamedAgent } from '../../assistant/agents/definition.ts';
import { agentChanges, agentDeletes, agentSays } from '../../assistant/agents/exchange.ts';
import { authorityOf } from '../../assistant/agents/signing.ts';
import type { Activity } from '../../assistant/conversations/activity.ts';
import { type Conversation, conversationOf } from '../../assistant/conversations/conversation.ts';
import { checkQuota, findUpload, newUpload, storeUploads } from '../../assistant/conversations/uploads.ts';
import { Refusal } from '../../kit/refusal.ts';
import { findRecipients, getRecipient } from '../../people/recipients.ts';
import { agentOf, agentsConversation } from './agent-callers.ts';
import type { Door } from './door.ts';
import { activityOfAgent } from './read-activity.ts';
import { type App, OPEN, type Request } from './routing.ts';
import { sendFile } from './upload-routes.ts';

const AT = '/v3/conversations';
/** Agents put pictures into the activity; what is kept is limited again when it is read. */
const BODY_LIMIT = 1024 * 1024;
const options = { ...OPEN, bodyLimit: BODY_LIMIT };

type InConversation = { readonly id: string };
type OnActivity = InConversation & { readonly activityId: string };
type Place = { readonly agent: NamedAgent; readonly conversation: Conversation };

export function connectorRoutes(app: App, door: Door): void {
  const place = async (request: Request, id: string): Promise<Place> =>
    agentsConversation(door, await agentOf(door, request), id);
  keyRoute(app, door);
  app.post(AT, options, async (request, reply) => {
    const caller = await agentOf(door, request);
    return reply.code(201).send(await openFor(door, caller, request.body));
  });
  activityRoutes(app, door, place);
  memberRoutes(app, door, place);
  attachmentRoutes(app, door, place);
}

/** The public halves of the keys that we sign with, where agents in signed mode look for them. */
function keyRoute(app: App, door: Door): void {
  const path = new URL(`${authorityOf('http://any')}/discovery/v2.0/keys`).pathname;
  app.get(path, OPEN, async (_request, reply) => {
    reply.header('cache-control', 'public, max-age=300');
    return door.signing.keys.published();
  });
}

type PlaceOf = (request: Request, id: string) => Promise<Place>;

function activityRoutes(app: App, door: Door, place: PlaceOf): void {
  const { exchange } = door;
  const say = async (request: Request, id: string, replyToId?: string) => {
    const { agent } = await place(request, id);
    const activity = activityOfAgent(request.body);
    return agentSays(exchange, agent, id, replyToId && !activity.replyToId ? { ...activity, replyToId } : activity);
  };
  app.post<{ Params: InConversation }>(`${AT}/:id/activities`, options, (request) => say(request, request.params.id));
  // The SDKs reply to made-up ids as well.
  app.post<{ Params: OnActivity }>(`${AT}/:id/activities/:activityId`, options, (request) =>
    say(request, request.params.id, request.params.activityId),
  );
  app.put<{ Params: OnActivity }>(`${AT}/:id/activities/:activityId`, options, async (request) => {
    const { id, activityId } = request.params;
    const { agent } = await place(request, id);
    await agentChanges(exchange, agent, id, activityId, activityOfAgent(request.body));
    return { id: activityId };
  });
  app.delete<{ Params: OnActivity }>(`${AT}/:id/activities/:activityId`, OPEN, async (request, reply) => {
    const { id, activityId } = request.params;
    const { agent } = await place(request, id);
    await agentDeletes(exchange, agent, id, activityId);
    return reply.code(200).send();
  });
  // What an agent has from elsewhere; a page has no use for it, and it would be said twice.
  app.post<{ Params: InConversation }>(`${AT}/:id/activities/history`, options, async (request) => {
    await place(request, request.params.id);
    return { id: '' };
  });
}

function memberRoutes(app: App, door: Door, place: PlaceOf): void {
  const members = async (request: Request, id: string) => {
    const { agent, conversation } = await place(request, id);
    const { recipientId } = conversation;
    const person = (await findRecipients(door.exchange.database, [recipientId])).get(recipientId);
    const name = person?.displayName ?? recipientId;
    return [
      { id: recipientId, name, role: 'user', ...(person?.email && { email: person.email }) },
      { id: agent.name, name: agent.displayName ?? agent.name, role: 'bot' },
    ];
  };
  app.get<{ Params: InConversation }>(`${AT}/:id/members`, OPEN, (request) => members(request, request.params.id));
  app.get<{ Params: OnActivity }>(`${AT}/:id/activities/:activityId/members`, OPEN, (request) =>
    members(request, request.params.id),
  );
  app.get<{ Params: InConversation }>(`${AT}/:id/pagedmembers`, OPEN, async (request) => ({
    members: await members(request, request.params.id),
  }));
  app.get<{ Params: InConversation & { member: string } }>(`${AT}/:id/members/:member`, OPEN, async (request) => {
    const { id, member } = request.params;
    const found = (await members(request, id)).find((each) => each.id === member);
    if (!found) throw new Refusal('recipient_not_found', `${member} does not take part in this conversation.`);
    return found;
  });
}

function attachmentRoutes(app: App, door: Door, place: PlaceOf): void {
  const { database } = door.exchange;
  const { maxUploadBytes, maxConversationBytes } = door.limits;
  const large = { ...OPEN, bodyLimit: maxUploadBytes * 2 + BODY_LIMIT };
  app.post<{ Params: InConversation }>(`${AT}/:id/attachments`, large, async (request) => {
    const { conversation } = await place(request, request.params.id);
    const upload = newUpload(readAttachment(request.body), maxUploadBytes);
    await checkQuota(database, conversation.id, upload.content.byteLength, maxConversationBytes);
    await database.transaction((tx) => storeUploads(tx, conversation.id, [upload]));
    return { id: upload.id };
  });
  app.get<{ Params: InConversation }>('/v3/attachments/:id', OPEN, async (request) => {
    const { name, type, size } = await attachment(door, request.params.id);
    return { name, type, views: [{ viewId: 'original', size }] };
  });
  app.get<{ Params: InConversation & { view: string } }>(
    '/v3/attachments/:id/views/:view',
    OPEN,
    async (request, reply) => sendFile(reply, await attachment(door, request.params.id)),
  );
}

async function attachment(door: Door, id: string) {
  const upload = await findUpload(door.exchange.database, id);
  if (!upload) throw new Refusal('not_found', 'There is no such attachment, or not any more.');
  return upload;
}

function readAttachment(body: unknown): { name: string; type: string; content: Buffer } {
  const { type, name, originalBase64 } = (body ?? {}) as Record<string, unknown>;
  if (typeof type !== 'string' || typeof originalBase64 !== 'string')
    throw new Refusal('bad_request', 'An attachment has a "type", a "name" and "originalBase64".');
  return { name: typeof name === 'string' ? name : 'file', type, content: Buffer.from(originalBase64, 'base64') };
}

/**
 * A conversation of the agent with a person: their standing one, so that nobody's messages spread over conversations that
 * no page shows. The Agents SDK names itself in `agent`, the Bot Framework SDK in `bot`.
 */
async function openFor(door: Door, caller: NamedAgent | undefined, body: unknown) {
  const { members, agent: named, bot, activity } = (body ?? {}) as Record<string, unknown>;
  const agent = caller ?? anonymousAgent(door, named ?? bot);
  const [first] = Array.isArray(members) ? members : [];
  const recipientId = (first as { id?: unknown } | undefined)?.id;
  if (typeof recipientId !== 'string' || (members as unknown[]).length !== 1)
    throw new Refusal('bad_request', 'A conversation is opened with one member: the id of a recipient.');
  const { database } = door.exchange;
  await getRecipient(database, recipientId);
  const conversation = await conversationOf(database, recipientId, agent.name);
  const said =
    activity === undefined || activity === null
      ? undefined
      : await agentSays(door.exchange, agent, conversation.id, activityOfAgent(activity) as Activity);
  return { id: conversation.id, serviceUrl: door.signing.serviceUrl(), ...(said && { activityId: said.id }) };
}

function anonymousAgent(door: Door, account: unknown): NamedAgent {
  const anonymous = door.signing.agents.filter(({ auth }) => auth === 'anonymous');
  const id = (account as { id?: unknown } | undefined)?.id;
  const found = anonymous.find(({ name }) => name === id) ?? (anonymous.length === 1 ? anonymous[0] : undefined);
  if (!found) throw new Refusal('bad_request', 'Say which agent you are: { "agent": { "id": "<its name>" } }.');
  return found;
}
