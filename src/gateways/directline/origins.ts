// Which pages may talk to us. Web Chat is served from elsewhere, so every answer says whether that page may read it. No
// cookie is taken across origins, so a token is what lets a page in; trusted origins narrow that down: those of the
// token first, else those of the configuration, else any. A key (a secret) is not for pages: it needs an origin that
// may call the API with one.
import { Refusal } from '../../kit/refusal.ts';
import type { Reply, Request } from './routing.ts';

export type OriginSettings = {
  /** For tokens that name none; empty: any page that has a token. */
  readonly trusted: readonly string[];
  /** Pages that may send a key. */
  readonly keyOrigins: readonly string[];
};

const ALLOWED_HEADERS = 'authorization, content-type, x-ms-bot-agent, x-requested-with, x-request-id';

/** Answers what browsers ask beforehand. Then nobody knows the token yet, so any origin is told what is possible. */
export function answerPreflight(request: Request, reply: Reply): Reply {
  return allow(request, reply)
    .header('access-control-allow-methods', 'GET, POST, OPTIONS')
    .header('access-control-allow-headers', ALLOWED_HEADERS)
    .header('access-control-max-age', '7200')
    .code(204)
    .send();
}

/** For the answer to an admitted request, and for errors, which say nothing that a stranger may not know. */
export function allow(request: Request, reply: Reply): Reply {
  const { origin } = request.headers;
  if (origin === undefined) return reply;
  return reply
    .header('vary', 'origin')
    .header('access-control-allow-origin', origin)
    .header('access-control-expose-headers', 'retry-after, x-request-id');
}

/** Refuses (`origin_refused`) a page that may not use this token. */
export function checkOrigin(
  settings: OriginSettings,
  given: { readonly origin: string | undefined; readonly host: string | undefined },
  tokenOrigins: readonly string[] | undefined,
): void {
  const trusted = tokenOrigins ?? settings.trusted;
  if (given.origin === undefined || isOwn(given) || trusted.length === 0 || isListed(trusted, given.origin)) return;
  throw new Refusal('origin_refused', `Pages of ${given.origin} may not use this conversation.`);
}

/** Refuses (`origin_refused`) a key that comes from a page. */
export function checkKeyOrigin({ keyOrigins }: OriginSettings, { headers }: Request): void {
  const { origin, host } = headers;
  if (origin === undefined || isOwn({ origin, host }) || isListed(keyOrigins, origin)) return;
  throw new Refusal('origin_refused', 'A key is not for web pages: whoever reads the page has it. Send a token.');
}

function isListed(origins: readonly string[], origin: string): boolean {
  return origins.includes('*') || origins.includes(origin);
}

function isOwn({ origin, host }: { readonly origin: string | undefined; readonly host: string | undefined }): boolean {
  return origin === `http://${host}` || origin === `https://${host}`;
}
