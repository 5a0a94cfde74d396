// Reading and writing the binary forms of this room: unsigned varints up to 2^53, doubles, strings, byte strings.

export class Writer {
  #buffer: Buffer;
  at = 0;

  constructor(capacity = 1024) {
    this.#buffer = Buffer.allocUnsafe(capacity);
  }

  /** Makes sure that `size` more bytes fit. */
  reserve(size: number): void {
    const needed = this.at + size;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.at);
    this.#buffer = larger;
  }

  u8(value: number): void {
    this.reserve(1);
    this.#buffer[this.at++] = value;
  }

  varint(value: number): void {
    if (value < 0) throw new RangeError(`a varint cannot hold ${value}`);
    this.reserve(8);
    let rest = value;
    while (rest > 127) {
      this.#buffer[this.at++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.at++] = rest;
  }

  f64(value: number): void {
    this.reserve(8);
    this.at = this.#buffer.writeDoubleLE(value, this.at);
  }

  i64(value: bigint): void {
    this.reserve(8);
    this.at = this.#buffer.writeBigInt64LE(value, this.at);
  }

  string(text: string): void {
    const length = text.length < 40 ? asciiLength(text) : Buffer.byteLength(text);
    this.varint(length);
    this.reserve(length);
    if (length === text.length && length < 40) {
      for (let i = 0; i < length; i++) this.#buffer[this.at + i] = text.charCodeAt(i);
    } else {
      this.#buffer.write(text, this.at, 'utf8');
    }
    this.at += length;
  }

  /** Length, then the bytes. Returns where the bytes begin. */
  bytes(bytes: Uint8Array): number {
    this.varint(bytes.length);
    return this.raw(bytes);
  }

  raw(bytes: Uint8Array): number {
    this.reserve(bytes.length);
    this.#buffer.set(bytes, this.at);
    const start = this.at;
    this.at += bytes.length;
    return start;
  }

  /** Puts `value` as four fixed bytes at `at`, which must have been written before. */
  patchU32(at: number, value: number): void {
    this.#buffer.writeUInt32LE(value, at);
  }

  /** What was written; the writer is not used any more. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.at);
  }
}

/** The length of `text` in UTF-8, found without a call into C++ while it is plain ASCII. */
function asciiLength(text: string): number {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return Buffer.byteLength(text);
  return text.length;
}

export class Reader {
  readonly buffer: Buffer;
  at: number;

  constructor(buffer: Buffer, at = 0) {
    this.buffer = buffer;
    this.at = at;
  }

  u8(): number {
    return this.buffer[this.at++]!;
  }

  u32(): number {
    this.at += 4;
    return this.buffer.readUInt32LE(this.at - 4);
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.buffer[this.at++];
      if (byte === undefined) throw new Error('a varint runs past the end of its bytes');
      if (byte < 128) return value + byte * scale;
      value += (byte - 128) * scale;
      scale *= 128;
    }
  }

  f64(): number {
    this.at += 8;
    return this.buffer.readDoubleLE(this.at - 8);
  }

  i64(): bigint {
    this.at += 8;
    return this.buffer.readBigInt64LE(this.at - 8);
  }

  string(): string {
    const length = this.varint();
    this.at += length;
    return this.buffer.toString('utf8', this.at - length, this.at);
  }

  bytes(): Buffer {
    const length = this.varint();
    this.at += length;
    return this.buffer.subarray(this.at - length, this.at);
  }

  get ended(): boolean {
    return this.at >= this.buffer.length;
  }
}
