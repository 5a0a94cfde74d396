// Which partition a key belongs to: Jenkins' lookup3 (`hashlittle2` with both seeds 0) over its UTF-8 bytes, as Event Hubs
// clients compute it themselves when they gather per partition. Stable for ever, because order per key depends on it.

/** `partitions` is how many there are; the answer is one of 0 to `partitions` - 1. */
export function partitionOfKey(key: string, partitions: number): number {
  const [c, b] = lookup3(Buffer.from(key, 'utf8'));
  const short = (((c ^ b) & 0xffff) << 16) >> 16;
  return Math.abs(short % partitions);
}

function lookup3(bytes: Buffer): readonly [number, number] {
  const seed = (0xdeadbeef + bytes.length) | 0;
  let [a, b, c] = [seed, seed, seed];
  let at = 0;
  for (; bytes.length - at > 12; at += 12) {
    a = (a + word(bytes, at)) | 0;
    b = (b + word(bytes, at + 4)) | 0;
    c = (c + word(bytes, at + 8)) | 0;
    a = (a - c) ^ turned(c, 4);
    c = (c + b) | 0;
    b = (b - a) ^ turned(a, 6);
    a = (a + c) | 0;
    c = (c - b) ^ turned(b, 8);
    b = (b + a) | 0;
    a = (a - c) ^ turned(c, 16);
    c = (c + b) | 0;
    b = (b - a) ^ turned(a, 19);
    a = (a + c) | 0;
    c = (c - b) ^ turned(b, 4);
    b = (b + a) | 0;
  }
  if (at === bytes.length) return [c, b]; // Only the empty key: nothing is left to mix in.
  a = (a + word(bytes, at)) | 0;
  b = (b + word(bytes, at + 4)) | 0;
  c = (c + word(bytes, at + 8)) | 0;
  c = ((c ^ b) - turned(b, 14)) | 0;
  a = ((a ^ c) - turned(c, 11)) | 0;
  b = ((b ^ a) - turned(a, 25)) | 0;
  c = ((c ^ b) - turned(b, 16)) | 0;
  a = ((a ^ c) - turned(c, 4)) | 0;
  b = ((b ^ a) - turned(a, 14)) | 0;
  c = ((c ^ b) - turned(b, 24)) | 0;
  return [c, b];
}

/** Four bytes, the lowest first; what is beyond the end counts as zero. */
function word(bytes: Buffer, at: number): number {
  const byte = (i: number) => bytes[at + i] ?? 0;
  return byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24);
}

function turned(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by));
}
