// Bytes that are put together piece by piece. Pieces are short (a name, an address, the part of a payload between two holes), and a
// broadcast copies several of them per device: eight bytes at a time they cost a third of what Buffer.copy costs to be called. For that,
// memory ends some bytes behind what it holds: a copy may read and write up to seven bytes too many.

const slack = 8;

export class Bytes {
  buffer: Buffer;
  /** The same memory. */
  view: DataView;
  length = 0;

  constructor(capacity: number) {
    this.buffer = Buffer.allocUnsafeSlow(capacity + slack);
    this.view = viewOf(this.buffer);
  }

  static of(text: string): Bytes {
    const bytes = new Bytes(Buffer.byteLength(text));
    bytes.length = bytes.buffer.write(text, 'utf8');
    return bytes;
  }

  /** How long it can become without growing. */
  get capacity(): number {
    return this.buffer.length - slack;
  }

  /** Makes room for so many bytes more. */
  reserve(bytes: number): void {
    if (this.length + bytes <= this.capacity) return;
    const old = this.buffer;
    this.buffer = Buffer.allocUnsafeSlow(Math.max(this.length + bytes, this.capacity * 2) + slack);
    this.view = viewOf(this.buffer);
    old.copy(this.buffer, 0, 0, this.length);
  }

  /** Appends `from[start, end)`. */
  append(from: Bytes, start = 0, end = from.length): void {
    this.reserve(end - start);
    copyBytes(from, start, end, this, this.length);
    this.length += end - start;
  }

  /** Appends a text as UTF-8. */
  text(text: string): void {
    this.reserve(text.length * 3);
    this.length += this.buffer.write(text, this.length, 'utf8');
  }

  byte(byte: number): void {
    this.reserve(1);
    this.buffer[this.length] = byte;
    this.length += 1;
  }

  slice(start: number, end: number): string {
    return this.buffer.toString('utf8', start, end);
  }
}

/** Copies `from[start, end)` to `to`, from `at` on. There must be room: up to seven bytes behind it are overwritten. */
export function copyBytes(from: Bytes, start: number, end: number, to: Bytes, at: number): void {
  const { view: source } = from;
  const { view: target } = to;
  for (let i = start, j = at; i < end; i += 8, j += 8) target.setBigInt64(j, source.getBigInt64(i));
}

/** Whether `a[from, to)` are the same bytes as `b[at, ...)`. */
export function sameBytes(a: Bytes, from: number, to: number, b: Bytes, at: number): boolean {
  let i = from;
  let j = at;
  for (; i + 4 <= to; i += 4, j += 4) if (a.view.getInt32(i) !== b.view.getInt32(j)) return false;
  for (; i < to; i += 1, j += 1) if (a.buffer[i] !== b.buffer[j]) return false;
  return true;
}

/** Of each byte, and behind it the same with one, two and three zero bytes after it: then four bytes are looked up at once. */
const crcTable = new Int32Array(4 * 256);
for (let byte = 0; byte < 256; byte += 1) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1;
  crcTable[byte] = crc;
}
for (let i = 256; i < crcTable.length; i += 1) {
  const before = crcTable[i - 256]!;
  crcTable[i] = (before >>> 8) ^ crcTable[before & 0xff]!;
}

/** As zlib's crc32, of `bytes[start, end)`; for short pieces a call of that costs several times as much. */
export function crc32Of({ buffer, view }: Bytes, start: number, end: number): number {
  let crc = -1;
  let i = start;
  for (; i + 4 <= end; i += 4) {
    crc ^= view.getInt32(i, true);
    crc =
      crcTable[768 + (crc & 0xff)]! ^
      crcTable[512 + ((crc >>> 8) & 0xff)]! ^
      crcTable[256 + ((crc >>> 16) & 0xff)]! ^
      crcTable[crc >>> 24]!;
  }
  for (; i < end; i += 1) crc = (crc >>> 8) ^ crcTable[(crc ^ buffer[i]!) & 0xff]!;
  return ~crc >>> 0;
}

function viewOf({ buffer, byteOffset, length }: Buffer): DataView {
  return new DataView(buffer, byteOffset, length);
}
