// How two nodes speak: frames of length (4 bytes) and a value in V8's serialisation, which keeps dates, bytes and
// bigints. Only nodes of one database speak to each other; each proves that it knows the secret that lies there, on a
// challenge of the other, before anything else is read.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Socket } from 'node:net';
import { deserialize, serialize } from 'node:v8';

export type Frame =
  | { readonly kind: 'hello'; readonly challenge: Buffer }
  | { readonly kind: 'proof'; readonly proof: Buffer }
  | { readonly kind: 'call'; readonly id: number; readonly call: Call }
  | { readonly kind: 'abort'; readonly id: number }
  | { readonly kind: 'result'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failure'; readonly id: number; readonly code: string | undefined; readonly message: string }
  /** A partition has grown, or a topic has changed. No answer. */
  | { readonly kind: 'grown'; readonly topic: number; readonly part: number }
  | { readonly kind: 'changed'; readonly topic: number };

/** A call of a seat's method at the partition's owner. */
export type Call = {
  readonly topic: number;
  readonly part: number;
  readonly subscription: number;
  readonly entity: 'live' | 'dead' | 'transfer';
  readonly method: string;
  readonly args: readonly unknown[];
};

const MOST_BYTES = 256 * 1024 * 1024;
/** Before a peer has proved itself it may not send more than this. */
const MOST_UNPROVEN_BYTES = 1024;

export function proofOf(secret: Buffer, challenge: Buffer, role: 'server' | 'client'): Buffer {
  return createHmac('sha256', secret).update(role).update(challenge).digest();
}

/** One side of a connection between nodes. `onFrame` gets frames only after the peer has proved itself. */
export class Peer {
  readonly #socket: Socket;
  readonly #onFrame: (frame: Frame) => void;
  readonly #secret: Buffer;
  readonly #role: 'server' | 'client';
  readonly #challenge = randomBytes(32);
  readonly proven: Promise<void>;
  #prove: () => void = () => {};
  #isProven = false;
  #chunks: Buffer[] = [];
  #size = 0;

  constructor(socket: Socket, role: 'server' | 'client', secret: Buffer, onFrame: (frame: Frame) => void) {
    this.#socket = socket;
    this.#role = role;
    this.#secret = secret;
    this.#onFrame = onFrame;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.proven = promise;
    this.#prove = resolve;
    promise.catch(() => {});
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => reject(new Error('the other node closed the connection')));
    this.send({ kind: 'hello', challenge: this.#challenge });
  }

  send(frame: Frame): void {
    if (this.#socket.destroyed) return;
    const body = serialize(frame);
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(body.length);
    this.#socket.cork();
    this.#socket.write(length);
    this.#socket.write(body);
    this.#socket.uncork();
  }

  #read(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size < 4) return;
    let data = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    while (data.length >= 4) {
      const length = data.readUInt32BE(0);
      if (length > (this.#isProven ? MOST_BYTES : MOST_UNPROVEN_BYTES)) {
        this.#socket.destroy();
        return;
      }
      if (data.length < 4 + length) break;
      this.#handle(data.subarray(4, 4 + length));
      data = data.subarray(4 + length);
    }
    this.#chunks = data.length > 0 ? [data] : [];
    this.#size = data.length;
  }

  #handle(bytes: Buffer): void {
    // What a node sends is a Frame; strangers are cut off before they can send anything but the first two kinds.
    const frame = deserialize(bytes) as Frame;
    if (this.#isProven) this.#onFrame(frame);
    else if (frame.kind === 'hello')
      this.send({ kind: 'proof', proof: proofOf(this.#secret, frame.challenge, this.#role) });
    else if (frame.kind === 'proof' && this.#accepts(frame.proof)) {
      this.#isProven = true;
      this.#prove();
    } else this.#socket.destroy();
  }

  #accepts(proof: Buffer): boolean {
    const expected = proofOf(this.#secret, this.#challenge, this.#role === 'server' ? 'client' : 'server');
    return proof.length === expected.length && timingSafeEqual(proof, expected);
  }

  close(): void {
    this.#socket.destroy();
  }
}
