// The HTTP gateway: decode, call a room, encode. Routes live in routes/, one file for each noun.
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
import { type DefinitionDeps, definitionRoutes } from './routes/definitions.ts';
import { type DeliveryDeps, deliveryRoutes } from './routes/deliveries.ts';
import { type EventDeps, eventRoutes } from './routes/events.ts';
import { type HealthDeps, healthRoutes } from './routes/health.ts';
import { type InboxDeps, inboxRoutes } from './routes/inbox.ts';
import { keyRoutes } from './routes/keys.ts';
import { logRoutes } from './routes/log.ts';
import { recipientRoutes } from './routes/recipients.ts';
import { signInRoutes } from './routes/sign-in.ts';
import { statsRoutes } from './routes/stats.ts';
import { subscriptionRoutes } from './routes/subscriptions.ts';
import { topicRoutes } from './routes/topics.ts';
import { traceRoutes } from './routes/trace.ts';
import { ProblemSchema } from './schemas.ts';
import { Stats } from './stats.ts';

export type HttpDeps = EventDeps &
  HealthDeps &
  InboxDeps &
  DeliveryDeps &
  DefinitionDeps & {
    readonly broker: Broker;
    readonly access: Access;
    /** Emits `HttpSignal`s; listens for the figures of the dashboard. */
    readonly signals: Signals;
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
    addRoutes(app, { ...deps, publicUrl: () => server.url }, streams);
    serveDescription(app);
    if (settings.webFolder !== undefined) await servePages(app, settings.webFolder);
    await app.listen({ host: settings.host, port: settings.port });
    server.#listensAt(settings);
    return server;
  }

  /** Where people reach it. */
  get url(): string {
    return this.#url;
  }

  get port(): number {
    return this.#port;
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
    const cut = setTimeout(() => this.#app.server.closeAllConnections(), this.#stopWithinMs);
    await this.#app.close();
    clearTimeout(cut);
  }

  #listensAt({ host, publicUrl }: HttpSettings): void {
    const { port } = this.#app.server.address() as AddressInfo; // it listens on TCP
    const reachable =
      host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host;
    this.#port = port;
    this.#url = publicUrl?.replace(/\/+$/, '') ?? `http://${reachable}:${port}`;
  }
}

function addRoutes(app: App, deps: HttpDeps & { readonly publicUrl: () => string }, streams: EventStreams): void {
  const stats = new Stats({ ...deps, channels: channelNames, openStreams: () => streams.size });
  const unlisten = deps.signals.listen(stats.listener);
  app.addHook('onClose', async () => void unlisten());
  eventRoutes(app, deps);
  logRoutes(app, deps);
  topicRoutes(app, deps);
  subscriptionRoutes(app, deps);
  definitionRoutes(app, deps);
  statsRoutes(app, stats, streams);
  recipientRoutes(app, deps);
  inboxRoutes(app, deps, streams);
  traceRoutes(app, deps);
  deliveryRoutes(app, deps);
  keyRoutes(app, deps);
  signInRoutes(app, deps);
  healthRoutes(app, deps);
}
