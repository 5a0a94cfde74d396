// HTTPS with HTTP/2 and HTTP/1.1 on one port: the client says in the handshake (ALPN) which it speaks. Java's client of
// notification hubs insists on HTTP/2, the others on HTTP/1.1, browsers take what is better.
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { answerBrokenClient, KEEP_ALIVE_MS } from './app.ts';

export type SecureOptions = {
  readonly port: number;
  readonly host: string;
  readonly key: string;
  readonly cert: string;
};

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Requests of one client side by side; the others wait at the client. */
const mostStreams = 200;

export class SecureServer {
  /** For who wants to hear of upgrades to WebSocket, which come as HTTP/1.1. */
  readonly server: Http2SecureServer;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #sockets = new Set<TLSSocket>();

  private constructor(server: Http2SecureServer) {
    this.server = server;
    server.on('session', (session: ServerHttp2Session) => this.#watch(session));
    server.on('secureConnection', (socket: TLSSocket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** Listens when it returns; throws Node's error (`EADDRINUSE`) for a taken port. */
  static async start({ port, host, key, cert }: SecureOptions, handle: Handler): Promise<SecureServer> {
    const server = createSecureServer({
      key,
      cert,
      allowHTTP1: true,
      settings: { maxConcurrentStreams: mostStreams },
    });
    // It has the timer of an HTTP/1.1 server, which its type does not know.
    Object.assign(server, { keepAliveTimeout: KEEP_ALIVE_MS });
    server.on('request', (request, response) => {
      request.headers.host ??= request.headers[':authority'];
      // Node's compatibility layer gives those of HTTP/2 the interface of HTTP/1.1's.
      handle(request as unknown as IncomingMessage, response as unknown as ServerResponse);
    });
    server.on('clientError', answerBrokenClient);
    const secure = new SecureServer(server);
    server.listen(port, host);
    await once(server, 'listening');
    return secure;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port; // it listens on TCP
  }

  /** Takes no more requests; what is under way may end. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const session of this.#sessions) session.close();
    await closed;
  }

  /** Ends what is under way too. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #watch(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.once('close', () => this.#sessions.delete(session));
    session.on('error', () => session.destroy()); // a client that breaks off ends its own session only
    session.setTimeout(KEEP_ALIVE_MS, () => session.close());
  }
}
