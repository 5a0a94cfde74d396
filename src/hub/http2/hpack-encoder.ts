// HPACK encoding (RFC 7541) for fan-out: what many calls share (a head) goes into the peer's dynamic table once; from then on a call's
// header block is a few bytes of references, copied, plus its own path and fields as literals. No Huffman: it would cost more time than
// the bytes it saves. The provider token is indexed like the rest: it is long and random, so the compression attacks that RFC 7541
// section 7.1 warns of cannot guess it piece by piece, and sending 200 bytes of it per push would double our traffic.

import type { Bytes } from '../bytes.ts';
import type { Calls, RequestHead } from './port.ts';
import { staticCount, staticFieldIndex, staticNameIndex } from './static-table.ts';

const entryOverhead = 32;
const ourTableLimit = 4096;
const pathIndex = staticNameIndex.get(':path')!;

type Entry = { readonly number: number; readonly bytes: number; readonly key: string };
type HeadBlock = {
  readonly head: RequestHead;
  readonly generation: number;
  readonly pseudo: Buffer;
  readonly regular: Buffer;
  /** The most bytes of the head, when it has to be written anew. */
  readonly bound: number;
};

/** What the encoder asks a call for, beside its own fields. */
type Encoded = Pick<Calls, 'head' | 'pathBytes' | 'writePath'>;

export class HpackEncoder {
  readonly #entries: Entry[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #blocks = new Map<RequestHead, HeadBlock>();
  #recent: HeadBlock | undefined;
  #bytes = 0;
  #limit = ourTableLimit;
  #inserted = 0;
  /** The smallest table size since the last block, when the peer has to be told (RFC 7541 section 4.2). */
  #lowest: number | undefined;

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  limitTable(peerLimit: number): void {
    const limit = Math.min(peerLimit, ourTableLimit);
    if (limit === this.#limit) return;
    this.#lowest = Math.min(this.#lowest ?? limit, limit);
    this.#limit = limit;
    this.#evictTo(limit);
  }

  /** The most bytes that `write` can need. */
  bound(calls: Encoded, index: number, fields: readonly string[]): number {
    const { head } = calls;
    return 64 + calls.pathBytes(index) + (this.#known(head)?.bound ?? headBound(head)) + fieldsBound(fields);
  }

  /** Writes one header block and returns where it ends. The bytes must reach the peer: the table counts on it. */
  write(out: Bytes, at: number, calls: Encoded, index: number, fields: readonly string[]): number {
    const known = this.#known(calls.head);
    if (known?.generation !== this.#inserted || this.#lowest !== undefined)
      return this.#writeAnew(out, at, calls, index, fields);
    this.#recent = known;
    let end = copy(known.pseudo, out.buffer, at);
    end = writePath(out, end, calls, index);
    end = copy(known.regular, out.buffer, end);
    return writeFields(out.buffer, end, fields);
  }

  #known(head: RequestHead): HeadBlock | undefined {
    return this.#recent?.head === head ? this.#recent : this.#blocks.get(head);
  }

  #writeAnew(out: Bytes, at: number, calls: Encoded, index: number, fields: readonly string[]): number {
    const { head } = calls;
    const pseudo = [':method', head.method, ':scheme', 'https', ':authority', head.authority];
    let end = this.#writeSizeUpdate(out.buffer, at);
    end = this.#insertFields(out.buffer, end, pseudo);
    end = writePath(out, end, calls, index);
    end = this.#insertFields(out.buffer, end, head.fields);
    this.#remember(head, pseudo);
    return writeFields(out.buffer, end, fields);
  }

  #writeSizeUpdate(out: Buffer, at: number): number {
    if (this.#lowest === undefined) return at;
    let end = at;
    if (this.#lowest < this.#limit) end = writeInteger(out, end, 0x20, 5, this.#lowest);
    end = writeInteger(out, end, 0x20, 5, this.#limit);
    this.#lowest = undefined;
    return end;
  }

  #insertFields(out: Buffer, at: number, fields: readonly string[]): number {
    let end = at;
    for (let i = 0; i < fields.length; i += 2) end = this.#insertField(out, end, fields[i]!, fields[i + 1]!);
    return end;
  }

  #insertField(out: Buffer, at: number, name: string, value: string): number {
    const index = this.#indexOf(`${name}\0${value}`);
    if (index !== undefined) return writeInteger(out, at, 0x80, 7, index);
    const bytes = name.length + value.length + entryOverhead;
    // One huge value must not throw everything else out at each call.
    const fits = bytes <= this.#limit / 2;
    const end = writeLiteral(out, at, fits ? 0x40 : 0x00, name, staticNameIndex.get(name) ?? 0, value);
    if (fits) this.#insert(`${name}\0${value}`, bytes);
    return end;
  }

  #insert(key: string, bytes: number): void {
    this.#evictTo(this.#limit - bytes);
    this.#inserted += 1;
    this.#entries.push({ number: this.#inserted, bytes, key });
    this.#numbers.set(key, this.#inserted);
    this.#bytes += bytes;
  }

  #evictTo(bytes: number): void {
    while (this.#bytes > bytes) {
      const oldest = this.#entries.shift()!;
      this.#bytes -= oldest.bytes;
      if (this.#numbers.get(oldest.key) === oldest.number) this.#numbers.delete(oldest.key);
      // Cached references may point at what is gone.
      this.#forget();
    }
  }

  #indexOf(key: string): number | undefined {
    const fixed = staticFieldIndex.get(key);
    if (fixed !== undefined) return fixed;
    const number = this.#numbers.get(key);
    return number === undefined ? undefined : staticCount + 1 + this.#inserted - number;
  }

  /** Keeps the head as references only. Heads that do not fit the table together are written anew when they alternate: right, but slower. */
  #remember(head: RequestHead, pseudo: readonly string[]): void {
    if (this.#blocks.size >= 64) this.#forget();
    const block = {
      head,
      generation: this.#inserted,
      pseudo: this.#references(pseudo),
      regular: this.#references(head.fields),
      bound: headBound(head),
    };
    this.#blocks.set(head, block);
    this.#recent = block;
  }

  #references(fields: readonly string[]): Buffer {
    const out = Buffer.allocUnsafe(fieldsBound(fields));
    let end = 0;
    for (let i = 0; i < fields.length; i += 2) {
      const index = this.#indexOf(`${fields[i]}\0${fields[i + 1]}`);
      if (index !== undefined) end = writeInteger(out, end, 0x80, 7, index);
      else end = writeLiteral(out, end, 0x00, fields[i]!, staticNameIndex.get(fields[i]!) ?? 0, fields[i + 1]!);
    }
    return out.subarray(0, end);
  }

  #forget(): void {
    this.#blocks.clear();
    this.#recent = undefined;
  }
}

function writePath(out: Bytes, at: number, calls: Encoded, index: number): number {
  const bytes = calls.pathBytes(index);
  out.buffer[at] = pathIndex;
  const start = writeInteger(out.buffer, at + 1, 0x00, 7, bytes);
  calls.writePath(index, out, start);
  return start + bytes;
}

/** Fields as literals that enter no table: for what changes with every call. */
export function writeFields(out: Buffer, at: number, fields: readonly string[]): number {
  let end = at;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!;
    end = writeLiteral(out, end, 0x00, name, staticNameIndex.get(name) ?? 0, fields[i + 1]!);
  }
  return end;
}

function writeLiteral(out: Buffer, at: number, kind: number, name: string, nameIndex: number, value: string): number {
  let end = writeInteger(out, at, kind, kind === 0x40 ? 6 : 4, nameIndex);
  if (nameIndex === 0) end = writeText(out, end, name);
  end = writeText(out, end, value);
  return end;
}

function writeText(out: Buffer, at: number, text: string): number {
  const end = writeInteger(out, at, 0x00, 7, text.length);
  return end + out.write(text, end, 'latin1');
}

function writeInteger(out: Buffer, at: number, kind: number, prefixBits: number, value: number): number {
  const mask = (1 << prefixBits) - 1;
  if (value < mask) {
    out[at] = kind | value;
    return at + 1;
  }
  out[at] = kind | mask;
  let end = at + 1;
  let rest = value - mask;
  for (; rest >= 0x80; rest >>>= 7) out[end++] = (rest & 0x7f) | 0x80;
  out[end] = rest;
  return end + 1;
}

function headBound({ authority, fields }: RequestHead): number {
  return authority.length + fieldsBound(fields);
}

function fieldsBound(fields: readonly string[]): number {
  let bytes = 16;
  for (let i = 0; i < fields.length; i += 1) bytes += fields[i]!.length + 6;
  return bytes;
}

function copy(from: Buffer, to: Buffer, at: number): number {
  for (let i = 0; i < from.length; i += 1) to[at + i] = from[i]!;
  return at + from.length;
}
