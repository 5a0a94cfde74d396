// A set of subscriptions of one topic: bit n stands for the subscription whose `bit` is n.

export type Bits = Uint8Array;

export const NO_BITS: Bits = new Uint8Array(0);

export function hasBit(bits: Bits, bit: number): boolean {
  return ((bits[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0;
}

export function bitsOf(members: Iterable<number>): Bits {
  let bytes = new Uint8Array(4);
  let used = 0;
  for (const bit of members) {
    const byte = bit >> 3;
    if (byte >= bytes.length) {
      const larger = new Uint8Array(Math.max(byte + 1, bytes.length * 2));
      larger.set(bytes);
      bytes = larger;
    }
    bytes[byte]! |= 1 << (bit & 7);
    used = Math.max(used, byte + 1);
  }
  return bytes.subarray(0, used);
}

/** Calls `visit` with every member, in ascending order. */
export function eachBit(bits: Bits, visit: (bit: number) => void): void {
  for (let byte = 0; byte < bits.length; byte++) {
    for (let rest = bits[byte]!; rest !== 0; rest &= rest - 1) visit(byte * 8 + (31 - Math.clz32(rest & -rest)));
  }
}

export function sameBits(a: Bits, b: Bits): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
