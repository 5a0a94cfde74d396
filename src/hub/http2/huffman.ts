// HPACK's Huffman code (RFC 7541 appendix B). The code is canonical, so its lengths are all one needs to know: codes are handed out
// in order of (length, symbol). Decoding walks a table of (tree node x 4 bits): 256 inner nodes x 16 entries.

// Code length in bits per symbol 0..255, then EOS.
const lengths = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26, 30,
];
const eos = 256;

// A table entry: bits 0-7 the next node, 8-15 the symbol, then these.
const emits = 1 << 16;
const fails = 1 << 17;

type Tree = { readonly children: (readonly [number, number])[]; readonly mayEnd: boolean[] };

const table = new Int32Array(256 * 16);
const tree = growTree();
for (let node = 0; node < 256; node += 1)
  for (let bits = 0; bits < 16; bits += 1) table[node * 16 + bits] = walk(node, bits);

/** Codes are left-aligned runs of a counter: sorting by (length, symbol) gives each its bits. Leaves are -1 - symbol. */
function growTree(): Tree {
  const children: [number, number][] = [[0, 0]];
  const order = lengths.map((_, symbol) => symbol).sort((a, b) => lengths[a]! - lengths[b]! || a - b);
  let code = 0;
  let length = 0;
  for (const symbol of order) {
    code <<= lengths[symbol]! - length;
    length = lengths[symbol]!;
    plant(children, code, length, symbol);
    code += 1;
  }
  return { children, mayEnd: paddingNodes(children) };
}

function plant(children: [number, number][], code: number, length: number, symbol: number): void {
  let node = 0;
  for (let bit = length - 1; bit > 0; bit -= 1) {
    const side = ((code >>> bit) & 1) as 0 | 1;
    if (children[node]![side] === 0) children[node]![side] = children.push([0, 0]) - 1;
    node = children[node]![side];
  }
  children[node]![(code & 1) as 0 | 1] = -1 - symbol;
}

/** Padding is the beginning of EOS: up to 7 one-bits from the root. */
function paddingNodes(children: readonly (readonly [number, number])[]): boolean[] {
  const mayEnd = new Array<boolean>(children.length).fill(false);
  for (let depth = 0, node = 0; depth < 8; depth += 1, node = children[node]![1]) mayEnd[node] = true;
  return mayEnd;
}

function walk(from: number, bits: number): number {
  let node = from;
  let symbol = -1;
  for (let bit = 3; bit >= 0; bit -= 1) {
    node = tree.children[node]![((bits >>> bit) & 1) as 0 | 1];
    if (node >= 0) continue;
    symbol = -1 - node;
    if (symbol === eos) return fails;
    node = 0;
  }
  return node | (symbol < 0 ? 0 : emits | (symbol << 8));
}

let scratch = Buffer.allocUnsafeSlow(4096);

/** Decodes `bytes[start, end)` to a latin1 string; undefined when it holds EOS or bad padding. */
export function huffmanDecode(bytes: Uint8Array, start: number, end: number): string | undefined {
  const most = Math.ceil(((end - start) * 8) / 5);
  if (scratch.length < most) scratch = Buffer.allocUnsafeSlow(most);
  let node = 0;
  let length = 0;
  let failed = 0;
  for (let i = start; i < end; i += 1) {
    const byte = bytes[i]!;
    const high = table[node * 16 + (byte >>> 4)]!;
    if (high & emits) scratch[length++] = high >>> 8;
    const low = table[(high & 255) * 16 + (byte & 15)]!;
    if (low & emits) scratch[length++] = low >>> 8;
    node = low & 255;
    failed |= high | low;
  }
  return failed & fails || !tree.mayEnd[node] ? undefined : scratch.toString('latin1', 0, length);
}
