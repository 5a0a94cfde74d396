// One HTTP/2 connection, client side (RFC 9113).
//
//   opening --peer's SETTINGS--> open --GOAWAY | ids used up | close()--> draining --last stream settled--> closed
//      `------------ TLS error, protocol error, silence, end of the socket -------------------------------> closed
//
// No request leaves before the peer's SETTINGS are known: some services answer one stream too many with GOAWAY.
// Server push is switched off.

import type { Duplex } from 'node:stream';
import {
  ConnectionError,
  defaultMaxFrame,
  defaultWindow,
  errorCode,
  flag,
  frame,
  frameOf,
  goawayFrame,
  maxWindow,
  preface,
  setting,
  settingsFrame,
  uint32Frame,
} from './frames.ts';
import { HpackEncoder } from './hpack-encoder.ts';
import { headerTableBytes, Incoming, maxHeaderListBytes, type Setting } from './incoming.ts';
import { Output } from './output.ts';
import type { Call } from './port.ts';
import { Sender } from './sender.ts';
import { Stream } from './stream.ts';

export type ConnectionSettings = {
  readonly maxStreams: number;
  readonly timeoutMs: number;
  readonly pingAfterMs: number;
  readonly pingTimeoutMs: number;
  readonly maxAnswerBytes: number;
  /** Streams ids end here; a test lowers it. */
  readonly lastStreamId: number;
};

/** What the owner of a connection is told. Never called from inside `send`. */
export type ConnectionEvents = {
  /** The peer's first SETTINGS are here. */
  opened(): void;
  /** There may be room for more calls. */
  changed(): void;
  goaway(code: number, debug: string): void;
  closed(cause: string, lost: number): void;
  /** The peer certainly did not process this one. */
  unprocessed(call: Call, cause: string): void;
};

/** The coarse clock that time-outs are counted on. */
export const tickMs = 50;
const connectionWindow = 4 * 1024 * 1024;
const errorNames = Object.entries(errorCode);
const nothing = Buffer.alloc(0);

export class Connection {
  readonly #socket: Duplex;
  readonly #settings: ConnectionSettings;
  readonly #events: ConnectionEvents;
  readonly #output: Output;
  readonly #encoder = new HpackEncoder();
  readonly #sender: Sender;
  readonly #streams = new Map<number, Stream>();
  readonly #incoming: Incoming;
  readonly #ticker: NodeJS.Timeout;
  #state: 'opening' | 'open' | 'draining' | 'closed' = 'opening';
  #peerMaxStreams = Number.POSITIVE_INFINITY;
  #nextId = 1;
  #lastAllowedId = maxWindow;
  #receiveWindow = connectionWindow;
  #ticks = 0;
  #heardAt = 0;
  #pingedAt: number | undefined;
  #answered = 0;

  /** `socket` is connected and speaks h2 (ALPN). The connection owns it from now on. */
  constructor(socket: Duplex, settings: ConnectionSettings, events: ConnectionEvents) {
    this.#socket = socket;
    this.#settings = settings;
    this.#events = events;
    this.#output = new Output(socket, () => events.changed());
    this.#sender = new Sender(this.#output, this.#encoder);
    this.#incoming = this.#attach();
    this.#greet();
    this.#listen();
    this.#ticker = setInterval(() => this.#tick(), tickMs).unref();
  }

  /** How many calls `send` takes right now. */
  get room(): number {
    if (this.#state !== 'open' || this.#output.stalled || this.#sender.exhausted) return 0;
    return Math.max(this.maxStreams - this.#streams.size, 0);
  }

  get maxStreams(): number {
    return Math.min(this.#peerMaxStreams, this.#settings.maxStreams);
  }

  /** Takes calls now or later; false once it drains or is closed. */
  get alive(): boolean {
    return this.#state === 'opening' || this.#state === 'open';
  }

  /** Answers so far: a connection that has answered has its real stream limit (APNs starts with 1). */
  get answered(): number {
    return this.#answered;
  }

  /** Only when `room` > 0. */
  send(call: Call): void {
    const timeoutMs = call.timeoutMs ?? this.#settings.timeoutMs;
    const deadline = this.#ticks + Math.ceil(timeoutMs / tickMs) + 1;
    const stream = new Stream(this.#nextId, call, this.#sender.initialWindow, deadline);
    this.#streams.set(stream.id, stream);
    this.#nextId += 2;
    if (this.#nextId > this.#settings.lastStreamId) this.#drain();
    this.#sender.open(stream);
  }

  /** Lets the running calls finish, then closes; what is still running after `graceMs` is lost. */
  close(graceMs: number): void {
    if (this.#state === 'opening') this.destroy(errorCode.none, 'closed');
    this.#drain();
    this.#endWhenIdle();
    if (this.#state === 'draining') setTimeout(() => this.destroy(errorCode.cancel, 'closed'), graceMs).unref();
  }

  /** Says GOAWAY(code) and closes at once. */
  destroy(code: number, cause: string): void {
    if (this.#state === 'closed') return;
    this.#output.append(goawayFrame(0, code, code === errorCode.none ? '' : cause));
    this.#output.end();
    this.#closed(cause);
    // The peer gets a moment to read the GOAWAY; it may be gone, so we do not wait for its end.
    setTimeout(() => this.#socket.destroy(), 200).unref();
  }

  #greet(): void {
    this.#output.append(Buffer.from(preface, 'latin1'));
    this.#output.append(
      settingsFrame([
        [setting.headerTableSize, headerTableBytes],
        [setting.enablePush, 0],
        [setting.initialWindowSize, this.#streamWindow],
        [setting.maxHeaderListSize, maxHeaderListBytes],
      ]),
    );
    this.#output.append(uint32Frame(frame.windowUpdate, 0, connectionWindow - defaultWindow));
  }

  /** One byte more than we take: a peer that fills it is over the limit, so no stream ever needs a WINDOW_UPDATE for its body. */
  get #streamWindow(): number {
    return this.#settings.maxAnswerBytes + 1;
  }

  #attach(): Incoming {
    return new Incoming({
      knows: (id) => id % 2 === 1 && id < this.#nextId,
      headers: (id, fields, last) => this.#headers(id, fields, last),
      data: (id, bytes, start, end, last, flowBytes) => this.#data(id, bytes, start, end, last, flowBytes),
      reset: (id, code) => this.#reset(id, code),
      settings: (changes) => this.#peerSettings(changes),
      // We never change our SETTINGS after the greeting, and the decoder starts with what it says.
      settingsAcknowledged: () => {},
      pinged: (payload) => this.#output.append(frameOf(frame.ping, flag.ack, 0, payload)),
      ponged: () => {
        this.#pingedAt = undefined;
      },
      goaway: (last, code, debug) => this.#goaway(last, code, debug),
      widened: (id, increment) => this.#widened(id, increment),
    });
  }

  #listen(): void {
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.#closed(`socket:${error.code ?? error.name}`));
    this.#socket.on('end', () => this.#socket.end());
    this.#socket.on('close', () => this.#closed('connection_closed'));
  }

  #read(chunk: Buffer): void {
    if (this.#state === 'closed') return;
    this.#heardAt = this.#ticks;
    try {
      this.#incoming.push(chunk);
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      this.destroy(error.code, `protocol:${error.message}`);
    }
    this.#settled();
  }

  #headers(id: number, fields: string[], last: boolean): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    const wrong = stream.takeHeaders(fields, last);
    if (wrong !== undefined) this.#fail(stream, errorCode.protocol, wrong);
    else if (last) this.#finish(stream);
  }

  #data(id: number, bytes: Buffer, start: number, end: number, last: boolean, flowBytes: number): void {
    this.#receive(flowBytes);
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    stream.receivedBytes += end - start;
    const padding = flowBytes - (end - start);
    if (padding > 0) this.#output.append(uint32Frame(frame.windowUpdate, id, padding));
    const wrong = stream.takeData(bytes, start, end, last, this.#settings.maxAnswerBytes);
    if (wrong !== undefined)
      this.#fail(stream, wrong === 'answer_too_large' ? errorCode.cancel : errorCode.protocol, wrong);
    else if (last) this.#finish(stream);
  }

  /** Gives the connection's window back when half of it is used: without this, 1,680 errors of 39 bytes stop a connection for good. */
  #receive(bytes: number): void {
    this.#receiveWindow -= bytes;
    if (this.#receiveWindow > connectionWindow / 2) return;
    this.#output.append(uint32Frame(frame.windowUpdate, 0, connectionWindow - this.#receiveWindow));
    this.#receiveWindow = connectionWindow;
  }

  #finish(stream: Stream): void {
    const answer = stream.finish();
    if (typeof answer === 'string') {
      this.#fail(stream, errorCode.protocol, answer);
      return;
    }
    // An answer before our body was through: the peer does not want the rest (section 8.1).
    if (stream.rest !== undefined) this.#output.append(uint32Frame(frame.rstStream, stream.id, errorCode.none));
    this.#forget(stream);
    this.#answered += 1;
    stream.call.settle(answer);
  }

  /** Resets a stream whose answer is of no use. The peer has seen the call, so nobody knows whether it took effect. */
  #fail(stream: Stream, code: number, cause: string): void {
    this.#output.append(uint32Frame(frame.rstStream, stream.id, code));
    this.#forget(stream);
    stream.call.settle({ kind: 'lost', cause });
  }

  #forget(stream: Stream): void {
    this.#streams.delete(stream.id);
    if (stream.rest !== undefined) this.#sender.forget(stream);
  }

  #reset(id: number, code: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#forget(stream);
    if (code === errorCode.refusedStream) this.#events.unprocessed(stream.call, 'refused_stream');
    else stream.call.settle({ kind: 'lost', cause: `reset:${nameOf(code)}` });
  }

  #peerSettings(changes: readonly Setting[]): void {
    for (const { id, value } of changes) this.#applySetting(id, value);
    this.#output.append(frameOf(frame.settings, flag.ack, 0, nothing));
    if (this.#state !== 'opening') return;
    this.#state = 'open';
    this.#events.opened();
  }

  #applySetting(id: number, value: number): void {
    if (id === setting.headerTableSize) this.#encoder.limitTable(value);
    else if (id === setting.enablePush) check(value === 0, errorCode.protocol, 'a server must not enable push');
    else if (id === setting.maxConcurrentStreams) this.#peerMaxStreams = value;
    else if (id === setting.initialWindowSize) {
      check(value <= maxWindow, errorCode.flowControl, 'the initial window is too large');
      this.#sender.resize(value, this.#streams.values());
    } else if (id === setting.maxFrameSize) {
      check(value >= defaultMaxFrame && value <= 0xff_ffff, errorCode.protocol, 'the frame size is out of range');
      this.#sender.maxFrame = value;
    }
  }

  /** A second GOAWAY may lower the last stream, never raise it. */
  #goaway(last: number, code: number, debug: string): void {
    this.#lastAllowedId = Math.min(this.#lastAllowedId, last);
    this.#drain();
    this.#events.goaway(code, debug);
    for (const stream of this.#streams.values())
      if (stream.id > this.#lastAllowedId) {
        this.#forget(stream);
        this.#events.unprocessed(stream.call, `goaway:${nameOf(code)}`);
      }
  }

  #widened(id: number, increment: number): void {
    if (id === 0) {
      this.#sender.widen(increment);
      return;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    if (increment === 0) this.#fail(stream, errorCode.protocol, 'window_increment');
    else if (!this.#sender.widenStream(stream, increment)) this.#fail(stream, errorCode.flowControl, 'window_overflow');
  }

  #tick(): void {
    this.#ticks += 1;
    this.#incoming.calm();
    for (const stream of this.#streams.values())
      if (stream.deadline <= this.#ticks) this.#fail(stream, errorCode.cancel, 'timeout');
    this.#keepAlive();
    this.#settled();
  }

  #keepAlive(): void {
    if (this.#pingedAt !== undefined) {
      if ((this.#ticks - this.#pingedAt) * tickMs >= this.#settings.pingTimeoutMs) this.#abort('ping_timeout');
    } else if ((this.#ticks - this.#heardAt) * tickMs >= this.#settings.pingAfterMs) {
      this.#pingedAt = this.#ticks;
      this.#output.append(frameOf(frame.ping, 0, 0, Buffer.from('carillon')));
    }
  }

  #drain(): void {
    if (this.#state !== 'closed') this.#state = 'draining';
  }

  #settled(): void {
    this.#endWhenIdle();
    if (this.#state === 'open') this.#events.changed();
  }

  #endWhenIdle(): void {
    if (this.#state === 'draining' && this.#streams.size === 0) this.destroy(errorCode.none, 'drained');
  }

  /** For a peer that is dead: no farewell. */
  #abort(cause: string): void {
    this.#closed(cause);
    this.#socket.destroy();
  }

  #closed(cause: string): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    clearInterval(this.#ticker);
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const stream of streams) stream.call.settle({ kind: 'lost', cause });
    this.#events.closed(cause, streams.length);
  }
}

function nameOf(code: number): string {
  return errorNames.find(([, value]) => value === code)?.[0] ?? String(code);
}

function check(fits: boolean, code: number, message: string): void {
  if (!fits) throw new ConnectionError(code, message);
}
