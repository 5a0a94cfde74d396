// Ids are a prefix that says what the thing is, and 26 characters of Crockford base 32. A fresh id begins with its
// time in milliseconds, so that ids sort by age and index inserts stay local. A derived id is the hash of what it is
// made from: the same input gives the same id, which is how a replay makes no second notice.
import { hash, randomBytes } from 'node:crypto';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** A new id, sortable by time: 10 characters of time, 16 of randomness. */
export function freshId<P extends string>(prefix: P, now: number = Date.now()): `${P}_${string}` {
  return `${prefix}_${base32(now, 10)}${encode(randomBytes(10))}`;
}

/** The id of the thing that `parts` name: 130 bits of their SHA-256. */
export function derivedId<P extends string>(prefix: P, ...parts: readonly (string | number)[]): `${P}_${string}` {
  const digest = hash('sha256', JSON.stringify(parts), 'buffer');
  return `${prefix}_${encode(digest.subarray(0, 17)).slice(0, 26)}`;
}

function base32(value: number, width: number): string {
  let text = '';
  for (let rest = value, i = 0; i < width; i++) {
    text = ALPHABET[rest % 32]! + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}

function encode(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(held >>> bits) & 31]!;
    }
    held &= (1 << bits) - 1;
  }
  return bits > 0 ? text + ALPHABET[(held << (5 - bits)) & 31]! : text;
}
