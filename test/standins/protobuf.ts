// As much of protocol buffers as Chromium's push connection needs: varints, fixed64, bytes. https://protobuf.dev/programming-guides/encoding/

export type Field = readonly [number: number, value: bigint | number | boolean | string | Buffer | Fixed64];
export type Fixed64 = { readonly fixed64: bigint };

export function encode(fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.flatMap(([number, value]) => encodeField(number, value)));
}

function encodeField(number: number, value: Field[1]): Buffer[] {
  if (typeof value === 'string' || Buffer.isBuffer(value)) {
    const bytes = Buffer.from(value);
    return [varint((number << 3) | 2), varint(bytes.length), bytes];
  }
  if (typeof value === 'object') {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(value.fixed64);
    return [varint((number << 3) | 1), bytes];
  }
  return [varint(number << 3), varint(BigInt(value))];
}

export function varint(value: bigint | number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
}

/** The number at `at` and where it ends; undefined while it is not all there. */
export function readVarint(bytes: Buffer, at: number): { readonly value: number; readonly end: number } | undefined {
  let value = 0;
  for (let i = at; i < bytes.length; i += 1) {
    value += (bytes[i]! & 0x7f) * 2 ** (7 * (i - at));
    if (bytes[i]! < 0x80) return { value, end: i + 1 };
  }
  return undefined;
}
