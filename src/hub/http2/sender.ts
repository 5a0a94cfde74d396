// Writes calls as frames: HEADERS (and CONTINUATION when a block is larger than a frame), then DATA as far as flow control lets it.
// The usual push is one HEADERS and one DATA frame, encoded in place in the output slab without an object in between.

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
import type { Stream } from './stream.ts';

export class Sender {
  initialWindow = defaultWindow;
  maxFrame = defaultMaxFrame;
  readonly #output: Output;
  readonly #encoder: HpackEncoder;
  /** Streams whose body waits for a window, oldest first. */
  readonly #blocked = new Set<Stream>();
  #window = defaultWindow;

  constructor(output: Output, encoder: HpackEncoder) {
    this.#output = output;
    this.#encoder = encoder;
  }

  /** Nothing can be sent on any stream until the peer widens the connection's window. */
  get exhausted(): boolean {
    return this.#window <= 0;
  }

  open(stream: Stream): void {
    const { call } = stream;
    const empty = call.body.length === 0;
    const fields = call.head.sendsLength
      ? [...call.fields, 'content-length', String(Buffer.byteLength(call.body))]
      : call.fields;
    const bound = this.#encoder.bound(call.head, call.path, fields);
    if (bound > this.maxFrame) this.#openLarge(stream, fields, bound, empty);
    else this.#openSmall(stream, fields, bound, empty);
    if (!empty) this.#startBody(stream);
  }

  forget(stream: Stream): void {
    this.#blocked.delete(stream);
  }

  /** WINDOW_UPDATE on stream 0. */
  widen(bytes: number): void {
    this.#window += bytes;
    if (this.#window > maxWindow) throw new ConnectionError(errorCode.flowControl, 'the connection window overflows');
    for (const stream of this.#blocked) {
      if (this.exhausted) return;
      this.#pump(stream);
    }
  }

  /** WINDOW_UPDATE on a stream. False when it overflows: a stream error. */
  widenStream(stream: Stream, bytes: number): boolean {
    stream.window += bytes;
    if (stream.window > maxWindow) return false;
    if (stream.rest !== undefined) this.#pump(stream);
    return true;
  }

  /** A changed SETTINGS_INITIAL_WINDOW_SIZE moves the window of every open stream by the difference, below zero if need be. */
  resize(initialWindow: number, streams: Iterable<Stream>): void {
    const change = initialWindow - this.initialWindow;
    this.initialWindow = initialWindow;
    for (const stream of streams)
      if (!this.widenStream(stream, change))
        throw new ConnectionError(errorCode.flowControl, 'a stream window overflows');
  }

  #openSmall(stream: Stream, fields: readonly string[], bound: number, empty: boolean): void {
    const output = this.#output;
    output.reserve(frameHeaderBytes + bound);
    const start = output.at + frameHeaderBytes;
    const end = this.#encoder.write(output.slab, start, stream.call.head, stream.call.path, fields);
    const flags = empty ? flag.endHeaders | flag.endStream : flag.endHeaders;
    writeFrameHeader(output.slab, output.at, end - start, frame.headers, flags, stream.id);
    output.at = end;
  }

  #openLarge(stream: Stream, fields: readonly string[], bound: number, empty: boolean): void {
    const block = Buffer.allocUnsafe(bound);
    const length = this.#encoder.write(block, 0, stream.call.head, stream.call.path, fields);
    for (let at = 0; at < length; at += this.maxFrame) {
      const piece = block.subarray(at, Math.min(at + this.maxFrame, length));
      const flags = (at + piece.length === length ? flag.endHeaders : 0) | (at === 0 && empty ? flag.endStream : 0);
      this.#append(at === 0 ? frame.headers : frame.continuation, flags, stream.id, piece);
    }
  }

  /** A text body is encoded straight into the slab; it is only copied out again when the windows or the frame size are too small. */
  #startBody(stream: Stream): void {
    const { body } = stream.call;
    if (typeof body !== 'string') {
      this.#send(stream, Buffer.from(body.buffer, body.byteOffset, body.length));
      return;
    }
    const output = this.#output;
    output.reserve(frameHeaderBytes + body.length * 3);
    const start = output.at + frameHeaderBytes;
    const bytes = output.slab.write(body, start, 'utf8');
    if (bytes > this.#allowance(stream)) {
      this.#send(stream, Buffer.from(output.slab.subarray(start, start + bytes)));
      return;
    }
    writeFrameHeader(output.slab, output.at, bytes, frame.data, flag.endStream, stream.id);
    output.at = start + bytes;
    this.#spend(stream, bytes);
  }

  #send(stream: Stream, body: Buffer): void {
    stream.rest = body;
    this.#pump(stream);
  }

  #pump(stream: Stream): void {
    while (stream.rest !== undefined) {
      const bytes = Math.min(stream.rest.length, this.#allowance(stream));
      if (bytes <= 0) {
        this.#blocked.add(stream);
        return;
      }
      const last = bytes === stream.rest.length;
      this.#append(frame.data, last ? flag.endStream : 0, stream.id, stream.rest.subarray(0, bytes));
      this.#spend(stream, bytes);
      stream.rest = last ? undefined : stream.rest.subarray(bytes);
    }
    this.#blocked.delete(stream);
  }

  #allowance(stream: Stream): number {
    return Math.min(this.#window, stream.window, this.maxFrame);
  }

  #spend(stream: Stream, bytes: number): void {
    this.#window -= bytes;
    stream.window -= bytes;
  }

  #append(type: number, flags: number, stream: number, payload: Uint8Array): void {
    const output = this.#output;
    output.reserve(frameHeaderBytes + payload.length);
    writeFrameHeader(output.slab, output.at, payload.length, type, flags, stream);
    output.slab.set(payload, output.at + frameHeaderBytes);
    output.at += frameHeaderBytes + payload.length;
  }
}
