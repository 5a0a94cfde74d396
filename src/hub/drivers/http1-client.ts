// The transport port over HTTP/1.1, for services that speak no HTTP/2 (WNS): keep-alive connections of node:https, a bounded number of
// them, the queue and the promises of the HTTP/2 client. Bodies go with Content-Length, never chunked.

import { lookup } from 'node:dns';
import { Agent, type RequestOptions, request } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { bodyOf, type Calls, type Http2Options, pathOf, type Reply, type Transport } from '../http2/port.ts';
import { CallQueue } from '../http2/queue.ts';

export class Http1Client implements Transport {
  readonly #options: Http2Options;
  readonly #agent: Agent;
  readonly #waiting = new CallQueue();
  readonly #roomWaiters: (() => void)[] = [];
  readonly #maxRunning: number;
  readonly #maxWaiting: number;
  #running = 0;
  #closing = false;
  #idle: (() => void) | undefined;

  /** `maxConnections` default 64. */
  constructor(options: Http2Options) {
    this.#options = options;
    this.#maxRunning = options.maxConnections ?? 64;
    this.#maxWaiting = options.maxWaiting ?? 1000;
    this.#agent = new Agent({ keepAlive: true, maxSockets: this.#maxRunning, scheduling: 'lifo' });
  }

  post(calls: Calls, index: number): boolean {
    if (this.#closing || this.#waiting.size >= this.#maxWaiting * 2) {
      const cause = this.#closing ? 'closed' : 'queue_full';
      queueMicrotask(() => calls.settle(index, { kind: 'unprocessed', cause }));
      return false;
    }
    if (this.#running < this.#maxRunning) this.#start(calls, index);
    else this.#waiting.push({ calls, index, deadline: 0 });
    return this.#waiting.size < this.#maxWaiting;
  }

  whenRoom(): Promise<void> {
    if (this.#waiting.size < this.#maxWaiting || this.#closing) return Promise.resolve();
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  async close(graceMs = 5000): Promise<void> {
    this.#closing = true;
    for (const { calls, index } of this.#waiting.clear()) calls.settle(index, { kind: 'unprocessed', cause: 'closed' });
    this.#admit();
    if (this.#running > 0) {
      const timer = setTimeout(() => this.#agent.destroy(), graceMs);
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
      clearTimeout(timer);
    }
    this.#agent.destroy();
  }

  #start(calls: Calls, index: number): void {
    this.#running += 1;
    const body = bodyOf(calls, index);
    send(body, this.#requestOptions(calls, index, body.length), this.#options, (reply) => {
      this.#running -= 1;
      calls.settle(index, reply);
      this.#next();
    });
  }

  #next(): void {
    const next = this.#waiting.shift();
    if (next !== undefined) this.#start(next.calls, next.index);
    if (this.#waiting.size <= this.#maxWaiting / 2) this.#admit();
    if (this.#running === 0) this.#idle?.();
  }

  #admit(): void {
    for (const resolve of this.#roomWaiters.splice(0)) resolve();
  }

  #requestOptions(calls: Calls, index: number, bodyBytes: number): RequestOptions {
    const { host, port, ca, refuseAddress } = this.#options;
    return {
      agent: this.#agent,
      host,
      port,
      method: calls.head.method,
      path: pathOf(calls, index),
      headers: headersOf(calls, index, bodyBytes),
      timeout: calls.timeoutMs ?? this.#options.timeoutMs ?? 30_000,
      ...(ca === undefined ? {} : { ca: ca as string | string[] }),
      ...(refuseAddress === undefined ? {} : { lookup: guarded(refuseAddress) }),
    };
  }
}

function send(
  body: Buffer,
  options: RequestOptions,
  { host, refuseAddress }: Http2Options,
  settle: (reply: Reply) => void,
): void {
  if (isIP(host) && refuseAddress?.(host) !== undefined) {
    queueMicrotask(() => settle({ kind: 'unprocessed', cause: 'connect_failed:ADDRESS_REFUSED' }));
    return;
  }
  let connected = false;
  let settled = false;
  const once = (reply: Reply): void => {
    if (!settled) settle(reply);
    settled = true;
  };
  const asked = request(options, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('end', () =>
      once({
        kind: 'answer',
        status: response.statusCode ?? 0,
        fields: lowerCase(response.rawHeaders),
        body: Buffer.concat(chunks),
      }),
    );
    response.on('error', () => once({ kind: 'lost', cause: 'connection_closed' }));
  });
  asked.on('socket', (socket) => {
    connected = !socket.connecting;
    // A socket that is used again is through with this, and would gather listeners.
    if (connected) return;
    socket.once('secureConnect', () => {
      connected = true;
    });
  });
  asked.on('timeout', () => asked.destroy(Object.assign(new Error('time-out'), { code: 'timeout' })));
  asked.on('error', (error: NodeJS.ErrnoException) => {
    const cause = error.code ?? error.message;
    once(connected ? { kind: 'lost', cause } : { kind: 'unprocessed', cause: `connect_failed:${cause}` });
  });
  asked.end(body);
}

function headersOf(calls: Calls, index: number, bodyBytes: number): Record<string, string> {
  const headers: Record<string, string> = { host: calls.head.authority, 'content-length': String(bodyBytes) };
  for (const fields of [calls.head.fields, calls.fields(index)])
    for (let i = 0; i < fields.length; i += 2) headers[fields[i]!] = fields[i + 1]!;
  return headers;
}

function lowerCase(rawHeaders: readonly string[]): string[] {
  return rawHeaders.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text));
}

function guarded(refuse: (address: string) => string | undefined): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) {
        callback(error, '', 0);
        return;
      }
      const allowed = addresses.filter(({ address }) => refuse(address) === undefined);
      if (allowed.length === 0) callback(Object.assign(new Error('refused'), { code: 'ADDRESS_REFUSED' }), '', 0);
      else if (options.all) callback(null, allowed);
      else callback(null, allowed[0]!.address, allowed[0]!.family);
    });
  };
}
