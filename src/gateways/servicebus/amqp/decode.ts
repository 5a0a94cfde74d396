// Reads AMQP 1.0 values (part 1 of the specification) straight from bytes. rhea decodes whole messages, and hands out
// 64-bit numbers as buffers; the door needs one property here, one annotation there, and the rest of the message
// byte for byte as it came.
import { Refusal } from '../../../kit/refusal.ts';
import { readText } from './short-text.ts';

/** A symbol keeps its kind, because a string in its place means something else on the wire. */
export class AmqpSymbol {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
  toString(): string {
    return this.text;
  }
}

/** A UUID in the byte order of RFC 4122. */
export class AmqpUuid {
  readonly bytes: Buffer;
  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
  toString(): string {
    const hex = this.bytes.toString('hex');
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  }
}

export class AmqpDescribed {
  readonly descriptor: AmqpValue;
  readonly value: AmqpValue;
  constructor(descriptor: AmqpValue, value: AmqpValue) {
    this.descriptor = descriptor;
    this.value = value;
  }
}

/** `bigint` only where a number would lose digits. Decimals are given as their bytes: nobody here computes with them. */
export type AmqpValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Buffer
  | Date
  | AmqpSymbol
  | AmqpUuid
  | AmqpDescribed
  | AmqpValue[]
  | Map<AmqpValue, AmqpValue>;

const MAX_DEPTH = 32;

/** A cursor over encoded bytes. Every read checks its bounds and fails with `Refusal('amqp_malformed')`. */
export class Reader {
  readonly bytes: Buffer;
  position: number;
  readonly end: number;

  constructor(bytes: Buffer, position = 0, end = bytes.length) {
    this.bytes = bytes;
    this.position = position;
    this.end = end;
  }

  get done(): boolean {
    return this.position >= this.end;
  }

  /** Moves past `count` bytes and returns where they begin. */
  take(count: number): number {
    const start = this.position;
    if (count < 0 || start + count > this.end) throw malformed('A value is longer than what holds it.');
    this.position = start + count;
    return start;
  }

  byte(): number {
    return this.bytes[this.take(1)]!;
  }

  uint32(): number {
    return this.bytes.readUInt32BE(this.take(4));
  }

  value(depth = 0): AmqpValue {
    if (depth > MAX_DEPTH) throw tooDeep();
    const code = this.byte();
    if (code === 0x00) return new AmqpDescribed(this.value(depth + 1), this.value(depth + 1));
    return this.body(code, depth);
  }

  /** Moves past one value without decoding it. */
  skip(depth = 0): void {
    if (depth > MAX_DEPTH) throw tooDeep();
    const code = this.byte();
    if (code === 0x00) {
      this.skip(depth + 1);
      this.skip(depth + 1);
    } else this.take(widthOf(code, this));
  }

  /** The value whose constructor `code` was just read. */
  body(code: number, depth: number): AmqpValue {
    const small = fixed[code];
    if (small) return small(this);
    switch (code) {
      case 0xa0:
      case 0xb0:
        return this.#slice(code);
      case 0xa1:
      case 0xb1:
        return this.#text(code);
      case 0xa3:
      case 0xb3:
        return new AmqpSymbol(this.#slice(code).toString('latin1'));
      case 0x45:
        return [];
      case 0xc0:
      case 0xd0:
        return this.#list(code, depth);
      case 0xc1:
      case 0xd1:
        return toMap(this.#list(code, depth));
      case 0xe0:
      case 0xf0:
        return this.#array(code, depth);
      default:
        throw malformed(`0x${code.toString(16)} is no AMQP type.`);
    }
  }

  #text(code: number): string {
    const length = code < 0xb0 ? this.byte() : this.uint32();
    const start = this.take(length);
    return readText(this.bytes, start, start + length);
  }

  #slice(code: number): Buffer {
    const length = code < 0xb0 ? this.byte() : this.uint32();
    const start = this.take(length);
    return this.bytes.subarray(start, start + length);
  }

  #compound(code: number): { inner: Reader; count: number } {
    const narrow = (code & 0xf0) === 0xc0 || (code & 0xf0) === 0xe0;
    const size = narrow ? this.byte() : this.uint32();
    const start = this.take(size);
    const inner = new Reader(this.bytes, start, start + size);
    const count = narrow ? inner.byte() : inner.uint32();
    // Each element takes at least one byte, but for arrays of zero-width elements, which nobody sends in earnest.
    if (count > size) throw malformed('A list claims more elements than it has bytes.');
    return { inner, count };
  }

  #list(code: number, depth: number): AmqpValue[] {
    const { inner, count } = this.#compound(code);
    const items: AmqpValue[] = [];
    for (let i = 0; i < count; i++) items.push(inner.value(depth + 1));
    return items;
  }

  #array(code: number, depth: number): AmqpValue[] {
    if (depth > MAX_DEPTH) throw tooDeep(); // Arrays of arrays come here without `value`.
    const { inner, count } = this.#compound(code);
    const element = inner.byte();
    if (element !== 0x00) return Array.from({ length: count }, () => inner.body(element, depth + 1));
    const descriptor = inner.value(depth + 1);
    const described = inner.byte();
    return Array.from({ length: count }, () => new AmqpDescribed(descriptor, inner.body(described, depth + 1)));
  }
}

const fixed: Readonly<Record<number, (reader: Reader) => AmqpValue>> = {
  64: () => null,
  65: () => true,
  66: () => false,
  67: () => 0,
  68: () => 0,
  80: (r) => r.byte(),
  81: (r) => r.bytes.readInt8(r.take(1)),
  82: (r) => r.byte(),
  83: (r) => r.byte(),
  84: (r) => r.bytes.readInt8(r.take(1)),
  85: (r) => r.bytes.readInt8(r.take(1)),
  86: (r) => r.byte() === 1,
  96: (r) => r.bytes.readUInt16BE(r.take(2)),
  97: (r) => r.bytes.readInt16BE(r.take(2)),
  112: (r) => r.uint32(),
  113: (r) => r.bytes.readInt32BE(r.take(4)),
  114: (r) => r.bytes.readFloatBE(r.take(4)),
  115: (r) => String.fromCodePoint(Math.min(r.uint32(), 0x10ffff)),
  116: (r) => raw(r, 4),
  128: (r) => narrowed(r.bytes.readBigUInt64BE(r.take(8))),
  129: (r) => narrowed(r.bytes.readBigInt64BE(r.take(8))),
  130: (r) => r.bytes.readDoubleBE(r.take(8)),
  131: (r) => new Date(Number(r.bytes.readBigInt64BE(r.take(8)))),
  132: (r) => raw(r, 8),
  148: (r) => raw(r, 16),
  152: (r) => new AmqpUuid(raw(r, 16)),
};

function raw(reader: Reader, width: number): Buffer {
  const start = reader.take(width);
  return reader.bytes.subarray(start, start + width);
}

function narrowed(value: bigint): number | bigint {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

function toMap(items: readonly AmqpValue[]): Map<AmqpValue, AmqpValue> {
  if (items.length % 2 !== 0) throw malformed('A map has a key without a value.');
  const map = new Map<AmqpValue, AmqpValue>();
  for (let i = 0; i < items.length; i += 2) map.set(items[i]!, items[i + 1]!);
  return map;
}

/** How many bytes follow the constructor `code`; reads the length field where there is one. */
function widthOf(code: number, reader: Reader): number {
  const kind = code >>> 4;
  if (kind === 0xa || kind === 0xc || kind === 0xe) return reader.byte();
  if (kind === 0xb || kind === 0xd || kind === 0xf) return reader.uint32();
  const width = [0, 1, 2, 4, 8, 16][kind - 4];
  if (width === undefined) throw malformed(`0x${code.toString(16)} is no AMQP type.`);
  return width;
}

function tooDeep(): Refusal {
  return malformed(`Values are nested deeper than ${MAX_DEPTH}.`);
}

export function malformed(why: string): Refusal {
  return new Refusal('amqp_malformed', why);
}

/** The map's entries with their keys as text, whether they came as strings or as symbols. */
export function textEntries(map: AmqpValue): [string, AmqpValue][] {
  if (!(map instanceof Map)) return [];
  const entries: [string, AmqpValue][] = [];
  for (const [key, value] of map) entries.push([String(key), value]);
  return entries;
}
