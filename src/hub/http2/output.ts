// Batched writing: frames of one turn of the event loop gather in a slab and go to the socket as one write, so that a thousand small
// pushes cost a handful of TLS records instead of two thousand writes. Slabs come back when the socket has taken them.

import type { Writable } from 'node:stream';

const slabBytes = 64 * 1024;
const maxFreeSlabs = 16;
/** Above this many bytes that the socket could not send yet, no new streams are opened. */
const stalledBytes = 1024 * 1024;

export class Output {
  /** Write here, from `at` on, what `reserve` has made room for; then move `at`. */
  slab: Buffer = Buffer.allocUnsafeSlow(slabBytes);
  at = 0;
  readonly #socket: Writable;
  readonly #onDrain: () => void;
  readonly #free: Buffer[] = [];
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
    if (this.slab.length - this.at < bytes) this.#nextSlab(bytes);
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
    this.slab.set(bytes, this.at);
    this.at += bytes.length;
  }

  flush(): void {
    if (this.at > 0) this.#nextSlab(0);
  }

  /** Sends what is left and closes our side. */
  end(): void {
    this.flush();
    this.#ended = true;
    this.#socket.end();
  }

  #nextSlab(bytes: number): void {
    const full = this.slab;
    if (this.at > 0) this.#write(full);
    else this.#recycle(full);
    this.slab =
      bytes <= slabBytes ? (this.#free.pop() ?? Buffer.allocUnsafeSlow(slabBytes)) : Buffer.allocUnsafeSlow(bytes);
    this.at = 0;
  }

  #write(full: Buffer): void {
    if (this.#ended || this.#socket.destroyed) return;
    // The callback also comes with an error when the socket dies; the slab is free either way.
    this.#socket.write(full.subarray(0, this.at), () => this.#recycle(full));
    this.#stalled = this.#socket.writableLength > stalledBytes;
  }

  #recycle(slab: Buffer): void {
    if (slab.length === slabBytes && this.#free.length < maxFreeSlabs) this.#free.push(slab);
  }

  #drained(): void {
    this.#stalled = false;
    this.#onDrain();
  }
}
