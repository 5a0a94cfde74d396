// Tokens: made for a person by a backend with a key (or by the person's own sign-in), and refreshed by the page.
import { authorize, type Identity } from '../../access/rights.ts';
import {
  conversationOf,
  DEFAULT_AGENT,
  findConversation,
  openConversation,
} from '../../assistant/conversations/conversation.ts';
import { Refusal } from '../../kit/refusal.ts';
import { ensureRecipients } from '../../people/preference-records.ts';
import { parseRecipientId } from '../../people/recipient.ts';
import { callerOf } from './callers.ts';
import type { Door } from './door.ts';
import { checkKeyOrigin } from './origins.ts';
import { type App, OPEN, PREFIX, type Request } from './routing.ts';
import type { Claims } from './tokens.ts';

/** Whom and what a token is for, as the body of a request says. */
export type Wanted = {
  readonly user: string;
  readonly userName?: string;
  readonly agent: string;
  readonly fresh: boolean;
  readonly origins?: readonly string[];
};

export function tokenRoutes(app: App, door: Door): void {
  // `known`: a key, or the cookie of somebody who is signed in, whose page must then be one of ours.
  const known = { config: { access: 'known' as const }, schema: { hide: true } };
  app.post(`${PREFIX}/tokens/generate`, known, async (request) => {
    const identity = identityOf(request);
    if (identity.kind === 'key') checkKeyOrigin(door.origins, request);
    else door.starts.take(`sign-in ${identity.kind === 'recipient' ? identity.recipientId : 'admin'}`);
    const claims = await begin(door, identity, request.body);
    return { conversationId: claims.conversationId, ...(await door.tokens.issue(claims)) };
  });
  app.post(`${PREFIX}/tokens/refresh`, OPEN, async (request) => {
    const caller = await callerOf(door, request);
    if (caller.kind === 'key') throw new Refusal('bad_request', 'A key needs no refresh; send a token.');
    const { conversationId, sid } = caller.claims;
    // Of a conversation that is gone clients must hear, with 404, that there is nothing to go on with.
    await findConversation(door.exchange.database, conversationId);
    const issued = await door.tokens.issue(caller.claims);
    door.sockets.extend(sid, Date.now() + issued.expires_in * 1000);
    return { conversationId, ...issued };
  });
  app.get(`${PREFIX}/session/getsessionid`, OPEN, async (request, reply) => {
    const caller = await callerOf(door, request);
    reply.header('access-control-allow-credentials', 'true');
    return { sessionId: caller.kind === 'token' ? caller.claims.sid : 'none' };
  });
}

function identityOf({ identity }: Request & { identity?: Identity | undefined }): Identity {
  if (!identity) throw new Refusal('key_missing', 'Send a key with the right to send to the person.');
  return identity;
}

/** A conversation for the person whom the body names: what a token for it says. */
export async function begin(door: Door, identity: Identity, body: unknown): Promise<Omit<Claims, 'expiresAt'>> {
  const wanted = read(body, identity, (name) => door.exchange.agents.has(name));
  authorize(identity, 'send', `recipient:${wanted.user}`);
  const { database } = door.exchange;
  await database.transaction((tx) => ensureRecipients(tx, [wanted.user], new Date()));
  const conversation = wanted.fresh
    ? await openConversation(database, { recipientId: wanted.user, agent: wanted.agent })
    : await conversationOf(database, wanted.user, wanted.agent);
  const { user, userName, origins } = wanted;
  return {
    conversationId: conversation.id,
    user,
    sid: freshSid(),
    ...(userName && { userName }),
    ...(origins && { origins }),
  };
}

/** Of a page. */
export function freshSid(): string {
  return crypto.randomUUID();
}

function read(body: unknown, identity: Identity, isAgent: (name: string) => boolean): Wanted {
  if (body !== undefined && body !== null && (typeof body !== 'object' || Array.isArray(body)))
    throw bad('The body is not an object.');
  const { user, trustedOrigins, agent = DEFAULT_AGENT, conversation } = (body ?? {}) as Record<string, unknown>;
  const { id, name } = (user ?? {}) as Record<string, unknown>;
  if (typeof agent !== 'string' || (agent !== DEFAULT_AGENT && !isAgent(agent)))
    throw bad(`There is no agent "${String(agent).slice(0, 64)}"; see assistant.agents in the configuration.`);
  if (conversation !== undefined && conversation !== 'new' && conversation !== 'standing')
    throw bad('"conversation" is "standing" (if left out) or "new".');
  const origins = trustedOrigins === undefined || trustedOrigins === null ? undefined : readOrigins(trustedOrigins);
  return {
    user: userOf(id, identity),
    ...(typeof name === 'string' && name !== '' && { userName: name.slice(0, 100) }),
    agent,
    fresh: conversation === 'new',
    ...(origins && { origins }),
  };
}

function userOf(id: unknown, identity: Identity): string {
  if (id === undefined && identity.kind === 'recipient') return identity.recipientId;
  if (typeof id === 'string' && id !== '') return parseRecipientId(id);
  throw bad('Say for whom: { "user": { "id": "<recipient id>" } }.');
}

function readOrigins(value: unknown): readonly string[] {
  if (Array.isArray(value) && value.length <= 50 && value.every(isOrigin)) return value;
  throw bad('"trustedOrigins" is a list of origins such as "https://www.example.org".');
}

function isOrigin(value: unknown): value is string {
  return typeof value === 'string' && URL.canParse(value) && new URL(value).origin === value;
}

function bad(what: string): Refusal {
  return new Refusal('bad_request', what);
}
