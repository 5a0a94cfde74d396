// The same client on node:http2: what ours is measured against and must behave like, and the fallback should ours ever be in doubt.
// One difference is node's own: a GOAWAY that carries an error destroys the whole session, so answered-late streams are lost.

import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import { PushClient } from './client.ts';
import type { ConnectionEvents, ConnectionSettings } from './connection.ts';
import { maxWindow } from './frames.ts';
import { bodyOf, type Calls, type Http2Options, pathOf, type Reply } from './port.ts';

/** The pool and queue of PushClient over node's connections. */
export function nodeClient(options: Http2Options): PushClient {
  return new PushClient(options, (...args) => new NodeConnection(...args));
}

type Running = { readonly calls: Calls; readonly index: number };

class NodeConnection {
  readonly #session: ClientHttp2Session;
  readonly #settings: ConnectionSettings;
  readonly #events: ConnectionEvents;
  readonly #running = new Map<ClientHttp2Stream, Running>();
  #state: 'opening' | 'open' | 'draining' | 'closed' = 'opening';
  #lastAllowedId = maxWindow;
  #opened = 0;
  #answered = 0;

  constructor(socket: Duplex, settings: ConnectionSettings, events: ConnectionEvents) {
    this.#settings = settings;
    this.#events = events;
    // The authority is only a name here: the socket is connected already.
    this.#session = connect('https://connected.invalid', {
      createConnection: () => socket,
      settings: { enablePush: false },
    });
    this.#session.once('remoteSettings', () => this.#open());
    this.#session.on('goaway', (code, last, debug) => this.#goaway(code, last, debug));
    this.#session.on('error', () => {});
    this.#session.on('close', () => this.#closed());
    this.#session.setTimeout(settings.pingAfterMs, () => this.#ping());
  }

  get maxStreams(): number {
    return Math.min(
      this.#session.remoteSettings?.maxConcurrentStreams ?? Number.POSITIVE_INFINITY,
      this.#settings.maxStreams,
    );
  }

  get room(): number {
    return this.#state === 'open' ? Math.max(this.maxStreams - this.#running.size, 0) : 0;
  }

  get alive(): boolean {
    return this.#state === 'opening' || this.#state === 'open';
  }

  get answered(): number {
    return this.#answered;
  }

  send(calls: Calls, index: number): void {
    const body = bodyOf(calls, index);
    const stream = this.#session.request(headersOf(calls, index, body.length), { endStream: body.length === 0 });
    this.#running.set(stream, { calls, index });
    this.#opened += 2;
    if (this.#opened + 1 > this.#settings.lastStreamId) this.#drain();
    stream.setEncoding('latin1');
    this.#collect(stream, { calls, index });
    if (body.length > 0) stream.end(body);
  }

  close(graceMs: number): void {
    this.#drain();
    if (this.#running.size === 0) this.destroy();
    else setTimeout(() => this.destroy(), graceMs).unref();
  }

  destroy(): void {
    this.#session.destroy();
  }

  #open(): void {
    this.#state = 'open';
    this.#events.opened();
  }

  #collect(stream: ClientHttp2Stream, call: Running): void {
    let headers: IncomingHttpHeaders | undefined;
    let trailers: IncomingHttpHeaders = {};
    let cause: string | undefined;
    const chunks: string[] = [];
    let bytes = 0;
    const fail = (why: string): void => {
      cause = why;
      stream.close(constants.NGHTTP2_CANCEL);
    };
    const timer = setTimeout(() => fail('timeout'), call.calls.timeoutMs ?? this.#settings.timeoutMs);
    stream.on('response', (fields) => {
      headers = fields;
    });
    stream.on('trailers', (fields) => {
      trailers = fields;
    });
    stream.on('data', (chunk: string) => {
      bytes += chunk.length;
      if (bytes > this.#settings.maxAnswerBytes) fail('answer_too_large');
      else chunks.push(chunk);
    });
    stream.on('error', () => {});
    stream.on('close', () => {
      clearTimeout(timer);
      const whole = stream.rstCode === 0 && headers !== undefined && cause === undefined;
      this.#settle(
        stream,
        call,
        whole ? answerOf(headers!, trailers, chunks) : { kind: 'lost', cause: cause ?? this.#causeOf(stream) },
      );
    });
  }

  #causeOf(stream: ClientHttp2Stream): string {
    if (this.#session.destroyed || stream.rstCode === 0) return 'connection_closed';
    return stream.rstCode === constants.NGHTTP2_REFUSED_STREAM ? 'refused_stream' : `reset:${stream.rstCode}`;
  }

  #settle(stream: ClientHttp2Stream, { calls, index }: Running, reply: Reply): void {
    this.#running.delete(stream);
    if (reply.kind === 'answer') this.#answered += 1;
    if (reply.kind === 'answer') calls.settle(index, reply);
    else if (reply.cause === 'refused_stream') this.#events.unprocessed(calls, index, reply.cause);
    else if ((stream.id ?? maxWindow) > this.#lastAllowedId) this.#events.unprocessed(calls, index, 'goaway');
    else calls.settle(index, reply);
    if (this.#state === 'draining' && this.#running.size === 0) this.destroy();
    this.#events.changed();
  }

  #goaway(code: number, last: number, debug: Uint8Array | undefined): void {
    this.#lastAllowedId = Math.min(this.#lastAllowedId, last);
    this.#drain();
    this.#events.goaway(code, Buffer.from(debug ?? []).toString());
  }

  #ping(): void {
    const timer = setTimeout(() => this.destroy(), this.#settings.pingTimeoutMs);
    this.#session.ping(() => clearTimeout(timer));
  }

  #drain(): void {
    if (this.#state !== 'closed') this.#state = 'draining';
  }

  #closed(): void {
    this.#state = 'closed';
    const lost = this.#running.size;
    // Each stream tells its own end in its `close` event; they come after the session's.
    this.#events.closed('connection_closed', lost);
  }
}

function headersOf(calls: Calls, index: number, bodyBytes: number): Record<string, string> {
  const { head } = calls;
  const headers: Record<string, string> = {
    ':method': head.method,
    ':scheme': 'https',
    ':authority': head.authority,
    ':path': pathOf(calls, index),
  };
  for (const fields of [head.fields, calls.fields(index)])
    for (let i = 0; i < fields.length; i += 2) headers[fields[i]!] = fields[i + 1]!;
  if (head.sendsLength) headers['content-length'] = String(bodyBytes);
  return headers;
}

function answerOf(headers: IncomingHttpHeaders, trailers: IncomingHttpHeaders, chunks: readonly string[]): Reply {
  const fields: string[] = [];
  for (const part of [headers, trailers])
    for (const [name, value] of Object.entries(part))
      if (!name.startsWith(':'))
        for (const one of Array.isArray(value) ? value : [String(value)]) fields.push(name, one);
  return { kind: 'answer', status: Number(headers[':status']), fields, body: Buffer.from(chunks.join(''), 'latin1') };
}
