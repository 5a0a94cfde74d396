// Batched writing: frames of one turn of the event loop gather in a slab and go to the socket as one write, so that a thousand small
// pushes cost a handful of TLS records instead of two thousand writes. Slabs come back when the socket has taken them.

import type { Writable } from 'node:stream';
import { Bytes } from '../bytes.ts';

const slabBytes = 64 * 1024;
const maxFreeSlabs = 16;
/** Above this many bytes that the socket could not send yet, no new streams are opened. */
const stalledBytes = 1024 * 1024;

export class Output {
  /** Write here, behind its end, what `reserve` has made room for; then move the end. */
  slab = new Bytes(slabBytes);
  readonly #socket: Writable;
  readonly #onDrain: () => void;
  readonly #free: Bytes[] = [];
  #scheduled = false;
  #stalled = false;
  #ended = false;

  constructor(socket: Writable, onDrain: () => void) {
    this.#socket = socket;
    this.#onDrain = onDrain;
    socket.on('drain', () => this.#drained());
  }

  /** The peer does not read: open no streams until `onDrain`. */
  get stalled(): boolean {
    return this.#stalled;
  }

  reserve(bytes: number): void {
    if (this.slab.capacity - this.slab.length < bytes) this.#nextSlab(bytes);
    if (this.#scheduled) return;
    this.#scheduled = true;
    // setImmediate and not a microtask: callers that await between pushes still share one write.
    setImmediate(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  append(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.slab.buffer.set(bytes, this.slab.length);
    this.slab.length += bytes.length;
  }

  flush(): void {
    if (this.slab.length > 0) this.#nextSlab(0);
  }

  /** Sends what is left and closes our side. */
  end(): void {
    this.flush();
    this.#ended = true;
    this.#socket.end();
  }

  #nextSlab(bytes: number): void {
    const full = this.slab;
    if (full.length > 0) this.#write(full);
    else this.#recycle(full);
    this.slab = bytes <= slabBytes ? (this.#free.pop() ?? new Bytes(slabBytes)) : new Bytes(bytes);
    this.slab.length = 0;
  }

  #write(full: Bytes): void {
    if (this.#ended || this.#socket.destroyed) return;
    // The callback also comes with an error when the socket dies; the slab is free either way.
    this.#socket.write(full.buffer.subarray(0, full.length), () => this.#recycle(full));
    this.#stalled = this.#socket.writableLength > stalledBytes;
  }

  #recycle(slab: Bytes): void {
    if (slab.capacity === slabBytes && this.#free.length < maxFreeSlabs) this.#free.push(slab);
  }

  #drained(): void {
    this.#stalled = false;
    this.#onDrain();
  }
}
