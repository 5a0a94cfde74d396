// The HTTP gateway: decode, call a room, encode. Routes live in routes/, one file for each noun.
import type { AddressInfo } from 'node:net';
import type { Access } from '../../access/access.ts';
import type { Emit } from '../../kit/signals.ts';
import { type App, createApp, type HttpSignal } from './app.ts';
import { guardRoutes } from './identity.ts';
import { type EventDeps, eventRoutes } from './routes/events.ts';
import { type HealthDeps, healthRoutes } from './routes/health.ts';
import { ProblemSchema } from './schemas.ts';

export type HttpDeps = EventDeps &
  HealthDeps & {
    readonly access: Access;
    readonly emit: Emit<HttpSignal>;
  };

export type HttpSettings = {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Where people reach this server, if not under the address that it listens on; no slash at the end. */
  readonly publicUrl?: string;
};

export class HttpServer {
  readonly #app: App;
  readonly url: string;
  readonly port: number;

  private constructor(app: App, url: string, port: number) {
    this.#app = app;
    this.url = url;
    this.port = port;
  }

  /** Listens when it returns. A taken port is thrown as Node's error (`EADDRINUSE`). */
  static async start(deps: HttpDeps, settings: HttpSettings): Promise<HttpServer> {
    const app = createApp(deps);
    app.addSchema(ProblemSchema);
    guardRoutes(app, deps.access, settings.publicUrl === undefined ? [] : [new URL(settings.publicUrl).origin]);
    eventRoutes(app, deps);
    healthRoutes(app, deps);
    await app.listen({ host: settings.host, port: settings.port });
    const { port } = app.server.address() as AddressInfo; // it listens on TCP
    const host = settings.host.includes(':') ? `[${settings.host}]` : settings.host;
    return new HttpServer(app, settings.publicUrl ?? `http://${host}:${port}`, port);
  }

  /** Stops taking requests, ends open streams, and returns when what was under way is answered. */
  async stop(): Promise<void> {
    await this.#app.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
