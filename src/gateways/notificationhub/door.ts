// The REST door of Azure Notification Hubs: an unmodified client registers devices and sends. Paths are
// /{hub}/installations/{id}, /{hub}/registrations..., /{hub}/messages..., /{hub}/schedulednotifications/..., /{hub}/jobs,
// /{hub}/feedbackcontainer, and for administration /{hub} and /$Resources/NotificationHubs; whatever their case, with or
// without a slash at the end. Source: the SDKs and their recorded answers.

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, FastifyReply as Reply, FastifyRequest as Request } from 'fastify';
import { decodeUtf8 } from '../../events/json.ts';
import type { HubAdmin } from '../../hub/hub-admin.ts';
import type { PushDeps } from '../../hub/push.ts';
import { findHubAccess, type HubAccess, type HubRight, type HubRule, type HubSettings } from '../../hub/rules.ts';
import type { Emit } from '../../kit/signals.ts';
import { DoorError, errorXml, newTrackingId, statusOf } from './answers.ts';
import { authorizeSas } from './authority.ts';
import { feedbackOperations } from './feedback.ts';
import { answerFile } from './files.ts';
import { hubOperations } from './hubs.ts';
import { installationOperations } from './installations.ts';
import { jobOperations } from './jobs.ts';
import { sendOperations } from './messages.ts';
import { mostBodyBytes } from './read-send.ts';
import { registrationOperations } from './registrations.ts';

/** What the HTTP gateway lets other doors add their routes to. */
type App = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>;

export type HubDoorSignal = { readonly name: 'hub.failed'; readonly error: unknown };

export type HubDoorDeps = PushDeps & {
  /** Of all hubs; a hub's own win. */
  readonly defaultRules: readonly HubRule[];
  /** After a send was enqueued. */
  readonly wake: () => void;
  /** After a job was submitted. */
  readonly wakeJobs: () => void;
  readonly admin: HubAdmin;
  readonly emit: Emit<HubDoorSignal>;
};

/** One request, taken apart. */
export type Call = {
  readonly hub: string;
  readonly settings: HubSettings;
  /** What comes after the kind of thing, decoded; empty if nothing does. */
  readonly rest: string;
  /** Names in lower case; a flag without a value is ''. */
  readonly query: ReadonlyMap<string, string>;
  readonly headers: Request['headers'];
  readonly body: string;
  /** `https://host:port` as the client reached us. */
  readonly origin: string;
};

export type Answer = {
  readonly status: number;
  readonly body?: string;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
};

/**
 * `kind` is the segment after the hub, in lower case, empty for the hub itself; `rest` says whether something follows.
 * `ofNamespace`: the rules of a hub are not enough, and the hub need not be there. `signature`: the operation itself checks
 * the one in the address.
 */
export type Operation = {
  readonly method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  readonly kind: string;
  readonly rest: 'none' | 'some';
  readonly right: HubRight | 'signature' | ((call: Pick<Call, 'query'>) => HubRight);
  readonly ofNamespace?: boolean;
  run(deps: HubDoorDeps, call: Call): Promise<Answer>;
};

const operations: readonly Operation[] = [
  ...installationOperations,
  ...registrationOperations,
  ...sendOperations,
  ...jobOperations,
  ...feedbackOperations,
  ...hubOperations,
];
const kinds = [...new Set(operations.map(({ kind }) => kind))].filter((kind) => /^[a-z]+$/.test(kind));
const methods = ['GET', 'PUT', 'POST', 'PATCH', 'DELETE'] as const;
const options = { config: { access: 'open' as const }, schema: { hide: true } };
const xmlType = 'application/xml; charset=utf-8';

/** For `HttpDeps.gateways`. */
export function notificationHubDoor(deps: HubDoorDeps): (app: App) => void {
  return (app) => {
    // A path of another shape could be anybody's: it is the door's when it comes with a signature.
    app.addConstraintStrategy({
      name: 'signed',
      storage: constraintStore,
      deriveConstraint: ({ headers }) =>
        /^SharedAccessSignature /.test(headers.authorization ?? '') ? 'yes' : undefined,
    });
    app.setErrorHandler((error, request, reply) => answerError(deps, error, request, reply));
    void app.register(async (own) => operationRoutes(own as App, deps)); // the same type
    void app.register(async (own) => fileRoutes(own as App, deps));
  };
}

function operationRoutes(app: App, deps: HubDoorDeps): void {
  app.removeAllContentTypeParsers();
  const bodyLimit = mostBodyBytes(deps.admin.sendLimits);
  app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit }, (_request, body, done) => done(null, body));
  const handler = (request: Request, reply: Reply) => serve(deps, request, reply);
  for (const url of [`/:hub/${anyCase(kinds)}`, `/:hub/${anyCase(kinds)}/*`])
    app.route({ method: [...methods], url, ...options, handler });
  for (const url of ['/:hub', '/:hub/', '/*'])
    app.route({ method: [...methods], url, ...options, constraints: { signed: 'yes' }, handler });
}

/** A parameter of the path that is one of these words. The router itself tells cases apart, and clients write both. */
function anyCase(words: readonly string[]): string {
  const letters = (word: string) => [...word].map((letter) => `[${letter}${letter.toUpperCase()}]`).join('');
  return `:kind(^(?:${words.map(letters).join('|')})$)`;
}

function fileRoutes(app: App, deps: HubDoorDeps): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  app.route({
    method: ['GET', 'PUT', 'DELETE'],
    url: '/:hub/files/*',
    ...options,
    handler: async (request, reply) => {
      const [name, , ...path] = segmentsOf(request);
      const access = await admit(deps, request, name!, { right: 'Manage' });
      const { method, body } = request;
      const hub = access?.hub ?? name!;
      return send(request, reply, await answerFile(deps, { method, hub, path: path.join('/'), body }));
    },
  });
}

async function serve(deps: HubDoorDeps, request: Request, reply: Reply): Promise<Reply> {
  const [first = '', second = '', ...others] = segmentsOf(request);
  // The list of hubs begins with its kind, everything else with a hub.
  const [name, kind, rest] = first.toLowerCase() === '$resources' ? ['', first, [second]] : [first, second, others];
  const same = (each: Operation) => each.kind === kind.toLowerCase() && (each.rest === 'some') === rest.length > 0;
  const operation = operations.find((each) => each.method === request.method && same(each));
  if (operation === undefined) {
    const known = operations.some(same);
    throw new DoorError(
      known ? 405 : 404,
      known ? 'The method is not possible here.' : 'There is nothing at this path.',
    );
  }
  const query = queryOf(request);
  const right = typeof operation.right === 'function' ? operation.right({ query }) : operation.right;
  const access = await admit(deps, request, name, { ...operation, right });
  const call: Call = {
    hub: access?.hub ?? name,
    settings: access?.settings ?? {},
    rest: rest.join('/'),
    query,
    headers: request.headers,
    body: Buffer.isBuffer(request.body) ? decodeUtf8(request.body) : '',
    origin: `https://${request.headers.host}`,
  };
  return send(request, reply, await operation.run(deps, call));
}

/** Throws DoorError 401, 403 or, for a hub that is not there, 404. */
async function admit(
  deps: HubDoorDeps,
  request: Request,
  hub: string,
  { right, ofNamespace = false }: { readonly right: HubRight | 'signature'; readonly ofNamespace?: boolean },
): Promise<HubAccess | undefined> {
  const access = ofNamespace ? undefined : await findHubAccess(deps.database, deps.admin.key, hub);
  const rules = { own: access?.rules ?? [], defaults: deps.defaultRules };
  const path = decode(urlOf(request).pathname);
  if (right !== 'signature') authorizeSas(rules, request.headers.authorization, path, right, deps.now());
  if (access === undefined && !ofNamespace) throw new DoorError(404, `There is no hub "${hub}".`);
  return access;
}

function urlOf(request: Request): URL {
  return new URL(request.url, 'https://any');
}

function queryOf(request: Request): ReadonlyMap<string, string> {
  return new Map([...urlOf(request).searchParams].map(([name, value]) => [name.toLowerCase(), withoutZero(value)]));
}

function segmentsOf(request: Request): string[] {
  return urlOf(request).pathname.replace(/\/+$/, '').split('/').slice(1).map(decode);
}

/** What the router looks its constraints up in. */
function constraintStore() {
  const kept = new Map<unknown, unknown>();
  return {
    get: (key: unknown) => (kept.get(key) as never) ?? null, // whatever was put in
    set: (key: unknown, value: unknown) => void kept.set(key, value),
  };
}

type Streamed = Answer & { readonly stream?: AsyncIterable<Buffer> };

function send(request: Request, reply: Reply, answer: Streamed): Reply {
  const { status, body = '', type = xmlType, headers = {}, stream } = answer;
  const trackingId = trackingIdOf(request);
  const all = {
    TrackingId: trackingId,
    'x-ms-correlation-request-id': trackingId,
    'Strict-Transport-Security': 'max-age=2592000',
    ...headers,
  };
  reply.code(status).headers(all).header('content-type', type);
  return stream === undefined ? reply.serializer(String).send(body) : reply.send(Readable.from(stream));
}

function answerError(deps: HubDoorDeps, error: unknown, request: Request, reply: Reply): Reply {
  const status = statusOf(error);
  if (status === undefined) deps.emit({ name: 'hub.failed', error });
  // Node warns of it in HTTP/2, where nothing has to be closed.
  if (request.raw.httpVersionMajor === 2) reply.removeHeader('connection');
  const detail = status === undefined ? 'The server failed at this; its log says why' : (error as Error).message;
  return send(request, reply, {
    status: status ?? 500,
    body: errorXml(status ?? 500, detail.replace(/\.$/, ''), trackingIdOf(request)),
    // Without it the JavaScript client does not repeat a request that was one too many.
    ...(status === 429 || status === 503 ? { headers: { 'retry-after': '1' } } : {}),
  });
}

/** .NET and Java report their own. */
function trackingIdOf({ headers }: Request): string {
  const given = headers.trackingid;
  return typeof given === 'string' && /^[\w-]{1,64}$/.test(given) ? given : newTrackingId();
}

function decode(text: string): string {
  try {
    return withoutZero(decodeURIComponent(text));
  } catch (error) {
    if (error instanceof DoorError) throw error;
    throw new DoorError(400, 'The path is not percent-encoded as it should be.');
  }
}

/** No name has one, and PostgreSQL takes none. */
function withoutZero(text: string): string {
  if (text.includes('\0')) throw new DoorError(400, 'The address of the request holds a zero character.');
  return text;
}
