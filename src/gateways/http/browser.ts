// What browsers need to hear: security headers on everything, a strict policy for pages, and which other origins may
// call the API. Other origins call with a key, never with our cookie: no `access-control-allow-credentials`.
import type { App } from './app.ts';

/** The hash is that of an empty style tag: the pages' component library makes empty tags and fills them by script. */
export const PAGE_POLICY = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
  "img-src 'self' data: blob: https:",
  "connect-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

const EXPOSED = 'x-request-id, retry-after, etag, allow';
const ALLOWED_HEADERS =
  'authorization, content-type, idempotency-key, last-event-id, x-request-id, if-match, if-none-match';

export function tellBrowsers(app: App, corsOrigins: readonly string[]): void {
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-content-type-options', 'nosniff');
    reply.header('x-request-id', request.id);
    const { origin } = request.headers;
    if (origin === undefined || corsOrigins.length === 0) return done();
    const any = corsOrigins.includes('*');
    reply.header('vary', 'origin');
    if (!any && !corsOrigins.includes(origin)) return done();
    reply.header('access-control-allow-origin', any ? '*' : origin).header('access-control-expose-headers', EXPOSED);
    const wanted = request.headers['access-control-request-method'];
    if (request.method !== 'OPTIONS' || wanted === undefined) return done();
    reply
      .header('access-control-allow-methods', 'GET, POST, PUT, PATCH, DELETE')
      .header('access-control-allow-headers', allowedHeaders(request.headers['access-control-request-headers']))
      .header('access-control-max-age', '7200')
      .code(204)
      .send();
  });
}

/** Besides the fixed ones, the `ce-` headers of events, whose extensions have names of the sender's choice. */
function allowedHeaders(wanted: string | undefined): string {
  const ce = (wanted ?? '').split(',').map((name) => name.trim().toLowerCase());
  return [ALLOWED_HEADERS, ...ce.filter((name) => /^ce-[a-z0-9]{1,64}$/.test(name)).slice(0, 64)].join(', ');
}

/** For every answer that is a page. */
export const pageHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': PAGE_POLICY,
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=()',
};
