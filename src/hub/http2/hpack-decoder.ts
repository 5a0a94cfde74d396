// HPACK decoding (RFC 7541): header blocks of answers to fields, with the dynamic table that both sides must keep alike.
// Every block must be decoded, also of streams nobody waits for any more, or the table would drift.

import { ConnectionError, errorCode } from './frames.ts';
import { huffmanDecode } from './huffman.ts';
import { staticCount, staticNames, staticValues } from './static-table.ts';

const entryOverhead = 32;

export class HpackDecoder {
  // The newest entry is the last one: index 62 is names[names.length - 1].
  readonly #names: string[] = [];
  readonly #values: string[] = [];
  readonly #maxListBytes: number;
  #oldest = 0;
  #bytes = 0;
  #capacity: number;
  #limit: number;
  #position = 0;

  /** `limit`: the SETTINGS_HEADER_TABLE_SIZE that the peer may use. `maxListBytes`: the decoded size at which a block is refused. */
  constructor(limit: number, maxListBytes: number) {
    this.#limit = limit;
    this.#capacity = limit;
    this.#maxListBytes = maxListBytes;
  }

  get tableBytes(): number {
    return this.#bytes;
  }

  /** From the peer's acknowledgement of our SETTINGS on, its table may be no larger. */
  limitTable(limit: number): void {
    this.#limit = limit;
    if (this.#capacity > limit) this.#resize(limit);
  }

  /** Appends name, value, ... to `fields`. Throws a ConnectionError: COMPRESSION_ERROR, or ENHANCE_YOUR_CALM for a list too long. */
  decode(bytes: Buffer, start: number, end: number, fields: string[]): void {
    this.#position = start;
    let listBytes = 0;
    const first = fields.length;
    let counted = first;
    while (this.#position < end) {
      this.#readField(bytes, end, fields, fields.length === first);
      for (; counted < fields.length; counted += 2)
        listBytes += fields[counted]!.length + fields[counted + 1]!.length + entryOverhead;
      if (listBytes > this.#maxListBytes)
        throw new ConnectionError(errorCode.enhanceYourCalm, 'the header list is too long');
    }
  }

  #readField(bytes: Buffer, end: number, fields: string[], atStart: boolean): void {
    const byte = bytes[this.#position]!;
    if (byte & 0x80) {
      const index = this.#integer(bytes, end, 7);
      fields.push(this.#nameAt(index), this.#valueAt(index));
    } else if (byte & 0x40) {
      this.#literal(bytes, end, 6, fields);
      this.#insert(fields[fields.length - 2]!, fields[fields.length - 1]!);
    } else if (byte & 0x20) {
      this.#sizeUpdate(this.#integer(bytes, end, 5), atStart);
    } else {
      this.#literal(bytes, end, 4, fields);
    }
  }

  #literal(bytes: Buffer, end: number, prefixBits: number, fields: string[]): void {
    const index = this.#integer(bytes, end, prefixBits);
    const name = index === 0 ? this.#string(bytes, end) : this.#nameAt(index);
    fields.push(name, this.#string(bytes, end));
  }

  #sizeUpdate(capacity: number, atStart: boolean): void {
    if (!atStart) throw broken('a table size update after a field');
    if (capacity > this.#limit) throw broken('a table size above our limit');
    this.#resize(capacity);
  }

  #integer(bytes: Buffer, end: number, prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = bytes[this.#position++]! & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#position >= end) throw broken('an integer runs past the block');
      const byte = bytes[this.#position++]!;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw broken('an integer is too large');
  }

  #string(bytes: Buffer, end: number): string {
    if (this.#position >= end) throw broken('a string runs past the block');
    const huffman = bytes[this.#position]! & 0x80;
    const length = this.#integer(bytes, end, 7);
    const start = this.#position;
    if (length > end - start) throw broken('a string runs past the block');
    this.#position = start + length;
    if (!huffman) return bytes.toString('latin1', start, start + length);
    const text = huffmanDecode(bytes, start, start + length);
    if (text === undefined) throw broken('a bad Huffman string');
    return text;
  }

  #nameAt(index: number): string {
    return index > 0 && index <= staticCount ? staticNames[index]! : this.#names[this.#slot(index)]!;
  }

  #valueAt(index: number): string {
    return index <= staticCount ? staticValues[index]! : this.#values[this.#slot(index)]!;
  }

  #slot(index: number): number {
    const slot = this.#names.length - (index - staticCount);
    if (index === 0 || slot < this.#oldest) throw broken(`no table entry ${index}`);
    return slot;
  }

  #insert(name: string, value: string): void {
    const bytes = name.length + value.length + entryOverhead;
    this.#evictTo(this.#capacity - bytes);
    if (bytes > this.#capacity) return;
    this.#names.push(name);
    this.#values.push(value);
    this.#bytes += bytes;
  }

  #resize(capacity: number): void {
    this.#capacity = capacity;
    this.#evictTo(capacity);
  }

  #evictTo(bytes: number): void {
    while (this.#bytes > Math.max(bytes, 0)) {
      this.#bytes -= this.#names[this.#oldest]!.length + this.#values[this.#oldest]!.length + entryOverhead;
      this.#oldest += 1;
    }
    if (this.#oldest > 256) this.#compact();
  }

  #compact(): void {
    this.#names.splice(0, this.#oldest);
    this.#values.splice(0, this.#oldest);
    this.#oldest = 0;
  }
}

function broken(what: string): ConnectionError {
  return new ConnectionError(errorCode.compression, what);
}
