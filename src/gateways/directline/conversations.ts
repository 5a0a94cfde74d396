// Conversations of a person's page: start, reconnect, poll, say. What clients cannot survive is kept from them: a failure
// of a poll ends their polling for good, and a failed start is final, so both go on without the database where they can.
import { greet, type Said, userSays } from '../../assistant/agents/exchange.ts';
import { findConversation, noteOpened } from '../../assistant/conversations/conversation.ts';
import { readAfter } from '../../assistant/conversations/read.ts';
import { toRefusal } from './answers.ts';
import { isBroadcastEvent, takeBroadcast } from './broadcast.ts';
import { callerOf, speakerOf } from './callers.ts';
import type { Door } from './door.ts';
import { activityOfUser } from './read-activity.ts';
import { type App, baseOf, OPEN, PREFIX, type Request } from './routing.ts';
import { begin, freshSid } from './token-routes.ts';
import type { Claims } from './tokens.ts';
import { numberOf, placeOf } from './watermark.ts';

const PER_POLL = 100;

type IdParams = { readonly id: string };
type WatermarkQuery = { readonly watermark?: string };

export function conversationRoutes(app: App, door: Door): void {
  app.post(`${PREFIX}/conversations`, OPEN, async (request, reply) => {
    const caller = await callerOf(door, request);
    const claims = caller.kind === 'token' ? caller.claims : await begin(door, caller.identity, request.body);
    door.starts.take(claims.sid);
    const isNew = await start(door, claims.conversationId, localeOf(request.body));
    return reply.code(isNew ? 201 : 200).send(await opened(door, request, claims, undefined));
  });
  app.get<{ Params: IdParams; Querystring: WatermarkQuery }>(`${PREFIX}/conversations/:id`, OPEN, async (request) => {
    const claims = await speakerOf(door, request, request.params.id);
    await calmly(findConversation(door.exchange.database, claims.conversationId));
    return opened(door, request, claims, request.query.watermark);
  });
  app.get<{ Params: IdParams; Querystring: WatermarkQuery }>(
    `${PREFIX}/conversations/:id/activities`,
    OPEN,
    async (request, reply) => {
      reply.type('application/json; charset=utf-8').header('cache-control', 'no-store').serializer(String);
      const { conversationId } = await speakerOf(door, request, request.params.id);
      return poll(door, conversationId, request.query.watermark);
    },
  );
  app.post<{ Params: IdParams }>(`${PREFIX}/conversations/:id/activities`, OPEN, async (request) => {
    const claims = await speakerOf(door, request, request.params.id);
    if (claims.identity && isBroadcastEvent(request.body)) return takeBroadcast(door, claims.identity, request.body);
    door.posts.take(claims.conversationId);
    const activity = activityOfUser(request.body, claims);
    const conversation = await findConversation(door.exchange.database, claims.conversationId);
    return shown(await userSays(door.exchange, conversation, activity));
  });
}

/** The answer to whoever said something; the result of an invoke comes with it. */
export function shown({ id, answer }: Said): Record<string, unknown> {
  return { id, ...(answer?.body !== undefined && { status: answer.status, body: answer.body }) };
}

/** True the first time. The agent is told beside the answer, which does not wait for it. */
async function start(door: Door, conversationId: string, locale: string | undefined): Promise<boolean> {
  const isNew = await calmly(noteOpened(door.exchange.database, conversationId, locale));
  const hello = sayHello(door, conversationId)
    .catch((error: unknown) => door.emit({ name: 'directline.failed', route: 'greeting', error }))
    .finally(() => door.hellos.delete(hello));
  door.hellos.add(hello);
  return isNew ?? false;
}

async function sayHello({ exchange }: Door, conversationId: string): Promise<void> {
  const conversation = await findConversation(exchange.database, conversationId);
  await greet(exchange, conversation);
  await exchange.turns.opened(conversation);
}

/** The result, or undefined where the database does not answer; a refusal remains one. */
async function calmly<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (toRefusal(error)?.code !== 'busy') throw error;
    return undefined;
  }
}

async function opened(door: Door, request: Request, claims: Omit<Claims, 'expiresAt'>, watermark: string | undefined) {
  const { conversationId, sid } = claims;
  const issued = await door.tokens.issue({ ...claims, sid: sid === '' ? freshSid() : sid });
  const at = numberOf(watermark) === undefined ? '' : `watermark=${watermark}&`;
  const path = `${PREFIX}/conversations/${conversationId}/stream?${at}t=${issued.token}`;
  return { conversationId, ...issued, streamUrl: `${baseOf(door, request).replace(/^http/, 'ws')}${path}` };
}

/** Never an error of ours: nothing new is said instead, and the client asks again. */
async function poll(door: Door, conversationId: string, watermark: string | undefined): Promise<string> {
  const { database } = door.exchange;
  try {
    const after = await placeOf(database, conversationId, watermark);
    const said = await readAfter(database, [{ conversationId, after }], PER_POLL);
    return frame(
      said.map(({ content }) => content),
      said.at(-1)?.sequence ?? after,
    );
  } catch (error) {
    const refusal = toRefusal(error);
    if (refusal && refusal.code !== 'busy') throw error;
    if (!refusal) door.emit({ name: 'directline.failed', route: 'poll', error });
    return `{"activities":[],"watermark":"${numberOf(watermark) ?? ''}"}`;
  }
}

/** What clients call an activity set; the activities are JSON already. */
export function frame(said: readonly string[], sequence: number): string {
  return `{"activities":[${said.join(',')}],"watermark":"${sequence}"}`;
}

function localeOf(body: unknown): string | undefined {
  const { locale } = (body ?? {}) as { locale?: unknown };
  return typeof locale === 'string' && /^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$/.test(locale) ? locale : undefined;
}
