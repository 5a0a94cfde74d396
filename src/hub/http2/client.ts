// Our HTTP/2 client: a few connections to one service, a short queue in front of them, urgent calls first.
// Connections are opened when calls wait and those there are full; a new one only after the last one has answered (a service may allow a
// single stream until it has seen a good token). What a connection certainly did not process is sent again on another, three times at most.

import type { Duplex } from 'node:stream';
import { connectTls } from './connect.ts';
import { Connection, type ConnectionEvents, type ConnectionSettings, tickMs } from './connection.ts';
import { maxWindow } from './frames.ts';
import type { Calls, Http2Options, Transport, Unanswered } from './port.ts';
import { CallQueue } from './queue.ts';

/** What the client needs of one connection; connection.ts is ours, reference.ts is node:http2. */
export type Link = Pick<Connection, 'room' | 'maxStreams' | 'alive' | 'answered' | 'send' | 'close' | 'destroy'>;
export type MakeLink = (socket: Duplex, settings: ConnectionSettings, events: ConnectionEvents) => Link;

const maxResends = 3;
const maxPauseMs = 30_000;

export class PushClient implements Transport {
  readonly #options: Http2Options;
  readonly #settings: ConnectionSettings;
  readonly #maxWaiting: number;
  readonly #makeLink: MakeLink;
  readonly #connections: Link[] = [];
  readonly #waiting = new CallQueue();
  /** How often, by index. */
  readonly #resends = new WeakMap<Calls, Map<number, number>>();
  readonly #roomWaiters: (() => void)[] = [];
  readonly #ended: (() => void)[] = [];
  readonly #ticker: NodeJS.Timeout;
  #opening = 0;
  #failures = 0;
  #notBefore = 0;
  #closing = false;

  constructor(options: Http2Options, makeLink: MakeLink = (...args) => new Connection(...args)) {
    this.#options = options;
    this.#makeLink = makeLink;
    this.#maxWaiting = options.maxWaiting ?? 1000;
    this.#settings = {
      maxStreams: options.maxStreams ?? 1000,
      timeoutMs: options.timeoutMs ?? 30_000,
      pingAfterMs: options.pingAfterMs ?? 60_000,
      pingTimeoutMs: options.pingTimeoutMs ?? 10_000,
      maxAnswerBytes: options.maxAnswerBytes ?? 65_536,
      lastStreamId: options.lastStreamId ?? maxWindow,
    };
    this.#ticker = setInterval(() => this.#tick(), tickMs).unref();
  }

  /** Live connections; for tests and metrics. */
  get connections(): number {
    return this.#connections.length;
  }

  post(calls: Calls, index: number): boolean {
    if (this.#closing) return this.#refuse(calls, index, 'closed');
    if (this.#waiting.size >= this.#maxWaiting * 2) return this.#refuse(calls, index, 'queue_full');
    const connection = this.#waiting.size === 0 ? this.#roomiest() : undefined;
    if (connection !== undefined) connection.send(calls, index);
    else this.#enqueue(calls, index);
    return this.#waiting.size < this.#maxWaiting;
  }

  whenRoom(): Promise<void> {
    if (this.#waiting.size < this.#maxWaiting || this.#closing) return Promise.resolve();
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  async close(graceMs = 5000): Promise<void> {
    this.#closing = true;
    clearInterval(this.#ticker);
    this.#failWaiting('closed');
    for (const connection of [...this.#connections]) connection.close(graceMs);
    while (this.#connections.length + this.#opening > 0)
      await new Promise<void>((resolve) => this.#ended.push(resolve));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #refuse(calls: Calls, index: number, cause: string): false {
    queueMicrotask(() => calls.settle(index, { kind: 'unprocessed', cause }));
    return false;
  }

  #enqueue(calls: Calls, index: number): void {
    this.#waiting.push({ calls, index, deadline: this.#deadlineOf(calls) });
    this.#grow();
  }

  #deadlineOf({ timeoutMs = this.#settings.timeoutMs }: Calls): number {
    return performance.now() + timeoutMs;
  }

  /** The first one with room: filling one connection before the next keeps writes large. */
  #roomiest(): Link | undefined {
    for (const connection of this.#connections) if (connection.room > 0) return connection;
    return undefined;
  }

  #pump(): void {
    while (this.#waiting.size > 0) {
      const connection = this.#roomiest();
      if (connection === undefined) break;
      while (this.#waiting.size > 0 && connection.room > 0) {
        const { calls, index } = this.#waiting.shift()!;
        connection.send(calls, index);
      }
    }
    if (this.#waiting.size > 0) this.#grow();
    if (this.#waiting.size <= this.#maxWaiting / 2) this.#admit();
  }

  #admit(): void {
    for (const resolve of this.#roomWaiters.splice(0)) resolve();
  }

  #grow(): void {
    if (this.#closing || this.#opening > 0 || performance.now() < this.#notBefore) return;
    if (this.#connections.length >= (this.#options.maxConnections ?? 1)) return;
    if (this.#connections.some((connection) => connection.alive && connection.answered === 0)) return;
    this.#opening += 1;
    void this.#open();
  }

  async #open(): Promise<void> {
    const startedAt = performance.now();
    try {
      const socket = await connectTls(this.#options);
      await this.#greeted(socket, startedAt);
      this.#failures = 0;
    } catch (error) {
      this.#failed((error as NodeJS.ErrnoException).code ?? 'UNKNOWN');
    }
    this.#opening -= 1;
    this.#pump();
    this.#tellEnded();
  }

  /** Resolves when the peer's SETTINGS are here; rejects when the connection ends before. */
  #greeted(socket: Awaited<ReturnType<typeof connectTls>>, startedAt: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const connection = this.#makeLink(socket, this.#settings, {
        opened: () => {
          clearTimeout(timer);
          if (this.#closing) connection.close(0);
          else this.#connections.push(connection);
          const { host } = this.#options;
          this.#options.emit?.({
            name: 'http2.connected',
            host,
            tookMs: performance.now() - startedAt,
            maxStreams: connection.maxStreams,
          });
          resolve();
        },
        changed: () => this.#pump(),
        goaway: (code, debug) => this.#options.emit?.({ name: 'http2.goaway', host: this.#options.host, code, debug }),
        closed: (cause, lost) => {
          clearTimeout(timer);
          this.#lost(connection, cause, lost);
          reject(Object.assign(new Error(cause), { code: cause }));
        },
        unprocessed: (calls, index, cause) => this.#resend(calls, index, cause),
      });
      const timer = setTimeout(
        () => connection.destroy(4, 'settings_timeout'),
        this.#options.connectTimeoutMs ?? 10_000,
      );
    });
  }

  #failed(cause: string): void {
    this.#failures += 1;
    this.#notBefore = performance.now() + Math.min(100 * 2 ** this.#failures, maxPauseMs);
    this.#options.emit?.({ name: 'http2.connect-failed', host: this.#options.host, cause });
    if (this.#connections.length === 0) this.#failWaiting(`connect_failed:${cause}`);
  }

  #lost(connection: Link, cause: string, lost: number): void {
    const at = this.#connections.indexOf(connection);
    if (at >= 0) this.#connections.splice(at, 1);
    this.#options.emit?.({ name: 'http2.closed', host: this.#options.host, cause, lost });
    this.#pump();
    this.#tellEnded();
  }

  #resend(calls: Calls, index: number, cause: string): void {
    const resends = this.#resends.get(calls) ?? new Map<number, number>();
    const times = (resends.get(index) ?? 0) + 1;
    if (this.#closing || times > maxResends) {
      calls.settle(index, { kind: 'unprocessed', cause });
      return;
    }
    this.#resends.set(calls, resends.set(index, times));
    this.#waiting.unshift({ calls, index, deadline: this.#deadlineOf(calls) });
  }

  #failWaiting(cause: string): void {
    const reply: Unanswered = { kind: 'unprocessed', cause };
    for (const { calls, index } of this.#waiting.clear()) calls.settle(index, reply);
    this.#admit();
  }

  #tick(): void {
    for (const { calls, index } of this.#waiting.expire(performance.now()))
      calls.settle(index, { kind: 'unprocessed', cause: 'timeout' });
    this.#pump();
  }

  #tellEnded(): void {
    for (const resolve of this.#ended.splice(0)) resolve();
  }
}
