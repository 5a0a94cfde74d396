// OpenAPI 3.1 at /v1/openapi.json, generated from the schemas that validate, and its human page at /docs.
import swagger from '@fastify/swagger';
import type { TSchema } from 'typebox';
import type { App } from './app.ts';
import { pageHeaders } from './browser.ts';
import { type Document, docsPage, docsStyle } from './docs-page.ts';
import { problemResponse } from './schemas.ts';

const tags = [
  { name: 'events', description: 'Publish events; read the log of a topic.' },
  { name: 'topics', description: 'Topics, queues, subscriptions and their rules.' },
  { name: 'messages', description: 'Send, receive and settle messages as a consumer program.' },
  { name: 'people', description: 'Recipients and what they want.' },
  { name: 'inbox', description: 'What a recipient sees in the browser.' },
  { name: 'devices', description: 'Phones, desktops and browsers that are pushed to, and the hubs that hold them.' },
  { name: 'trace', description: 'Why somebody did or did not get something.' },
  { name: 'deliveries', description: 'What could not be delivered.' },
  { name: 'access', description: 'Keys and sign-in.' },
  { name: 'system', description: 'Figures and definitions for the dashboard.' },
  { name: 'health', description: 'For orchestrators and Prometheus.' },
];

declare module 'fastify' {
  interface FastifyContextConfig {
    /** For routes that take bytes and check them themselves: what the document says of the body. */
    describedBody?: { readonly content: Readonly<Record<string, { readonly schema: TSchema }>> };
  }
}

/** Call before the routes are added. */
export async function describeRoutes(app: App, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Carillon',
        version,
        description:
          'The broker that knows people. Errors are `application/problem+json`; branch on `code`. Lists have opaque cursors: `next` of one page is `cursor` of the following one.',
      },
      servers: [{ url: '/' }],
      tags,
      security: [{ key: [] }, { session: [] }],
      components: {
        securitySchemes: {
          key: { type: 'http', scheme: 'bearer', description: 'A key, as `Authorization: Bearer <key>`.' },
          session: { type: 'apiKey', in: 'cookie', name: 'carillon_session', description: 'Set by a sign-in link.' },
        },
      },
    },
    refResolver: { buildLocalReference: (json, _base, _fragment, i) => String(json.$id ?? `def-${i}`) },
    transform: ({ schema, url, route }) => {
      const open = route.config?.access === 'open' ? { security: [] } : {};
      const body = schema?.body ?? route.config?.describedBody;
      const bodyProblems = body === undefined ? {} : { 413: problemResponse(413), 415: problemResponse(415) };
      return {
        schema: {
          ...schema,
          ...open,
          ...(body === undefined ? {} : { body }),
          response: { ...(schema?.response as object), ...bodyProblems },
        },
        url,
      };
    },
  });
}

/** Call after the routes are added. */
export function serveDescription(app: App): void {
  const config = { access: 'open' as const };
  let json: string | undefined;
  let page: string | undefined;
  // The routes do not change while the server runs, so each is made once, at its first request.
  const document = () => app.swagger() as unknown as Document; // the generated document, of whose fields we read a few
  app.get('/v1/openapi.json', { config, schema: { hide: true } }, (_request, reply) => {
    json ??= JSON.stringify(document());
    return reply.header('content-type', 'application/json; charset=utf-8').serializer(String).send(json);
  });
  app.get('/docs', { config, schema: { hide: true } }, (_request, reply) => {
    page ??= docsPage(document());
    return reply.headers(pageHeaders).header('content-type', 'text/html; charset=utf-8').send(page);
  });
  app.get('/docs/style.css', { config, schema: { hide: true } }, (_request, reply) =>
    reply.header('content-type', 'text/css; charset=utf-8').header('cache-control', 'no-cache').send(docsStyle),
  );
}
