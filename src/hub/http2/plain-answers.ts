// Recognises the header block that nearly every push is answered with, by its bytes: `:status: 200`, and fields that neither change the
// table nor refer to it. Whoever wants only the status need not have it decoded, which would cost more than all else that an answer costs.

import { isFieldName } from './answer.ts';
import { huffmanDecode } from './huffman.ts';
import { staticFieldIndex, staticNames } from './static-table.ts';

const status200 = 0x80 | staticFieldIndex.get(':status\x00200')!;
/** By index: 1 for fields of the static table that an answer may have behind its status. The value of one has to agree with the body. */
const good = Uint8Array.from(staticNames, (name) => (isFieldName(name) && name !== 'content-length' ? 1 : 0));
const mostBytes = 4096;
const mostNames = 64;

export class PlainAnswers {
  /** Names as they are encoded, with their lengths, that were found to be good. Bounded: a peer may make up as many as it likes. */
  readonly #names: Buffer[] = [];

  /** False also for what only decoding can tell. */
  has(bytes: Buffer, start: number, end: number): boolean {
    if (bytes[start] !== status200 || end - start > mostBytes) return false;
    let at = start + 1;
    while (at >= 0 && at < end) at = this.#skipField(bytes, at, end);
    return at === end;
  }

  /** Where the next field begins; -1: it has to be decoded. */
  #skipField(bytes: Buffer, at: number, end: number): number {
    const byte = bytes[at]!;
    if (byte & 0x80) return good[byte & 0x7f] === 1 ? at + 1 : -1;
    // An entry for the table, or its size.
    if (byte & 0x60) return -1;
    const index = byte & 0x0f;
    if (index === 0) return skipText(bytes, this.#skipName(bytes, at + 1, end), end);
    if (index < 0x0f) return -1;
    return good[index + bytes[at + 1]!] === 1 ? skipText(bytes, at + 2, end) : -1;
  }

  #skipName(bytes: Buffer, at: number, end: number): number {
    const next = skipText(bytes, at, end);
    if (next < 0) return -1;
    for (const name of this.#names) if (name.length === next - at && isAt(bytes, at, name)) return next;
    return this.#learn(bytes.subarray(at, next)) ? next : -1;
  }

  #learn(encoded: Buffer): boolean {
    const name = encoded[0]! & 0x80 ? huffmanDecode(encoded, 1, encoded.length) : encoded.toString('latin1', 1);
    if (name === undefined || !isFieldName(name)) return false;
    if (this.#names.length < mostNames) this.#names.push(Buffer.from(encoded));
    return true;
  }
}

function isAt(bytes: Buffer, at: number, name: Buffer): boolean {
  for (let i = 0; i < name.length; i += 1) if (bytes[at + i] !== name[i]) return false;
  return true;
}

function skipText(bytes: Buffer, at: number, end: number): number {
  if (at < 0 || at >= end) return -1;
  const length = bytes[at]! & 0x7f;
  const next = at + 1 + length;
  return length === 0x7f || next > end ? -1 : next;
}
