// Short texts out of encoded bytes. Names of properties, subjects and content types are the same few over and over;
// making a string of each anew takes a call into C++, which costs more than to see that the bytes are those of one that
// is known.

/** Longer texts are seldom the same. */
const LONGEST = 32;
const SLOTS = 1024;
const known: (string | undefined)[] = new Array(SLOTS).fill(undefined);

/** The text whose UTF-8 is bytes[start, end). Both must lie within `bytes`. */
export function readText(bytes: Buffer, start: number, end: number): string {
  const length = end - start;
  if (length > LONGEST) return bytes.toString('utf8', start, end);
  let hash = length;
  for (let at = start; at < end; at++) hash = (Math.imul(hash, 31) + bytes[at]!) | 0;
  const slot = (hash ^ (hash >>> 15)) & (SLOTS - 1);
  const candidate = known[slot];
  if (candidate !== undefined && isAscii(candidate, bytes, start, length)) return candidate;
  const text = bytes.toString('utf8', start, end);
  known[slot] = text;
  return text;
}

/** Whether the bytes are this text, one byte for each character. */
function isAscii(text: string, bytes: Buffer, start: number, length: number): boolean {
  if (text.length !== length) return false;
  for (let i = 0; i < length; i++) {
    const byte = bytes[start + i]!;
    if (byte > 127 || text.charCodeAt(i) !== byte) return false;
  }
  return true;
}
