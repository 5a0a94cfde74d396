// One HTTP/2 connection, client side (RFC 9113).
//
//   opening --peer's SETTINGS--> open --GOAWAY | ids used up | close()--> draining --last stream settled--> closed
//      `------------ TLS error, protocol error, silence, end of the socket -------------------------------> closed
//
// No request leaves before the peer's SETTINGS are known: some services answer one stream too many with GOAWAY.
// Server push is switched off.

import type { Duplex } from 'node:stream';
import { AnswerReader } from './answer.ts';
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
import type { Answer, Calls, Reply } from './port.ts';
import { Sender } from './sender.ts';
import { Streams } from './streams.ts';

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
  unprocessed(calls: Calls, index: number, cause: string): void;
};

/** The coarse clock that time-outs are counted on. */
export const tickMs = 50;
const connectionWindow = 4 * 1024 * 1024;
const errorNames = Object.entries(errorCode);
const nothing = Buffer.alloc(0);
const plainAnswer: Answer = { kind: 'answer', status: 200, fields: [], body: nothing };

export class Connection {
  readonly #socket: Duplex;
  readonly #settings: ConnectionSettings;
  readonly #events: ConnectionEvents;
  readonly #output: Output;
  readonly #encoder = new HpackEncoder();
  readonly #sender: Sender;
  readonly #streams: Streams;
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
    this.#streams = new Streams(settings.maxStreams);
    this.#sender = new Sender(this.#output, this.#encoder, this.#streams);
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
  send(calls: Calls, index: number): void {
    const timeoutMs = calls.timeoutMs ?? this.#settings.timeoutMs;
    const place = this.#streams.add(this.#nextId, calls, index);
    this.#streams.deadlines[place] = this.#ticks + Math.ceil(timeoutMs / tickMs) + 1;
    this.#nextId = this.#streams.nextId(this.#nextId + 2);
    if (this.#nextId > this.#settings.lastStreamId) this.#drain();
    this.#sender.open(place);
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
      plain: (id, last) => this.#plain(id, last),
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

  /** For most pushes this is all of the answer. */
  #plain(id: number, last: boolean): boolean {
    const place = this.#streams.find(id);
    if (place < 0) return true;
    const { calls, answers, plain } = this.#streams;
    if (calls[place]!.whole || answers[place] !== undefined || plain[place] === 1) return false;
    plain[place] = 1;
    if (last) this.#finish(place, plainAnswer);
    return true;
  }

  #headers(id: number, fields: string[], last: boolean): void {
    const place = this.#streams.find(id);
    if (place < 0) return;
    if (this.#streams.plain[place] === 1) {
      this.#endPlain(place, last);
      return;
    }
    const wrong = this.#answer(place).takeHeaders(fields, last);
    if (wrong !== undefined) this.#fail(place, errorCode.protocol, wrong);
    else if (last) this.#finishRead(place);
  }

  #data(id: number, bytes: Buffer, start: number, end: number, last: boolean, flowBytes: number): void {
    this.#receive(flowBytes);
    const place = this.#streams.find(id);
    if (place < 0) return;
    const padding = flowBytes - (end - start);
    if (padding > 0) this.#output.append(uint32Frame(frame.windowUpdate, id, padding));
    if (this.#streams.plain[place] === 1) {
      // Not kept, and the window of the stream ends it.
      if (last) this.#finish(place, plainAnswer);
      return;
    }
    const wrong = this.#answer(place).takeData(bytes, start, end, last, this.#settings.maxAnswerBytes);
    if (wrong !== undefined)
      this.#fail(place, wrong === 'answer_too_large' ? errorCode.cancel : errorCode.protocol, wrong);
    else if (last) this.#finishRead(place);
  }

  /** Trailers, if anything. */
  #endPlain(place: number, last: boolean): void {
    if (last) this.#finish(place, plainAnswer);
    else this.#fail(place, errorCode.protocol, 'trailers_without_end');
  }

  #answer(place: number): AnswerReader {
    const { answers } = this.#streams;
    answers[place] ??= new AnswerReader();
    return answers[place];
  }

  /** Gives the connection's window back when half of it is used: without this, 1,680 errors of 39 bytes stop a connection for good. */
  #receive(bytes: number): void {
    this.#receiveWindow -= bytes;
    if (this.#receiveWindow > connectionWindow / 2) return;
    this.#output.append(uint32Frame(frame.windowUpdate, 0, connectionWindow - this.#receiveWindow));
    this.#receiveWindow = connectionWindow;
  }

  #finishRead(place: number): void {
    const answer = this.#answer(place).finish();
    if (typeof answer === 'string') this.#fail(place, errorCode.protocol, answer);
    else this.#finish(place, answer);
  }

  #finish(place: number, answer: Answer): void {
    // An answer before our body was through: the peer does not want the rest (section 8.1).
    if (this.#sender.isSending(place)) this.#resetStream(place, errorCode.none);
    this.#answered += 1;
    this.#settle(place, answer);
  }

  /** Resets a stream whose answer is of no use. The peer has seen the call, so nobody knows whether it took effect. */
  #fail(place: number, code: number, cause: string): void {
    this.#resetStream(place, code);
    this.#settle(place, { kind: 'lost', cause });
  }

  #resetStream(place: number, code: number): void {
    this.#output.append(uint32Frame(frame.rstStream, this.#streams.idOf(place), code));
  }

  #settle(place: number, reply: Reply): void {
    const calls = this.#streams.calls[place]!;
    const index = this.#streams.indexes[place]!;
    this.#forget(place);
    calls.settle(index, reply);
  }

  #giveBack(place: number, cause: string): void {
    const calls = this.#streams.calls[place]!;
    const index = this.#streams.indexes[place]!;
    this.#forget(place);
    this.#events.unprocessed(calls, index, cause);
  }

  #forget(place: number): void {
    this.#streams.remove(place);
    this.#sender.forget(place);
  }

  #reset(id: number, code: number): void {
    const place = this.#streams.find(id);
    if (place < 0) return;
    if (code === errorCode.refusedStream) this.#giveBack(place, 'refused_stream');
    else this.#settle(place, { kind: 'lost', cause: `reset:${nameOf(code)}` });
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
      this.#sender.resize(value);
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
    for (const place of this.#streams.places())
      if (this.#streams.idOf(place) > this.#lastAllowedId) this.#giveBack(place, `goaway:${nameOf(code)}`);
  }

  #widened(id: number, increment: number): void {
    if (id === 0) {
      this.#sender.widen(increment);
      return;
    }
    const place = this.#streams.find(id);
    if (place < 0) return;
    if (increment === 0) this.#fail(place, errorCode.protocol, 'window_increment');
    else if (!this.#sender.widenStream(place, increment)) this.#fail(place, errorCode.flowControl, 'window_overflow');
  }

  #tick(): void {
    this.#ticks += 1;
    this.#incoming.calm();
    for (const place of this.#streams.places())
      if (this.#streams.deadlines[place]! <= this.#ticks) this.#fail(place, errorCode.cancel, 'timeout');
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
    const lost = this.#streams.size;
    for (const place of this.#streams.places()) this.#settle(place, { kind: 'lost', cause });
    this.#events.closed(cause, lost);
  }
}

function nameOf(code: number): string {
  return errorNames.find(([, value]) => value === code)?.[0] ?? String(code);
}

function check(fits: boolean, code: number, message: string): void {
  if (!fits) throw new ConnectionError(code, message);
}
