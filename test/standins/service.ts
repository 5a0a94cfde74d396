// The floor under every stand-in: a TLS service on a real port (HTTP/2, or HTTP/1.1 where the real one speaks that), whose answers a pure
// function makes, and faults that a test or a person switches on and off.

import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createPlainServer, type Server as PlainServer } from 'node:http';
import { createSecureServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { LocalCertificate } from '../../src/kit/certificate.ts';

export type StandinRequest = {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly session: ServerHttp2Session | undefined;
};

export type StandinAnswer = {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
};

/** `times`: how many requests it befalls; absent means until switched off. */
export type Fault =
  | { readonly kind: 'answer'; readonly answer: StandinAnswer; readonly times?: number }
  | { readonly kind: 'slow'; readonly ms: number; readonly times?: number }
  /** Takes requests and never answers. */
  | { readonly kind: 'dead'; readonly times?: number }
  /** RST_STREAM with an HTTP/2 error code, e.g. 7 REFUSED_STREAM. Over HTTP/1.1 the socket is cut. */
  | { readonly kind: 'reset'; readonly code: number; readonly times?: number }
  /** GOAWAY with its debug data; the session closes when its running streams are done. */
  | { readonly kind: 'goaway'; readonly code: number; readonly debug: string; readonly times?: number }
  /** The connection is cut under the request. */
  | { readonly kind: 'cut'; readonly times?: number };

// node:http2's compatibility layer has the members of node:http that we use, and the stream besides.
type Incoming = IncomingMessage & { readonly stream?: ServerHttp2Stream };
type Outgoing = ServerResponse & { readonly stream?: ServerHttp2Stream };

export type ServiceOptions = {
  /** Absent: without TLS, for clients that trust the usual authorities only. */
  readonly certificate?: LocalCertificate;
  readonly answer: (request: StandinRequest) => StandinAnswer | Promise<StandinAnswer>;
  /** 0 or absent: any free port. */
  readonly port?: number;
  readonly host?: string;
  /** `only`: as WNS. `too`: whichever the client asks for, as Google's front door. */
  readonly http1?: 'only' | 'too';
  readonly maxStreams?: number;
};

export class Service {
  readonly #options: ServiceOptions;
  readonly #server: ReturnType<typeof createSecureServer> | Server | PlainServer;
  readonly #sockets = new Set<Socket>();
  readonly #sessions = new Set<ServerHttp2Session>();
  #fault: Fault | undefined;
  #faultsLeft = 0;
  #port = 0;
  requests = 0;

  private constructor(options: ServiceOptions) {
    this.#options = options;
    const { cert, key } = options.certificate ?? {};
    const settings = options.maxStreams === undefined ? {} : { settings: { maxConcurrentStreams: options.maxStreams } };
    this.#server =
      options.certificate === undefined
        ? createPlainServer()
        : options.http1 === 'only'
          ? createServer({ cert, key })
          : createSecureServer({ cert, key, allowHTTP1: options.http1 === 'too', ...settings });
    this.#server.on('request', (request: Incoming, response: Outgoing) => this.#take(request, response));
    const connected = options.certificate === undefined ? 'connection' : 'secureConnection';
    this.#server.on(connected, (socket: Socket) => this.#keep(socket));
    this.#server.on('session', (session: ServerHttp2Session) => {
      this.#sessions.add(session.on('error', () => {}).on('close', () => this.#sessions.delete(session)));
    });
  }

  static async start(options: ServiceOptions): Promise<Service> {
    const service = new Service(options);
    await new Promise<void>((resolve, reject) => {
      service.#server.once('error', reject).listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve);
    });
    service.#port = (service.#server.address() as AddressInfo).port;
    return service;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `${this.#options.certificate ? 'https' : 'http'}://127.0.0.1:${this.#port}`;
  }

  /** Open HTTP/2 sessions. */
  get sessions(): number {
    return this.#sessions.size;
  }

  /** Replaces the fault that is on; undefined switches it off. */
  fail(fault: Fault | undefined): void {
    this.#fault = fault;
    this.#faultsLeft = fault?.times ?? Number.POSITIVE_INFINITY;
  }

  /** Says GOAWAY on every session and lets running streams finish. */
  goaway(code = 0, debug = ''): void {
    for (const session of this.#sessions) sayGoodbye(session, code, debug);
  }

  async stop(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
  }

  #take(request: Incoming, response: Outgoing): void {
    const chunks: Buffer[] = [];
    request.on('error', () => {});
    response.on('error', () => {});
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      this.requests += 1;
      const session = request.stream?.session as ServerHttp2Session | undefined;
      const { method = '', url = '', headers } = request;
      void this.#answer({ method, path: url, headers, body: Buffer.concat(chunks), session }, request, response);
    });
  }

  async #answer(asked: StandinRequest, request: Incoming, response: Outgoing): Promise<void> {
    const fault = this.#nextFault();
    const answer = fault?.kind === 'answer' ? fault.answer : undefined;
    if (fault?.kind === 'dead') return;
    if (fault?.kind === 'cut') asked.session?.destroy();
    if (fault?.kind === 'cut') request.socket.destroy();
    else if (fault?.kind === 'reset') reset(request, fault.code);
    else if (fault?.kind === 'slow')
      setTimeout(async () => write(response, await this.#options.answer(asked)), fault.ms).unref();
    else {
      if (fault?.kind === 'goaway' && asked.session !== undefined) sayGoodbye(asked.session, fault.code, fault.debug);
      write(response, answer ?? (await this.#options.answer(asked)));
    }
  }

  #nextFault(): Fault | undefined {
    if (this.#faultsLeft <= 0) return undefined;
    this.#faultsLeft -= 1;
    return this.#fault;
  }
}

function sayGoodbye(session: ServerHttp2Session, code: number, debug: string): void {
  if (session.destroyed) return;
  session.goaway(code, 0, Buffer.from(debug));
  session.close();
}

function reset(request: Incoming, code: number): void {
  if (request.stream !== undefined) request.stream.close(code);
  else request.socket.destroy();
}

/** The client may have given up meanwhile: then there is nobody to answer. */
function write(response: Outgoing, answer: StandinAnswer): void {
  if (response.destroyed || response.stream?.destroyed) return;
  const body = answer.body ?? '';
  response.writeHead(answer.status, {
    ...answer.headers,
    ...(response.stream !== undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
  });
  response.end(body);
}

/** A JSON answer. */
export function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): StandinAnswer {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=UTF-8', ...headers },
    body: JSON.stringify(value),
  };
}

/** What a stand-in keeps of what it took: the newest `limit`. */
export class Shelf<T> {
  readonly #items: T[] = [];
  readonly #limit: number;
  total = 0;

  constructor(limit = 10_000) {
    this.#limit = limit;
  }

  get items(): readonly T[] {
    return this.#items;
  }

  add(item: T): void {
    this.total += 1;
    this.#items.push(item);
    if (this.#items.length > this.#limit) this.#items.splice(0, this.#limit / 2);
  }
}
