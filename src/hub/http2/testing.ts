// For the tests of this room: a node:http2 server to talk to, and a scripted peer that speaks raw frames over an in-memory pair.

import {
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { makeCertificate } from '../../kit/certificate.ts';
import { Connection, type ConnectionEvents, type ConnectionSettings } from './connection.ts';
import { FrameReader, flag, frame, frameOf, maxWindow, preface, settingsFrame } from './frames.ts';
import { type Call, type Reply, type RequestHead, SingleCall } from './port.ts';

export const certificate = makeCertificate();

export type TestServer = {
  readonly port: number;
  readonly sessions: ServerHttp2Session[];
  /** The most streams that ever ran at once. */
  peak(): number;
  stop(): Promise<void>;
};

export type Handle = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, body: Buffer) => void;

/** A node:http2 server that calls `handle` with each whole request. */
export async function startServer(handle: Handle, options: SecureServerOptions = {}): Promise<TestServer> {
  const server = createSecureServer({ cert: certificate.cert, key: certificate.key, ...options });
  const sessions: ServerHttp2Session[] = [];
  let running = 0;
  let peak = 0;
  server.on('session', (session) => {
    sessions.push(session.on('error', () => {}));
  });
  server.on('stream', (stream, headers) => {
    running += 1;
    peak = Math.max(peak, running);
    const chunks: Buffer[] = [];
    stream
      .on('error', () => {})
      .on('close', () => {
        running -= 1;
      });
    stream
      .on('data', (chunk: Buffer) => chunks.push(chunk))
      .on('end', () => handle(stream, headers, Buffer.concat(chunks)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    sessions,
    peak: () => peak,
    stop: () => stopServer(server, sessions),
  };
}

async function stopServer(server: Http2SecureServer, sessions: readonly ServerHttp2Session[]): Promise<void> {
  for (const session of sessions) session.destroy();
  await new Promise((resolve) => server.close(resolve));
}

/** Answers unless the client reset the stream meanwhile (node throws then). */
export function respond(stream: ServerHttp2Stream, headers: Record<string, string | number>, body = ''): void {
  if (stream.destroyed || stream.closed) return;
  stream.respond(headers, { endStream: body === '' });
  if (body !== '') stream.end(body);
}

export function head(...fields: string[]): RequestHead {
  return { method: 'POST', authority: 'push.example', fields };
}

export type SentFrame = {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
};

/** A server made of frames: records what comes, sends what the test says. */
export class Peer {
  readonly frames: SentFrame[] = [];
  readonly #socket: Duplex;
  readonly #waiting: (() => void)[] = [];
  #greeting = Buffer.alloc(0);

  constructor(socket: Duplex) {
    this.#socket = socket;
    const reader = new FrameReader((type, flags, stream, bytes, start, end) => {
      this.frames.push({ type, flags, stream, payload: Buffer.from(bytes.subarray(start, end)) });
    }, 1 << 20);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      const rest = this.#withoutPreface(chunk);
      if (rest.length > 0) reader.push(rest);
      for (const resolve of this.#waiting.splice(0)) resolve();
    });
  }

  send(...bytes: readonly Uint8Array[]): void {
    this.#socket.write(Buffer.concat(bytes));
  }

  /** Stops reading; what the connection sends piles up on its side. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Waits for the frame that `matches`, past or to come. */
  async frame(matches: (frame: SentFrame) => boolean): Promise<SentFrame> {
    for (;;) {
      const found = this.frames.find(matches);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** HEADERS with `:status` from the static table (200 if it is not there) and END_STREAM as told. */
  headers(stream: number, block: Uint8Array = Buffer.from([0x88]), flags = flag.endHeaders | flag.endStream): void {
    this.send(frameOf(frame.headers, flags, stream, block));
  }

  #withoutPreface(chunk: Buffer): Buffer {
    if (this.#greeting.length >= preface.length) return chunk;
    const missing = preface.length - this.#greeting.length;
    this.#greeting = Buffer.concat([this.#greeting, chunk.subarray(0, missing)]);
    return chunk.subarray(missing);
  }
}

/** A pair hands over buffers by reference; a socket has copied them when it calls back, and the slabs of output.ts count on that. */
function copyingPair(): [Duplex, Duplex] {
  const [near, far] = duplexPair();
  const write = near._write;
  near._write = (chunk: Buffer, encoding, done) => write.call(near, Buffer.from(chunk), encoding, done);
  return [near, far];
}

export type Wire = {
  readonly peer: Peer;
  readonly connection: Connection;
  readonly log: string[];
  /** The causes. */
  readonly unprocessed: string[];
  /** Sends a call; its reply as a promise. */
  call(input?: Partial<Omit<Call, 'settle'>>): Promise<Reply>;
  /** The cause with which the connection closed. */
  readonly closed: Promise<string>;
};

/** A connection and its scripted peer. `settings` are the peer's SETTINGS. */
export async function wire(
  settings: readonly (readonly [number, number])[] | 'silent' = [],
  ours: Partial<ConnectionSettings> = {},
): Promise<Wire> {
  const [near, far] = copyingPair();
  const log: string[] = [];
  const unprocessed: string[] = [];
  const closed = Promise.withResolvers<string>();
  const opened = Promise.withResolvers<void>();
  const events: ConnectionEvents = {
    opened: () => opened.resolve(),
    changed: () => {},
    goaway: (code, debug) => log.push(`goaway ${code} ${debug}`),
    closed: (cause) => {
      closed.resolve(cause);
      opened.resolve();
    },
    unprocessed: (calls, index, cause) => {
      unprocessed.push(cause);
      calls.settle(index, { kind: 'unprocessed', cause });
    },
  };
  const defaults = {
    maxStreams: 100,
    timeoutMs: 30_000,
    pingAfterMs: 60_000,
    pingTimeoutMs: 10_000,
    maxAnswerBytes: 65_536,
    lastStreamId: maxWindow,
  };
  const peer = new Peer(far);
  const connection = new Connection(near, { ...defaults, ...ours }, events);
  if (settings !== 'silent') {
    peer.send(settingsFrame(settings));
    await opened.promise;
  }
  const call: Wire['call'] = (input = {}) =>
    new Promise((settle) =>
      connection.send(
        new SingleCall({ head: head('x', 'y'), path: '/p', fields: [], body: 'hello', ...input, settle }),
        0,
      ),
    );
  return { peer, connection, log, unprocessed, call, closed: closed.promise };
}
