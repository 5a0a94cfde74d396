// The REST door of Azure Notification Hubs: an unmodified client registers devices and sends. Paths are
// /{hub}/installations/{id}, /{hub}/registrations..., /{hub}/messages..., /{hub}/schedulednotifications/...; whatever their
// case, with or without a slash at the end. Source: the SDKs and their recorded answers.

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, FastifyReply as Reply, FastifyRequest as Request } from 'fastify';
import { checkHub } from '../../hub/devices.ts';
import type { PushDeps } from '../../hub/push.ts';
import type { Emit } from '../../kit/signals.ts';
import { DoorError, errorXml, newTrackingId, statusOf } from './answers.ts';
import { authorizeSas, type HubRight, type HubRule } from './authority.ts';
import { installationOperations } from './installations.ts';
import { sendOperations } from './messages.ts';
import { mostBodyBytes } from './read-send.ts';
import { registrationOperations } from './registrations.ts';

/** What the HTTP gateway lets other doors add their routes to. */
type App = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>;

export type HubDoorSignal = { readonly name: 'hub.failed'; readonly error: unknown };

export type HubDoorDeps = PushDeps & {
  readonly rules: () => readonly HubRule[];
  /** After a send was enqueued. */
  readonly wake: () => void;
  readonly emit: Emit<HubDoorSignal>;
};

/** One request, taken apart. */
export type Call = {
  readonly hub: string;
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

/** `kind` is the segment after the hub, in lower case; `rest` says whether something must, may or must not follow. */
export type Operation = {
  readonly method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  readonly kind: string;
  readonly rest: 'none' | 'some';
  readonly right: HubRight;
  run(deps: HubDoorDeps, call: Call): Promise<Answer>;
};

const operations: readonly Operation[] = [...installationOperations, ...registrationOperations, ...sendOperations];
// The router tells cases apart; these are the spellings of the SDKs.
const spellings = [
  'installations',
  'registrations',
  'registrationIDs',
  'registrationids',
  'messages',
  'schedulednotifications',
  'scheduledNotifications',
  'tags',
];
const xmlType = 'application/xml; charset=utf-8';

/** For `HttpDeps.gateways`. */
export function notificationHubDoor(deps: HubDoorDeps): (app: App) => void {
  return (app) => {
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: mostBodyBytes }, (_request, body, done) =>
      done(null, body),
    );
    app.setErrorHandler((error, request, reply) => answerError(deps, error, request, reply));
    const options = { config: { access: 'open' as const }, schema: { hide: true } };
    const answer = (request: Request, reply: Reply) => serve(deps, request, reply);
    for (const spelling of spellings)
      for (const url of [`/:hub/${spelling}`, `/:hub/${spelling}/*`])
        app.route({ method: ['GET', 'PUT', 'POST', 'PATCH', 'DELETE'], url, ...options, handler: answer });
  };
}

async function serve(deps: HubDoorDeps, request: Request, reply: Reply): Promise<Reply> {
  const url = new URL(request.url, 'https://any');
  const [, hub, kind, ...rest] = url.pathname.replace(/\/+$/, '').split('/').map(decode);
  const same = (each: Operation) => each.kind === kind!.toLowerCase() && (each.rest === 'some') === rest.length > 0;
  const operation = operations.find((each) => each.method === request.method && same(each));
  if (operation === undefined) {
    const known = operations.some(same);
    throw new DoorError(
      known ? 405 : 404,
      known ? 'The method is not possible here.' : 'There is nothing at this path.',
    );
  }
  authorizeSas(deps.rules(), request.headers.authorization, decode(url.pathname), operation.right, deps.now());
  await checkHub(deps.database, hub!);
  const call: Call = {
    hub: hub!,
    rest: rest.join('/'),
    query: new Map([...url.searchParams].map(([name, value]) => [name.toLowerCase(), value])),
    headers: request.headers,
    body: Buffer.isBuffer(request.body) ? request.body.toString('utf8') : '',
    origin: `https://${request.headers.host}`,
  };
  return send(request, reply, await operation.run(deps, call));
}

function send(request: Request, reply: Reply, { status, body = '', type = xmlType, headers = {} }: Answer): Reply {
  const trackingId = trackingIdOf(request);
  const all = { TrackingId: trackingId, 'x-ms-correlation-request-id': trackingId, ...headers };
  return reply.code(status).headers(all).header('content-type', type).serializer(String).send(body);
}

function answerError(deps: HubDoorDeps, error: unknown, request: Request, reply: Reply): Reply {
  const status = statusOf(error);
  if (status === undefined) deps.emit({ name: 'hub.failed', error });
  const detail = status === undefined ? 'The server failed at this; its log says why' : (error as Error).message;
  return send(request, reply, {
    status: status ?? 500,
    body: errorXml(status ?? 500, detail.replace(/\.$/, ''), trackingIdOf(request)),
  });
}

/** .NET and Java report their own. */
function trackingIdOf({ headers }: Request): string {
  const given = headers.trackingid;
  return typeof given === 'string' && /^[\w-]{1,64}$/.test(given) ? given : newTrackingId();
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new DoorError(400, 'The path is not percent-encoded as it should be.');
  }
}
