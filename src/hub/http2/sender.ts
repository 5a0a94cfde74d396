// Writes calls as frames: HEADERS (and CONTINUATION when a block is larger than a frame), then DATA as far as flow control lets it.
// The usual push is one HEADERS and one DATA frame, encoded in place in the output slab without an object in between.

import { Bytes } from '../bytes.ts';
import {
  ConnectionError,
  defaultMaxFrame,
  defaultWindow,
  errorCode,
  flag,
  frame,
  frameHeaderBytes,
  maxWindow,
  writeFrameHeader,
} from './frames.ts';
import type { HpackEncoder } from './hpack-encoder.ts';
import type { Output } from './output.ts';
import { bodyOf, type Calls } from './port.ts';
import type { Streams } from './streams.ts';

export class Sender {
  initialWindow = defaultWindow;
  maxFrame = defaultMaxFrame;
  readonly #output: Output;
  readonly #encoder: HpackEncoder;
  readonly #streams: Streams;
  /** What a window keeps back of bodies, by the place of the stream; oldest first. */
  readonly #rests = new Map<number, Buffer>();
  #window = defaultWindow;

  constructor(output: Output, encoder: HpackEncoder, streams: Streams) {
    this.#output = output;
    this.#encoder = encoder;
    this.#streams = streams;
  }

  /** Nothing can be sent on any stream until the peer widens the connection's window. */
  get exhausted(): boolean {
    return this.#window <= 0;
  }

  open(place: number): void {
    const { calls: callsAt, indexes, windows } = this.#streams;
    const calls = callsAt[place]!;
    const index = indexes[place]!;
    const bytes = calls.bodyBytes(index);
    windows[place] = this.initialWindow;
    this.#openHead(place, calls, index, bytes);
    if (bytes > this.#allowance(place)) this.#send(place, bodyOf(calls, index));
    else if (bytes > 0) this.#writeBody(place, calls, index, bytes);
  }

  /** A part of the body is still here. */
  isSending(place: number): boolean {
    return this.#rests.has(place);
  }

  forget(place: number): void {
    this.#rests.delete(place);
  }

  /** WINDOW_UPDATE on stream 0. */
  widen(bytes: number): void {
    this.#window += bytes;
    if (this.#window > maxWindow) throw new ConnectionError(errorCode.flowControl, 'the connection window overflows');
    for (const [place, rest] of this.#rests) {
      if (this.exhausted) return;
      this.#send(place, rest);
    }
  }

  /** WINDOW_UPDATE on a stream. False when it overflows: a stream error. */
  widenStream(place: number, bytes: number): boolean {
    const window = this.#streams.windows[place]! + bytes;
    if (window > maxWindow) return false;
    this.#streams.windows[place] = window;
    const rest = this.#rests.get(place);
    if (rest !== undefined) this.#send(place, rest);
    return true;
  }

  /** A changed SETTINGS_INITIAL_WINDOW_SIZE moves the window of every open stream by the difference, below zero if need be. */
  resize(initialWindow: number): void {
    const change = initialWindow - this.initialWindow;
    this.initialWindow = initialWindow;
    for (const place of this.#streams.places())
      if (!this.widenStream(place, change))
        throw new ConnectionError(errorCode.flowControl, 'a stream window overflows');
  }

  #openHead(place: number, calls: Calls, index: number, bodyBytes: number): void {
    const own = calls.fields(index);
    const fields = calls.head.sendsLength ? [...own, 'content-length', String(bodyBytes)] : own;
    const id = this.#streams.idOf(place);
    const endStream = bodyBytes === 0 ? flag.endStream : 0;
    const bound = this.#encoder.bound(calls, index, fields);
    if (bound > this.maxFrame) {
      this.#openLarge(id, calls, index, fields, bound, endStream);
      return;
    }
    const output = this.#output;
    output.reserve(frameHeaderBytes + bound);
    const { slab } = output;
    const end = this.#encoder.write(slab, slab.length + frameHeaderBytes, calls, index, fields);
    const length = end - slab.length - frameHeaderBytes;
    writeFrameHeader(slab.buffer, slab.length, length, frame.headers, flag.endHeaders | endStream, id);
    slab.length = end;
  }

  #openLarge(
    id: number,
    calls: Calls,
    index: number,
    fields: readonly string[],
    bound: number,
    endStream: number,
  ): void {
    const block = new Bytes(bound);
    const length = this.#encoder.write(block, 0, calls, index, fields);
    for (let at = 0; at < length; at += this.maxFrame) {
      const piece = block.buffer.subarray(at, Math.min(at + this.maxFrame, length));
      const flags = (at + piece.length === length ? flag.endHeaders : 0) | (at === 0 ? endStream : 0);
      this.#append(at === 0 ? frame.headers : frame.continuation, flags, id, piece);
    }
  }

  /** In place, where the windows and the frame are large enough for all of it. */
  #writeBody(place: number, calls: Calls, index: number, bytes: number): void {
    const output = this.#output;
    output.reserve(frameHeaderBytes + bytes);
    const { slab } = output;
    writeFrameHeader(slab.buffer, slab.length, bytes, frame.data, flag.endStream, this.#streams.idOf(place));
    calls.writeBody(index, slab, slab.length + frameHeaderBytes);
    slab.length += frameHeaderBytes + bytes;
    this.#spend(place, bytes);
  }

  /** As much of it as the windows allow; the rest waits. */
  #send(place: number, body: Buffer): void {
    for (let rest = body; ; ) {
      const bytes = Math.min(rest.length, this.#allowance(place));
      if (bytes <= 0) {
        this.#rests.set(place, rest);
        return;
      }
      const last = bytes === rest.length;
      this.#append(frame.data, last ? flag.endStream : 0, this.#streams.idOf(place), rest.subarray(0, bytes));
      this.#spend(place, bytes);
      if (last) break;
      rest = rest.subarray(bytes);
    }
    this.#rests.delete(place);
  }

  #allowance(place: number): number {
    return Math.min(this.#window, this.#streams.windows[place]!, this.maxFrame);
  }

  #spend(place: number, bytes: number): void {
    this.#window -= bytes;
    this.#streams.windows[place]! -= bytes;
  }

  #append(type: number, flags: number, stream: number, payload: Uint8Array): void {
    const output = this.#output;
    output.reserve(frameHeaderBytes + payload.length);
    writeFrameHeader(output.slab.buffer, output.slab.length, payload.length, type, flags, stream);
    output.slab.length += frameHeaderBytes;
    output.append(payload);
  }
}
