// The least AMQP 1.0 client: frames are written and read as they are, so that a test can say what no library would say.
import { connect, type Socket } from 'node:net';
import { AmqpDescribed, type AmqpValue, Reader } from '../../src/gateways/servicebus/amqp/decode.ts';
import * as to from '../../src/gateways/servicebus/amqp/encode.ts';

export const OPEN = 0x10;
export const BEGIN = 0x11;
export const ATTACH = 0x12;
export const FLOW = 0x13;
export const TRANSFER = 0x14;
export const DISPOSITION = 0x15;
export const DETACH = 0x16;
export const END = 0x17;
export const CLOSE = 0x18;
export const SASL_MECHANISMS = 0x40;
export const SASL_OUTCOME = 0x44;

export type RawFrame = {
  readonly code: number;
  readonly fields: AmqpValue[];
  readonly payload: Buffer;
  /** The descriptor and the constructor of the list, as they came. */
  readonly head: Buffer;
};

export const PLAIN_HEADER = Buffer.from('AMQP\0\x01\0\0', 'latin1');
export const SASL_HEADER = Buffer.from('AMQP\x03\x01\0\0', 'latin1');

/** A frame of type 0 (AMQP) or 1 (SASL) on channel 0. */
export function frame(
  code: number,
  fields: readonly to.Encoded[],
  payload: Buffer = Buffer.alloc(0),
  type = 0,
): Buffer {
  const body = Buffer.concat([to.described(code, to.list(fields)), payload]);
  const head = Buffer.from([0, 0, 0, 0, 2, type, 0, 0]);
  head.writeUInt32BE(body.length + 8);
  return Buffer.concat([head, body]);
}

export const none = to.nothing();

/** What a client says first, by a mechanism that needs no key. */
export function signInBy(mechanism: string): Buffer {
  return Buffer.concat([SASL_HEADER, frame(0x41, [to.symbol(mechanism), to.binary(Buffer.from(''))], undefined, 1)]);
}

/** What a client says first, with a key. */
export function signIn(key: string): Buffer {
  const response = to.binary(Buffer.from(`\0RootManageSharedAccessKey\0${key}`));
  return Buffer.concat([SASL_HEADER, frame(0x41, [to.symbol('PLAIN'), response], undefined, 1)]);
}

export function openAndBegin(): Buffer {
  const open = frame(OPEN, [to.string('raw'), to.string('localhost')]);
  const begin = frame(BEGIN, [none, to.uint(0), to.uint(100_000), to.uint(100_000)]);
  return Buffer.concat([PLAIN_HEADER, open, begin]);
}

/** `role`: true for a receiver. */
export function attach(name: string, handle: number, role: boolean, address: string, settled = 0): Buffer {
  const terminus = (code: number, text: to.Encoded) => to.described(code, to.list([text]));
  const [source, target] = role ? [to.string(address), to.string('me')] : [to.string('me'), to.string(address)];
  const ends = [terminus(0x28, source), terminus(0x29, target)];
  const mode = role ? [to.ubyte(settled), to.ubyte(1)] : [none, none];
  return frame(ATTACH, [to.string(name), to.uint(handle), to.boolean(role), ...mode, ...ends, none, none, to.uint(0)]);
}

export function flow(handle: number, deliveryCount: number, credit: number, drain = false): Buffer {
  const session = [to.uint(0), to.uint(100_000), to.uint(0), to.uint(100_000)];
  const link = [to.uint(handle), to.uint(deliveryCount), to.uint(credit), none, to.boolean(drain)];
  return frame(FLOW, [...session, ...link]);
}

export function transfer(handle: number, id: number, payload: Buffer, format = 0): Buffer {
  return frame(TRANSFER, [to.uint(handle), to.uint(id), to.binary(Buffer.from([id & 255])), to.uint(format)], payload);
}

export class RawClient implements AsyncDisposable {
  readonly frames: RawFrame[] = [];
  readonly #socket: Socket;
  #held = Buffer.alloc(0);
  #headers = 2;
  closed = false;
  /** Frames that only say that the connection lives. */
  beats = 0;
  /** How many pieces came in; several frames may lie in one. */
  pieces = 0;

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1');
    this.#socket.on('data', (chunk) => {
      this.pieces++;
      this.#read(chunk);
    });
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      this.closed = true;
    });
  }

  /** A client whose key was accepted. */
  static async signedIn(port: number, key: string): Promise<RawClient> {
    const client = new RawClient(port);
    client.write(signIn(key));
    await client.until(() => client.of(SASL_OUTCOME).length > 0);
    return client;
  }

  /** Resolves when it holds, or when the server has closed. */
  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!holds() && !this.closed) return;
        this.#socket.off('data', look).off('close', look);
        resolve();
      };
      this.#socket.on('data', look).on('close', look);
      look();
    });
  }

  write(...parts: readonly Buffer[]): void {
    this.#socket.write(Buffer.concat(parts));
  }

  of(code: number): RawFrame[] {
    return this.frames.filter((each) => each.code === code);
  }

  #read(chunk: Buffer): void {
    this.#held = Buffer.concat([this.#held, chunk]);
    for (;;) {
      if (this.#headers > 0 && this.#held.length >= 8 && this.#held.toString('latin1', 0, 4) === 'AMQP') {
        this.#held = this.#held.subarray(8);
        this.#headers--;
        continue;
      }
      if (this.#held.length < 4) return;
      const size = this.#held.readUInt32BE(0);
      if (this.#held.length < size) return;
      this.#keep(this.#held.subarray(8, size));
      this.#held = this.#held.subarray(size);
    }
  }

  #keep(bytes: Buffer): void {
    if (bytes.length === 0) {
      this.beats++;
      return;
    }
    const reader = new Reader(bytes);
    const value = reader.value();
    if (!(value instanceof AmqpDescribed) || !Array.isArray(value.value))
      throw new Error('The server sent no performative.');
    const payload = bytes.subarray(reader.position);
    this.frames.push({ code: Number(value.descriptor), fields: value.value, payload, head: bytes.subarray(0, 4) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
  }
}
