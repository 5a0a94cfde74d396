// The HTTP gateway: decode, call a room, encode. Routes live in routes/, one file for each noun.
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Access } from '../../access/access.ts';
import { channelNames } from '../../deliveries/channel.ts';
import type { Signals } from '../../kit/signals.ts';
import type { Broker } from '../../topics/broker.ts';
import { type App, createApp } from './app.ts';
import { tellBrowsers } from './browser.ts';
import { EventStreams } from './event-stream.ts';
import { guardRoutes } from './identity.ts';
import { describeRoutes, serveDescription } from './openapi.ts';
import { servePages } from './pages.ts';
import { type AnswerLinkDeps, answerLinkRoutes } from './routes/answer-links.ts';
import { type AnswerDeps, answerRoutes } from './routes/answers.ts';
import { type ConversationDeps, conversationRoutes } from './routes/conversations.ts';
import { type DefinitionDeps, definitionRoutes } from './routes/definitions.ts';
import { type DeliveryDeps, deliveryRoutes } from './routes/deliveries.ts';
import { deviceRoutes } from './routes/devices.ts';
import { type EventDeps, eventRoutes } from './routes/events.ts';
import { type HealthDeps, healthRoutes } from './routes/health.ts';
import { hubChannelRoutes } from './routes/hub-channels.ts';
import { hubJobRoutes } from './routes/hub-jobs.ts';
import { type HubDeps, hubRoutes } from './routes/hubs.ts';
import { type InboxDeps, inboxRoutes } from './routes/inbox.ts';
import { keyRoutes } from './routes/keys.ts';
import { logRoutes } from './routes/log.ts';
import { type NoticeDeps, noticeRoutes } from './routes/notices.ts';
import { placeRoutes } from './routes/places.ts';
import { pushRoutes } from './routes/pushes.ts';
import { type QuestionDeps, questionRoutes } from './routes/questions.ts';
import { queueRoutes } from './routes/queues.ts';
import { receiveRoutes } from './routes/receive.ts';
import { recipientRoutes } from './routes/recipients.ts';
import { sendRoutes } from './routes/send.ts';
import { sessionRoutes } from './routes/sessions.ts';
import { signInRoutes } from './routes/sign-in.ts';
import { statsRoutes } from './routes/stats.ts';
import { subscriptionRoutes } from './routes/subscriptions.ts';
import { topicRoutes } from './routes/topics.ts';
import { traceRoutes } from './routes/trace.ts';
import { type UnsubscribeDeps, unsubscribeRoutes } from './routes/unsubscribe.ts';
import { upkeepRoutes } from './routes/upkeep.ts';
import { ProblemSchema } from './schemas.ts';
import { SecureServer } from './secure-server.ts';
import { SessionHolders } from './session-holders.ts';
import { Stats } from './stats.ts';

export type HttpDeps = EventDeps &
  HealthDeps &
  InboxDeps &
  AnswerDeps &
  AnswerLinkDeps &
  QuestionDeps &
  NoticeDeps &
  ConversationDeps &
  DeliveryDeps &
  DefinitionDeps &
  UnsubscribeDeps &
  HubDeps & {
    readonly broker: Broker;
    readonly access: Access;
    /** Emits `HttpSignal`s; listens for the figures of the dashboard. */
    readonly signals: Signals;
    /** Other gateways that speak HTTP and share the port; their routes say who may call them, as ours do. */
    readonly gateways?: readonly ((app: App) => void)[] | undefined;
  };

export type HttpSettings = {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly version: string;
  /** Where people reach this server, if not under the address that it listens on; no slash at the end. */
  readonly publicUrl?: string | undefined;
  /** Origins of pages that may call the API with a key; `*` for all. */
  readonly corsOrigins?: readonly string[] | undefined;
  /** Serves the same over TLS on a port of its own. PEM. */
  readonly tls?: { readonly port: number; readonly key: string; readonly cert: string } | undefined;
  /** The build of the pages. */
  readonly webFolder?: string | undefined;
  /** How long a stop waits for requests that are under way, in milliseconds. */
  readonly stopWithinMs?: number | undefined;
  readonly pingEveryMs?: number | undefined;
};

export class HttpServer {
  readonly #app: App;
  readonly #stopWithinMs: number;
  #stopping: Promise<void> | undefined;
  #tls: SecureServer | undefined;
  #url = '';
  #port = 0;

  private constructor(app: App, stopWithinMs: number) {
    this.#app = app;
    this.#stopWithinMs = stopWithinMs;
  }

  /** Listens when it returns. A taken port is thrown as Node's error (`EADDRINUSE`). */
  static async start(deps: HttpDeps, settings: HttpSettings): Promise<HttpServer> {
    const app = createApp({ emit: deps.signals.emit });
    const server = new HttpServer(app, settings.stopWithinMs ?? 10_000);
    const streams = new EventStreams(app, settings.pingEveryMs);
    app.addSchema(ProblemSchema);
    tellBrowsers(app, settings.corsOrigins ?? []);
    guardRoutes(app, deps.access, settings.publicUrl === undefined ? [] : [new URL(settings.publicUrl).origin]);
    await describeRoutes(app, settings.version);
    addRoutes(app, { ...deps, publicUrl: () => server.url, tlsPort: () => server.tlsPort }, streams);
    serveDescription(app);
    if (settings.webFolder !== undefined) await servePages(app, settings.webFolder);
    for (const gateway of deps.gateways ?? []) await app.register(async (own) => gateway(own as App)); // the same type
    try {
      await server.#listen(settings);
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** Where people reach it. */
  get url(): string {
    return this.#url;
  }

  get port(): number {
    return this.#port;
  }

  /** Undefined where there is no TLS. */
  get tlsPort(): number | undefined {
    return this.#tls?.port;
  }

  /** Takes no more requests, ends open streams, waits a while for what is under way, and then ends that too. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    const cut = setTimeout(() => {
      this.#app.server.closeAllConnections();
      this.#tls?.cut();
    }, this.#stopWithinMs);
    await Promise.all([this.#tls?.close(), this.#app.close()]);
    clearTimeout(cut);
  }

  async #listen({ host, port, publicUrl, tls }: HttpSettings): Promise<void> {
    await this.#app.listen({ host, port });
    this.#port = portOf(this.#app.server);
    this.#url = publicUrl?.replace(/\/+$/, '') ?? `http://${reachable(host)}:${this.#port}`;
    if (!tls) return;
    this.#tls = await SecureServer.start({ ...tls, host }, this.#app.routing);
    // Whoever takes WebSockets listens at the one server, and means both.
    this.#tls.server.on('upgrade', (...upgrade) => this.#app.server.emit('upgrade', ...upgrade));
  }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port; // it listens on TCP
}

function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

function addRoutes(
  app: App,
  deps: HttpDeps & { readonly publicUrl: () => string; readonly tlsPort: () => number | undefined },
  streams: EventStreams,
): void {
  const stats = new Stats({ ...deps, channels: channelNames, openStreams: () => streams.size });
  const unlisten = deps.signals.listen(stats.listener);
  app.addHook('onClose', async () => void unlisten());
  eventRoutes(app, deps);
  logRoutes(app, deps);
  topicRoutes(app, deps);
  subscriptionRoutes(app, deps, streams);
  queueRoutes(app, deps);
  sendRoutes(app, deps);
  const held = { ...deps, sessions: new SessionHolders() };
  receiveRoutes(app, held);
  sessionRoutes(app, held);
  upkeepRoutes(app, deps, streams);
  definitionRoutes(app, deps);
  statsRoutes(app, stats, streams);
  recipientRoutes(app, deps);
  placeRoutes(app, deps);
  conversationRoutes(app, deps);
  inboxRoutes(app, deps, streams);
  noticeRoutes(app, deps);
  answerRoutes(app, deps);
  answerLinkRoutes(app, deps);
  questionRoutes(app, deps);
  deviceRoutes(app, deps);
  hubRoutes(app, deps);
  pushRoutes(app, deps);
  hubJobRoutes(app, deps);
  hubChannelRoutes(app, deps);
  traceRoutes(app, deps);
  deliveryRoutes(app, deps);
  keyRoutes(app, deps);
  signInRoutes(app, deps);
  unsubscribeRoutes(app, deps);
  healthRoutes(app, deps);
}
