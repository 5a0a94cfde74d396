// Fastify, set up once: limits, ids, errors, access. A route that does not declare who may call it does not start.
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type RouteOptions,
} from 'fastify';
import type { TSchema } from 'typebox';
import { checkDepth, decodeUtf8 } from '../../events/json.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { Emit } from '../../kit/signals.ts';
import { bugRefusal, rawProblem, toProblem, toRefusal } from './problem.ts';
import { compileValidator } from './validate.ts';

export type App = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>;

export type HttpSignal =
  | {
      readonly name: 'http.answered';
      readonly method: string;
      /** The route's pattern, never the address itself: bounded as a metric label, and free of ids. */
      readonly route: string;
      readonly status: number;
      readonly tookMs: number;
      readonly requestId: string;
    }
  | { readonly name: 'http.failed'; readonly route: string; readonly requestId: string; readonly error: unknown };

export type AppOptions = {
  readonly emit: Emit<HttpSignal>;
  /** Bodies of ordinary JSON requests, in bytes. Routes that take events have their own limit. */
  readonly bodyLimit?: number;
};

/** Longer than the idle time of common load balancers, which must be the first to close. */
export const KEEP_ALIVE_MS = 65_000;

const DEFAULT_BODY_LIMIT = 256 * 1024;
const MAX_JSON_DEPTH = 32;
const REQUEST_ID = /^[\w.:-]{1,128}$/;

export function createApp({ emit, bodyLimit = DEFAULT_BODY_LIMIT }: AppOptions): App {
  const app: App = Fastify({
    bodyLimit,
    routerOptions: { maxParamLength: 600 },
    genReqId: requestId,
    requestTimeout: 60_000,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    clientErrorHandler: answerBrokenClient,
    frameworkErrors: (error, request, reply) => answerError(emit, error, request, reply as FastifyReply),
  }).withTypeProvider<TypeBoxTypeProvider>();
  // The schemas are TypeBox's, which Fastify types as any.
  app.setValidatorCompiler(({ schema, httpPart }) => compileValidator(schema as TSchema, httpPart ?? 'body'));
  app.setSerializerCompiler(() => JSON.stringify);
  app.setErrorHandler((error, request, reply) => answerError(emit, error, request, reply));
  acceptJsonOnly(app);
  refuseUnknownPaths(app);
  app.addHook('onResponse', (request, reply, done) => {
    emit({
      name: 'http.answered',
      method: request.method,
      route: request.routeOptions.url ?? '(none)',
      status: reply.statusCode,
      tookMs: reply.elapsedTime,
      requestId: request.id,
    });
    done();
  });
  return app;
}

function requestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

function answerError(emit: Emit<HttpSignal>, error: unknown, request: FastifyRequest, reply: FastifyReply) {
  const refusal = toRefusal(error);
  if (!refusal)
    emit({ name: 'http.failed', route: request.routeOptions?.url ?? '(none)', requestId: request.id, error });
  const problem = toProblem(refusal ?? bugRefusal(), request.id);
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer');
  if (problem.status === 503) reply.header('retry-after', '1');
  return reply
    .code(problem.status)
    .header('x-request-id', request.id)
    .header('content-type', 'application/problem+json; charset=utf-8')
    .serializer(JSON.stringify)
    .send(problem);
}

export function answerBrokenClient(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
  else socket.end(rawProblem(error));
}

function acceptJsonOnly(app: App): void {
  const parse = app.getDefaultJsonParser('error', 'ignore');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      const text = decodeUtf8(body as Buffer); // parseAs says so
      if (text.trim() === '') return done(null, undefined);
      checkDepth(text, MAX_JSON_DEPTH, 'The body');
      void parse(request, text, done); // it reports through done
    } catch (error) {
      done(error as Error);
    }
  });
}

/** Paths with a wrong method answer 405 and name the right ones; Fastify alone knows only 404. */
function refuseUnknownPaths(app: App): void {
  const known: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = [];
  app.addHook('onRoute', ({ url, method, constraints }) => {
    // A route with further conditions says nothing about who does not meet them.
    if (url.includes('(') || (constraints !== undefined && Object.keys(constraints).length > 0)) return;
    known.push({ pattern: patternOf(url), methods: [method].flat() });
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0]!;
    const methods = known.filter(({ pattern }) => pattern.test(path)).flatMap((route) => route.methods);
    if (methods.length === 0) throw new Refusal('not_found', 'There is nothing at this path.');
    const allowed = [...new Set(methods)].join(', ');
    reply.header('allow', allowed);
    throw new Refusal('method_not_allowed', `${request.method} is not possible here; ${allowed} is.`);
  });
}

function patternOf(url: string): RegExp {
  const escaped = url.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replace(/:[^/]+/g, '[^/]+').replace(/\*$/, '.*')}$`);
}

export type { FastifyReply as Reply, FastifyRequest as Request, RouteOptions };
