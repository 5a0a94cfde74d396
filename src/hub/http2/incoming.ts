// What a server may send a client, checked: framing, header blocks with their table, padding, sizes, floods. Whatever breaks the rules of
// the connection throws a ConnectionError here; what is left are plain facts for the connection to act on.

import {
  ConnectionError,
  contentOf,
  errorCode,
  FrameReader,
  flag,
  frame,
  maxWindow,
  readUint31,
  readUint32,
} from './frames.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { PlainAnswers } from './plain-answers.ts';

/** Told of each checked frame. `last` is END_STREAM. Spans are valid only during the call. */
export type IncomingEvents = {
  /** Whether we ever opened this stream: a frame on any other is a protocol error. */
  knows(stream: number): boolean;
  headers(stream: number, fields: string[], last: boolean): void;
  /** An answer 200. False: its fields are wanted, or nothing but `headers` should follow now. */
  plain(stream: number, last: boolean): boolean;
  /** `flowBytes` counts against the windows: content and padding. */
  data(stream: number, bytes: Buffer, start: number, end: number, last: boolean, flowBytes: number): void;
  reset(stream: number, code: number): void;
  settings(changes: readonly Setting[]): void;
  settingsAcknowledged(): void;
  pinged(payload: Buffer): void;
  ponged(): void;
  goaway(lastStream: number, code: number, debug: string): void;
  widened(stream: number, increment: number): void;
};

export type Setting = { readonly id: number; readonly value: number };

export const headerTableBytes = 4096;
export const maxHeaderListBytes = 32 * 1024;
/** Frames that ask for work but carry none; refilled by `calm`. */
const maxIdleFrames = 1000;
const maxDebugBytes = 512;

export class Incoming {
  readonly #events: IncomingEvents;
  readonly #reader: FrameReader;
  readonly #decoder = new HpackDecoder(headerTableBytes, maxHeaderListBytes);
  readonly #plain = new PlainAnswers();
  #idleFrames = 0;
  #greeted = false;
  /** A header block that goes on in CONTINUATION frames; nothing else may come in between. */
  #block: { readonly stream: number; readonly flags: number; bytes: Buffer } | undefined;

  constructor(events: IncomingEvents) {
    this.#events = events;
    this.#reader = new FrameReader((type, flags, stream, bytes, start, end) =>
      this.#frame(type, flags, stream, bytes, start, end),
    );
  }

  /** Throws ConnectionError. */
  push(chunk: Buffer): void {
    this.#reader.push(chunk);
  }

  /** Time has passed: forgives half of what the flood guard allows. */
  calm(): void {
    this.#idleFrames = Math.max(this.#idleFrames - maxIdleFrames / 2, 0);
  }

  #frame(type: number, flags: number, stream: number, bytes: Buffer, start: number, end: number): void {
    if (!this.#greeted && (type !== frame.settings || flags & flag.ack))
      throw protocol('the first frame is not SETTINGS');
    if (this.#block !== undefined && (type !== frame.continuation || stream !== this.#block.stream))
      throw protocol('a header block was interrupted');
    if (type === frame.data || type === frame.headers) this.#onStream(type, flags, stream, bytes, start, end);
    else if (type === frame.continuation) this.#continuation(flags, bytes, start, end);
    else if (type === frame.windowUpdate) this.#windowUpdate(stream, bytes, start, end);
    else if (type === frame.rstStream) this.#reset(stream, bytes, start, end);
    else this.#onConnection(type, flags, stream, bytes, start, end);
  }

  #onStream(type: number, flags: number, stream: number, bytes: Buffer, start: number, end: number): void {
    this.#checkKnown(stream);
    const content = contentOf(type, flags, bytes, start, end);
    const last = (flags & flag.endStream) !== 0;
    if (type === frame.data) {
      if (content.end === content.start && !last) this.#countIdle(1);
      this.#events.data(stream, bytes, content.start, content.end, last, end - start);
    } else if (flags & flag.endHeaders) this.#headerBlock(stream, last, bytes, content.start, content.end);
    else this.#block = { stream, flags, bytes: Buffer.from(bytes.subarray(content.start, content.end)) };
  }

  #continuation(flags: number, bytes: Buffer, start: number, end: number): void {
    const block = this.#block;
    if (block === undefined) throw protocol('CONTINUATION without HEADERS');
    this.#countIdle(end === start ? 20 : 2);
    block.bytes = Buffer.concat([block.bytes, bytes.subarray(start, end)]);
    if (block.bytes.length > maxHeaderListBytes)
      throw new ConnectionError(errorCode.enhanceYourCalm, 'a header block without end');
    if (!(flags & flag.endHeaders)) return;
    this.#block = undefined;
    this.#headerBlock(block.stream, (block.flags & flag.endStream) !== 0, block.bytes, 0, block.bytes.length);
  }

  /** Whatever the table may notice is decoded, also for streams that are gone, or the table would drift. */
  #headerBlock(stream: number, last: boolean, bytes: Buffer, start: number, end: number): void {
    if (this.#plain.has(bytes, start, end) && this.#events.plain(stream, last)) return;
    const fields: string[] = [];
    this.#decoder.decode(bytes, start, end, fields);
    this.#events.headers(stream, fields, last);
  }

  #windowUpdate(stream: number, bytes: Buffer, start: number, end: number): void {
    checkSize(end - start === 4);
    if (stream !== 0) this.#checkKnown(stream);
    const increment = readUint31(bytes, start);
    if (stream === 0 && increment === 0) throw protocol('a window increment of 0');
    this.#events.widened(stream, increment);
  }

  #reset(stream: number, bytes: Buffer, start: number, end: number): void {
    this.#checkKnown(stream);
    checkSize(end - start === 4);
    this.#events.reset(stream, readUint32(bytes, start));
  }

  #onConnection(type: number, flags: number, stream: number, bytes: Buffer, start: number, end: number): void {
    if (type === frame.pushPromise) throw protocol('a push that we switched off');
    this.#countIdle(1);
    if (type === frame.priority) checkStream(stream !== 0);
    // Kinds that we do not know are ignored (section 5.5).
    if (type !== frame.settings && type !== frame.ping && type !== frame.goaway) return;
    checkStream(stream === 0);
    if (type === frame.settings) this.#settings(flags, bytes, start, end);
    else if (type === frame.ping) this.#ping(flags, bytes, start, end);
    else this.#goaway(bytes, start, end);
  }

  #settings(flags: number, bytes: Buffer, start: number, end: number): void {
    if (flags & flag.ack) {
      checkSize(end === start);
      this.#events.settingsAcknowledged();
      return;
    }
    checkSize((end - start) % 6 === 0);
    this.#greeted = true;
    const changes: Setting[] = [];
    for (let at = start; at < end; at += 6)
      changes.push({ id: bytes.readUInt16BE(at), value: readUint32(bytes, at + 2) });
    this.#events.settings(changes);
  }

  #ping(flags: number, bytes: Buffer, start: number, end: number): void {
    checkSize(end - start === 8);
    if (flags & flag.ack) this.#events.ponged();
    else this.#events.pinged(bytes.subarray(start, end));
  }

  #goaway(bytes: Buffer, start: number, end: number): void {
    checkSize(end - start >= 8);
    const debug = bytes.toString('utf8', start + 8, Math.min(end, start + 8 + maxDebugBytes));
    this.#events.goaway(readUint31(bytes, start) & maxWindow, readUint32(bytes, start + 4), debug);
  }

  #checkKnown(stream: number): void {
    if (!this.#events.knows(stream)) throw protocol(`a frame on stream ${stream}, which is not ours`);
  }

  /** A peer that floods us with frames that carry nothing is shut out (CVE-2019-9512 and its siblings, CVE-2024-27316). */
  #countIdle(weight: number): void {
    this.#idleFrames += weight;
    if (this.#idleFrames > maxIdleFrames)
      throw new ConnectionError(errorCode.enhanceYourCalm, 'too many empty or control frames');
  }
}

function protocol(what: string): ConnectionError {
  return new ConnectionError(errorCode.protocol, what);
}

function checkSize(fits: boolean): void {
  if (!fits) throw new ConnectionError(errorCode.frameSize, 'a frame of the wrong size');
}

function checkStream(fits: boolean): void {
  if (!fits) throw protocol('a frame on the wrong kind of stream');
}
