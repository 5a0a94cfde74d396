// How a statement's values travel. `pg` copies all of them into one buffer, which it makes longer as it goes; for a
// publish that is the third copy of 100 KB, and V8 collects its whole heap the sooner the more such buffers are made.
// Here long values leave as they are, between pieces that hold the rest. (Layout: PostgreSQL's documentation, "Message
// Formats", Bind.)
import type { ClientBase } from 'pg';

/** Bytes from which on a value is worth a piece of its own. */
const LONG = 16_384;

type Bind = {
  readonly portal?: string;
  readonly statement?: string;
  readonly values?: readonly unknown[];
  readonly binary?: boolean;
  readonly valueMapper?: (value: unknown) => unknown;
};

type BindConnection = {
  readonly stream: { readonly writable: boolean; write(bytes: Buffer): boolean };
  bind(config: Bind): void;
};

/** Teaches the connection of `client` to send long values without copying them. They must not change until the answer. */
export function sendLongValuesAsTheyAre(client: ClientBase): void {
  const { connection } = client as ClientBase & { readonly connection: BindConnection };
  const bind = connection.bind;
  connection.bind = function (this: BindConnection, config: Bind) {
    if (!config.values?.some(isLong)) return bind.call(this, config);
    const pieces = encodeBind(config);
    if (this.stream.writable) for (const piece of pieces) this.stream.write(piece);
  };
}

function isLong(value: unknown): boolean {
  return Buffer.isBuffer(value) && value.length >= LONG;
}

/** The Bind message, in pieces. */
export function encodeBind({ portal = '', statement = '', values = [], binary, valueMapper }: Bind): Buffer[] {
  const encoded = values.map((value) => encode(valueMapper ? valueMapper(value) : value));
  const head = Buffer.allocUnsafe(5 + Buffer.byteLength(portal) + Buffer.byteLength(statement) + 6 + values.length * 2);
  let at = writeName(head, statement, writeName(head, portal, 5));
  at = head.writeInt16BE(values.length, at);
  for (const { format } of encoded) at = head.writeInt16BE(format, at);
  head.writeInt16BE(values.length, at);
  const pieces = [head, ...encoded.flatMap(lengthAndBytes), resultFormat(binary ?? false)];
  head[0] = BIND;
  head.writeInt32BE(
    pieces.reduce((sum, piece) => sum + piece.length, -1),
    1,
  );
  return joinShort(pieces);
}

const BIND = 0x42;
const NULL = Buffer.from([0xff, 0xff, 0xff, 0xff]);

type Encoded = { readonly format: 0 | 1; readonly bytes: Buffer | undefined };

function encode(value: unknown): Encoded {
  if (value === null || value === undefined) return { format: 0, bytes: undefined };
  return Buffer.isBuffer(value) ? { format: 1, bytes: value } : { format: 0, bytes: Buffer.from(String(value)) };
}

function lengthAndBytes({ bytes }: Encoded): Buffer[] {
  if (!bytes) return [NULL];
  const length = Buffer.allocUnsafe(4);
  length.writeInt32BE(bytes.length);
  return [length, bytes];
}

/** One format for all columns of the answer. */
function resultFormat(binary: boolean): Buffer {
  return Buffer.from([0, 1, 0, binary ? 1 : 0]);
}

function writeName(out: Buffer, name: string, at: number): number {
  const end = at + out.write(name, at);
  out[end] = 0;
  return end + 1;
}

/** Puts the short neighbours together. */
function joinShort(pieces: readonly Buffer[]): Buffer[] {
  const joined: Buffer[] = [];
  let short: Buffer[] = [];
  for (const piece of pieces) {
    short.push(piece);
    if (piece.length < LONG) continue;
    short.pop();
    joined.push(Buffer.concat(short), piece);
    short = [];
  }
  return [...joined, Buffer.concat(short)];
}
