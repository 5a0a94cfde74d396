// What all routes of this gateway share.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyReply as Reply,
  FastifyRequest as Request,
  RouteShorthandOptions,
} from 'fastify';

/** What the HTTP gateway lets other doors add their routes to. */
export type App = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>;

export const PREFIX = '/v3/directline';

/** For every route: who may call is judged by the route itself, because tokens are none of the API's keys. */
export const OPEN: RouteShorthandOptions = { config: { access: 'open' }, schema: { hide: true } };

/** `https://host` as the client sees us. */
export function baseOf({ publicUrl }: { readonly publicUrl: string | undefined }, request: Request): string {
  return publicUrl ?? `${request.protocol}://${request.headers.host}`;
}

export type { Reply, Request };
