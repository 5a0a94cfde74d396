// Encodes into one growing buffer, for what is written per message: no value is made on the way.

export const LONG = 0x81;
export const TIMESTAMP = 0x83;
export const UINT = 0x70;

/** A growing buffer that values are written into as they are made. */
export class Output {
  #bytes: Buffer;
  #at = 0;
  /** Of the map that was begun last. */
  #entries = 0;

  constructor(capacity: number) {
    this.#bytes = Buffer.allocUnsafe(capacity);
  }

  #reserve(size: number): void {
    if (this.#at + size <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#at + size, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = value;
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** A number of fixed width: uint, or the 64 bits of a long or a timestamp (a safe integer). */
  number(code: number, value: number): void {
    this.#reserve(9);
    this.#bytes[this.#at++] = code;
    if (code !== UINT) {
      const high = Math.floor(value / 2 ** 32);
      this.#at = this.#bytes.writeInt32BE(high, this.#at);
      this.#at = this.#bytes.writeUInt32BE(value - high * 2 ** 32, this.#at);
    } else this.#at = this.#bytes.writeUInt32BE(value, this.#at);
  }

  entry(key: Uint8Array, code: number, value: number): void {
    this.raw(key);
    this.number(code, value);
    this.#entries++;
  }

  encoded(key: Uint8Array, value: Uint8Array): void {
    this.raw(key);
    this.raw(value);
    this.#entries++;
  }

  section(code: number): void {
    this.#reserve(3);
    this.#bytes[this.#at++] = 0x00;
    this.#bytes[this.#at++] = 0x53;
    this.#bytes[this.#at++] = code;
  }

  /** Begins a short list; returns where its size goes (`patch8`). */
  compound(code: number, count: number): number {
    this.#reserve(3);
    this.#bytes[this.#at++] = code;
    const size = this.#at++;
    this.#bytes[this.#at++] = count;
    return size;
  }

  patch8(size: number): void {
    this.#bytes[size] = this.#at - size - 1;
  }

  /** Begins a map, of what `entry` and `encoded` then write; returns where it began (`endMap`). */
  map(): number {
    this.#reserve(9);
    const at = this.#at;
    this.#bytes[at] = 0xd1;
    this.#at += 9;
    this.#entries = 0;
    return at;
  }

  endMap(at: number): void {
    this.#bytes.writeUInt32BE(this.#at - at - 5, at + 1);
    this.#bytes.writeUInt32BE(this.#entries * 2, at + 5);
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }
}
