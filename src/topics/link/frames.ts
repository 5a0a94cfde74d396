// How two nodes speak: frames of length (4 bytes) and a value in V8's serialisation, which keeps dates, bytes and
// bigints, over TLS. Only nodes of one database speak to each other: the secret that lies there is the pre-shared key
// of the handshake (RFC 5489, with ephemeral keys), which proves both sides and needs no certificates.
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { deserialize, serialize } from 'node:v8';

export type Frame =
  | { readonly kind: 'call'; readonly id: number; readonly call: Call }
  | { readonly kind: 'abort'; readonly id: number }
  | { readonly kind: 'result'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failure'; readonly id: number; readonly code: string | undefined; readonly message: string }
  /** A partition has grown, or a topic has changed. No answer. */
  | { readonly kind: 'grown'; readonly topic: number; readonly part: number }
  | { readonly kind: 'changed'; readonly topic: number }
  /** A partition was let go, for whoever has less than its share. No answer. */
  | { readonly kind: 'released' };

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

/** Of both sides' TLS. Pre-shared keys are given by callback up to version 1.2 only. */
export const LINK_TLS = {
  ciphers: 'ECDHE-PSK-CHACHA20-POLY1305',
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.2',
} as const;

/** The name under which nodes show the key. */
export const LINK_IDENTITY = 'carillon-node';

/** One side of a connection between nodes, after the handshake. */
export class Peer {
  readonly #socket: TLSSocket;
  readonly #onFrame: (frame: Frame) => void;
  #chunks: Buffer[] = [];
  #size = 0;

  constructor(socket: TLSSocket, onFrame: (frame: Frame) => void) {
    this.#socket = socket;
    this.#onFrame = onFrame;
    quiet(socket);
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#read(chunk));
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
      if (length > MOST_BYTES) {
        this.#socket.destroy();
        return;
      }
      if (data.length < 4 + length) break;
      // What a node sends is a Frame, and only nodes get past the handshake.
      this.#onFrame(deserialize(data.subarray(4, 4 + length)) as Frame);
      data = data.subarray(4 + length);
    }
    this.#chunks = data.length > 0 ? [data] : [];
    this.#size = data.length;
  }
}

/** A connection that breaks is closed; whoever uses it hears of that. */
export function quiet(socket: Socket): void {
  socket.on('error', () => socket.destroy());
}
