// Who calls, and whether they may. Every route declares what it needs in `config.access`; a route that declares nothing
// is a bug and stops the start. A browser's cookie is sent along by the browser itself, so a write that relies on it
// must come from our own pages: its Origin says so (SameSite=Lax alone lets sibling sites through).
import type { Access } from '../../access/access.ts';
import { authorize, type Identity, type Right } from '../../access/rights.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { App, Request } from './app.ts';

/** `open`: no key needed. `known`: any identity. Else the right on the entity that the request names. */
export type Need = 'open' | 'known' | { readonly right: Right; readonly entity: (request: Request) => string };

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Need;
  }
  interface FastifyRequest {
    /** Set on every route but the open ones. */
    identity: Identity | undefined;
  }
}

export const SESSION_COOKIE = 'carillon_session';

export function onTopic(right: Right): Need {
  return { right, entity: ({ params }) => `topic:${(params as { topic: string }).topic}` };
}

export function onRecipient(right: Right): Need {
  return { right, entity: ({ params }) => `recipient:${(params as { recipient: string }).recipient}` };
}

export function onHub(right: Right): Need {
  return { right, entity: ({ params }) => `hub:${(params as { hub: string }).hub}` };
}

/** A right on a whole kind of things (`topic:`, `recipient:`) or on a part of the system (`system:keys`). */
export function onEntity(right: Right, entity: string): Need {
  return { right, entity: () => entity };
}

export function guardRoutes(app: App, access: Access, ownOrigins: readonly string[]): void {
  app.decorateRequest('identity', undefined);
  app.addHook('onRoute', ({ config, method, url }) => {
    if (config?.access === undefined) throw new Error(`The route ${method} ${url} does not say who may call it.`);
  });
  app.addHook('onRequest', (request, _reply, done) => {
    const need = request.routeOptions.config.access;
    if (need === undefined || need === 'open') return done();
    const key = bearer(request.headers.authorization);
    const found = key === undefined ? bySession(access, request, ownOrigins) : access.byKey(key);
    if (found instanceof Promise) {
      found.then((identity) => admit(identity, need, request, done), done);
    } else admit(found, need, request, done);
  });
}

function admit(identity: Identity | undefined, need: Need, request: Request, done: (error?: Error) => void) {
  try {
    if (!identity) throw new Refusal('key_missing', 'Send a valid key as "Authorization: Bearer <key>", or sign in.');
    request.identity = identity;
    if (typeof need === 'object') authorize(identity, need.right, need.entity(request));
  } catch (error) {
    return done(error as Error);
  }
  done();
}

async function bySession(access: Access, request: Request, ownOrigins: readonly string[]) {
  const session = readCookie(request.headers.cookie, SESSION_COOKIE);
  if (session === undefined) return undefined;
  if (!isSafe(request.method) && !isOwnOrigin(request, ownOrigins))
    throw new Refusal('origin_refused', 'A write with a cookie must come from a page of this server.');
  return access.bySession(session);
}

function isSafe(method: string): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS';
}

/** A browser sends Origin with every write; one without it is told apart by Sec-Fetch-Site, or is refused. */
function isOwnOrigin({ headers }: Request, ownOrigins: readonly string[]): boolean {
  const { origin, host } = headers;
  if (origin === undefined) return headers['sec-fetch-site'] === 'same-origin';
  return ownOrigins.includes(origin) || origin === `http://${host}` || origin === `https://${host}`;
}

function bearer(header: string | undefined): string | undefined {
  return header !== undefined && /^bearer /i.test(header) ? header.slice(7).trim() : undefined;
}

export function readCookie(header: string | undefined, name: string): string | undefined {
  for (const part of header?.split(';') ?? []) {
    const [key, value] = part.trim().split('=', 2);
    if (key === name) return value;
  }
  return undefined;
}
