// The door of conversations, on the HTTP server's port: Direct Line 3.0 for people's pages and phones under /v3/directline,
// the Bot Connector for agents under /v3/conversations, and the keys by which agents check us under /v3/auth/local.
// Sources: the Direct Line 3.0 and Bot Connector REST references, and what botframework-directlinejs 0.15, Web Chat 4.18,
// agents-hosting 1.8 and botbuilder 4.23 do.
import { setTimeout } from 'node:timers/promises';
import type { Access } from '../../access/access.ts';
import type { ExchangeDeps } from '../../assistant/agents/exchange.ts';
import type { SigningDeps } from '../../assistant/agents/signing.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { Emit } from '../../kit/signals.ts';
import { answerError, type DoorSignal } from './answers.ts';
import type { Broadcasts } from './broadcast.ts';
import { connectorRoutes } from './connector.ts';
import { conversationRoutes } from './conversations.ts';
import { Limiter } from './limits.ts';
import { allow, answerPreflight, type OriginSettings } from './origins.ts';
import { type App, OPEN, PREFIX, type Request } from './routing.ts';
import { type SocketSignal, Sockets } from './sockets.ts';
import { tokenRoutes } from './token-routes.ts';
import type { Tokens } from './tokens.ts';
import { uploadRoutes } from './upload-routes.ts';

export type DirectLineDeps = {
  readonly access: Access;
  readonly exchange: ExchangeDeps;
  readonly signing: SigningDeps;
  readonly tokens: Tokens;
  readonly origins: OriginSettings;
  /** Where people reach this server, if that is set; else clients are answered with the host that they called. */
  readonly publicUrl: string | undefined;
  /** What a service says by `BroadcastEvent`; without it nothing takes them. */
  readonly broadcasts?: Broadcasts | undefined;
  readonly emit: Emit<DoorSignal | SocketSignal>;
  readonly limits: {
    /** What a person may say in a minute. */
    readonly postsPerMinute: number;
    readonly maxUploadBytes: number;
    /** All files of one conversation. */
    readonly maxConversationBytes: number;
  };
};

export type Door = DirectLineDeps & {
  readonly sockets: Sockets;
  readonly posts: Limiter;
  readonly starts: Limiter;
  /** Under way beside the answers; the end waits for them, but not long. */
  readonly hellos: Set<Promise<void>>;
};

/** An agent may take longer for a greeting than a stop can wait. */
const HELLOS_END_WITHIN_MS = 2_000;

/** What is no route of ours is answered in our form as well. */
function answerUnknown(app: App): void {
  const method = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
  for (const url of [`${PREFIX}/*`, '/v3/conversations/*', '/v3/attachments/*']) {
    const handler = (request: Request) => {
      throw new Refusal('not_found', `${request.method} is not possible at this path.`);
    };
    app.route({ method, url, ...OPEN, handler });
  }
}

/** For `HttpDeps.gateways`. */
export function directLineDoor(deps: DirectLineDeps): (app: App) => void {
  return (app) => {
    const door: Door = {
      ...deps,
      sockets: new Sockets(deps),
      posts: new Limiter('messages', { ratePerSecond: deps.limits.postsPerMinute / 60, burst: 30 }),
      starts: new Limiter('starts of a conversation', { ratePerSecond: 0.5, burst: 20 }),
      hellos: new Set(),
    };
    app.setErrorHandler((error, request, reply) => answerError(deps.emit, error, request, reply));
    app.addHook('onRequest', async (request, reply) => {
      if (request.url.startsWith(PREFIX)) allow(request, reply);
    });
    app.options(`${PREFIX}/*`, OPEN, answerPreflight);
    tokenRoutes(app, door);
    conversationRoutes(app, door);
    uploadRoutes(app, door);
    connectorRoutes(app, door);
    answerUnknown(app);
    app.server.on('upgrade', (request, socket, head) => door.sockets.upgrade(request, socket, head));
    app.addHook('preClose', async () => door.sockets.stop());
    app.addHook('onClose', async () => {
      const enough = new AbortController();
      const late = setTimeout(HELLOS_END_WITHIN_MS, undefined, { signal: enough.signal }).catch(() => {}); // aborted
      await Promise.race([Promise.all(door.hellos), late]);
      enough.abort();
    });
  };
}
