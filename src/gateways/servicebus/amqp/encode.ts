// Writes AMQP 1.0 values. The kind on the wire is chosen by the caller where it matters (`long`, `int`, `symbol`, ...):
// clients test for the exact type, and a JavaScript number does not say which one it is.
import { AmqpDescribed, AmqpSymbol, AmqpUuid, type AmqpValue } from './decode.ts';

/** An encoded value: its constructor and its bytes. */
export type Encoded = Buffer;

const NULL = Buffer.from([0x40]);
const TRUE = Buffer.from([0x41]);
const FALSE = Buffer.from([0x42]);
const EMPTY_LIST = Buffer.from([0x45]);

export function nothing(): Encoded {
  return NULL;
}

export function boolean(value: boolean): Encoded {
  return value ? TRUE : FALSE;
}

export function ubyte(value: number): Encoded {
  return Buffer.from([0x50, value]);
}

export function uint(value: number): Encoded {
  if (value === 0) return Buffer.from([0x43]);
  return value < 256 ? Buffer.from([0x52, value]) : sized(0x70, 4, (to) => to.writeUInt32BE(value, 1));
}

export function int(value: number): Encoded {
  const small = value >= -128 && value < 128;
  return small ? Buffer.from([0x54, value & 0xff]) : sized(0x71, 4, (to) => to.writeInt32BE(value, 1));
}

export function short(value: number): Encoded {
  return sized(0x61, 2, (to) => to.writeInt16BE(value, 1));
}

export function ulong(value: number | bigint): Encoded {
  if (value < 256) return value === 0 || value === 0n ? Buffer.from([0x44]) : Buffer.from([0x53, Number(value)]);
  return sized(0x80, 8, (to) => to.writeBigUInt64BE(BigInt(value), 1));
}

export function long(value: number | bigint): Encoded {
  if (value >= -128 && value < 128) return Buffer.from([0x55, Number(value) & 0xff]);
  return sized(0x81, 8, (to) => to.writeBigInt64BE(BigInt(value), 1));
}

export function double(value: number): Encoded {
  return sized(0x82, 8, (to) => to.writeDoubleBE(value, 1));
}

export function timestamp(value: Date): Encoded {
  return sized(0x83, 8, (to) => to.writeBigInt64BE(BigInt(value.getTime()), 1));
}

/** `bytes` in the order of RFC 4122. */
export function uuid(bytes: Uint8Array): Encoded {
  return Buffer.concat([Buffer.from([0x98]), bytes]);
}

export function binary(bytes: Uint8Array): Encoded {
  return variable(0xa0, 0xb0, bytes);
}

export function string(text: string): Encoded {
  return variable(0xa1, 0xb1, Buffer.from(text, 'utf8'));
}

export function symbol(text: string): Encoded {
  return variable(0xa3, 0xb3, Buffer.from(text, 'latin1'));
}

export function list(items: readonly Encoded[]): Encoded {
  return items.length === 0 ? EMPTY_LIST : compound(0xc0, 0xd0, items);
}

/** `entries` are keys and values in turn. */
export function map(entries: readonly Encoded[]): Encoded {
  return compound(0xc1, 0xd1, entries);
}

/** An array of one type: `code` is its constructor, `items` are the values without theirs, all of the same width kind. */
export function array(code: number, items: readonly Uint8Array[]): Encoded {
  const size = 4 + 1 + items.reduce((sum, item) => sum + item.length, 0);
  const head = Buffer.alloc(10);
  head[0] = 0xf0;
  head.writeUInt32BE(size, 1);
  head.writeUInt32BE(items.length, 5);
  head[9] = code;
  return Buffer.concat([head, ...items]);
}

export function described(descriptor: number | bigint, value: Encoded): Encoded {
  return Buffer.concat([Buffer.from([0x00]), ulong(descriptor), value]);
}

/** A section of a message: its descriptor is always the two bytes of a small ulong, which some clients insist on. */
export function section(code: number, value: Encoded): Encoded {
  return Buffer.concat([Buffer.from([0x00, 0x53, code]), value]);
}

/** Encodes a decoded value again. Whole numbers become the smallest of int and long, as .NET would box them. */
export function encode(value: AmqpValue): Encoded {
  if (value === null) return NULL;
  if (typeof value === 'boolean') return boolean(value);
  if (typeof value === 'number') return number(value);
  if (typeof value === 'bigint') return value < 2n ** 63n ? long(value) : ulong(value);
  if (typeof value === 'string') return string(value);
  if (value instanceof Date) return timestamp(value);
  if (value instanceof AmqpSymbol) return symbol(value.text);
  if (value instanceof AmqpUuid) return uuid(value.bytes);
  if (value instanceof AmqpDescribed) {
    return Buffer.concat([Buffer.from([0x00]), encode(value.descriptor), encode(value.value)]);
  }
  if (Array.isArray(value)) return list(value.map(encode));
  if (value instanceof Map) return map([...value].flatMap(([key, item]) => [encode(key), encode(item)]));
  return binary(value);
}

function number(value: number): Encoded {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) return double(value);
  return Math.abs(value) < 2 ** 31 ? int(value) : long(value);
}

function sized(code: number, width: number, write: (to: Buffer) => void): Encoded {
  const to = Buffer.alloc(1 + width);
  to[0] = code;
  write(to);
  return to;
}

function variable(narrow: number, wide: number, bytes: Uint8Array): Encoded {
  if (bytes.length < 256) return Buffer.concat([Buffer.from([narrow, bytes.length]), bytes]);
  const head = Buffer.alloc(5);
  head[0] = wide;
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

function compound(narrow: number, wide: number, items: readonly Encoded[]): Encoded {
  const bytes = items.reduce((sum, item) => sum + item.length, 0);
  if (bytes + 1 < 256 && items.length < 256)
    return Buffer.concat([Buffer.from([narrow, bytes + 1, items.length]), ...items]);
  const head = Buffer.alloc(9);
  head[0] = wide;
  head.writeUInt32BE(bytes + 4, 1);
  head.writeUInt32BE(items.length, 5);
  return Buffer.concat([head, ...items]);
}
