// A block: the records that one group commit appended to one topic partition.
//   body = version (1 byte) | records, each: length (4 bytes) record
// Sequence numbers are not in it: record i has number `first + i`, which PostgreSQL's row says. So a block whose flush
// was refused because another node was first is sent again as it is, under another number.
// A message is decoded when it is first asked for, and kept then.

import { freeMemory, OWN_MEMORY } from '../../kit/free-memory.ts';
import type { Message, OutgoingMessage } from '../message.ts';
import { type Bits, eachBit, sameBits } from './bits.ts';
import { Reader, Writer } from './bytes.ts';
import { type Place, type RecordExtras, readHead, readRecord, writeRecord } from './record.ts';

const VERSION = 1;

export class Block {
  readonly topic: string;
  readonly partition: number;
  readonly first: number;
  readonly enqueuedAt: Date;
  readonly body: Buffer;
  readonly bits: readonly Bits[];
  readonly shortestLifeMs: number | undefined;
  readonly #offsets: readonly number[];
  readonly #copies: ReadonlySet<number> | undefined;
  readonly #messages: (Message | undefined)[];
  #held = false;
  /** How many records each subscription selects, by its bit. */
  #tally: ReadonlyMap<number, number> | undefined;

  constructor(
    place: { topic: string; partition: number; first: number; enqueuedAt: Date },
    body: Buffer,
    index: BlockIndex = indexRecords(body),
  ) {
    this.topic = place.topic;
    this.partition = place.partition;
    this.first = place.first;
    this.enqueuedAt = place.enqueuedAt;
    this.body = body;
    this.bits = index.bits;
    this.shortestLifeMs = index.shortestLifeMs;
    this.#offsets = index.offsets;
    this.#copies = index.copies;
    this.#tally = index.tally;
    this.#messages = new Array<Message | undefined>(index.offsets.length);
  }

  get count(): number {
    return this.#offsets.length;
  }

  /** The sequence after the last of this block. */
  get end(): number {
    return this.first + this.#offsets.length;
  }

  /** How many of the records this subscription selects. */
  selectedBy(bit: number): number {
    this.#tally ??= countEach(this.bits);
    return this.#tally.get(bit) ?? 0;
  }

  /** Somebody may read from it from now on, for as long as they like. */
  hold(): this {
    this.#held = true;
    return this;
  }

  /** It leaves the memory of its partition. If nobody ever held it, as while a backlog grows, its bytes go back at once. */
  letGo(): void {
    if (!this.#held && this.body.length >= OWN_MEMORY) freeMemory(this.body);
  }

  isCopy(index: number): boolean {
    return this.#copies?.has(index) ?? false;
  }

  message(index: number): Message {
    const known = this.#messages[index];
    if (known) return known;
    const message = readRecord(new Reader(this.body, this.#offsets[index]!), this.#place(index));
    this.#messages[index] = message;
    return message;
  }

  #place(index: number): Place {
    return { topic: this.topic, partition: this.partition, sequence: this.first + index, enqueuedAt: this.enqueuedAt };
  }
}

/** Where the records of a body begin, whom they are for, and which of them are copies for one subscription. */
export type BlockIndex = {
  readonly offsets: readonly number[];
  readonly bits: readonly Bits[];
  readonly copies: ReadonlySet<number> | undefined;
  /** Milliseconds; undefined: not known, or nothing in it expires. */
  readonly shortestLifeMs?: number | undefined;
  /** How many of the records each subscription selects, by its bit, if it was counted. */
  readonly tally?: ReadonlyMap<number, number>;
};

function indexRecords(body: Buffer): BlockIndex {
  if (body[0] !== VERSION) throw new Error(`unknown block format ${body[0]}`);
  const offsets: number[] = [];
  const bits: Bits[] = [];
  let copies: Set<number> | undefined;
  const from = new Reader(body, 1);
  while (!from.ended) {
    const length = from.u32();
    const start = from.at;
    const head = readHead(from);
    const last = bits.at(-1);
    bits.push(last !== undefined && sameBits(last, head.bits) ? last : head.bits);
    if (head.copy) {
      copies ??= new Set();
      copies.add(offsets.length);
    }
    offsets.push(start);
    from.at = start + length;
  }
  return { offsets, bits, copies };
}

/** Gathers the records of a block. */
export class BlockWriter {
  readonly #out: Writer;
  readonly #offsets: number[] = [];
  readonly #bits: Bits[] = [];
  #copies: Set<number> | undefined;
  #shortestLifeMs = Infinity;

  /** `bytes`: about how many there will be. */
  constructor(bytes = 4096) {
    this.#out = new Writer(bytes);
    this.#out.u8(VERSION);
  }

  get count(): number {
    return this.#offsets.length;
  }

  /** Returns the index of the record in the block. */
  add(message: OutgoingMessage & { messageId: string }, extras: RecordExtras): number {
    const at = this.#out.at;
    this.#out.reserve(message.body.length + 128);
    this.#out.raw(LENGTH_TO_COME);
    writeRecord(this.#out, message, extras);
    this.#out.patchU32(at, this.#out.at - at - 4);
    if (extras.copy) {
      this.#copies ??= new Set();
      this.#copies.add(this.#offsets.length);
    }
    if (extras.lifetimeMs !== undefined) this.#shortestLifeMs = Math.min(this.#shortestLifeMs, extras.lifetimeMs);
    this.#bits.push(extras.bits);
    return this.#offsets.push(at + 4) - 1;
  }

  finish(): { body: Buffer; tally: Buffer; index: BlockIndex } {
    const shortestLifeMs = this.#shortestLifeMs === Infinity ? undefined : this.#shortestLifeMs;
    const tally = countEach(this.#bits);
    const index = { offsets: this.#offsets, bits: this.#bits, copies: this.#copies, shortestLifeMs, tally };
    return { body: this.#out.finish(), tally: encodeTally(tally), index };
  }
}

const LENGTH_TO_COME = Buffer.alloc(4);

/** How many records of a block each subscription selects, by its bit. */
function countEach(all: readonly Bits[]): Map<number, number> {
  // Equal bitmaps are one object, so there are few to take apart.
  const equal = new Map<Bits, number>();
  for (const bits of all) equal.set(bits, (equal.get(bits) ?? 0) + 1);
  const tally = new Map<number, number>();
  for (const [bits, count] of equal) eachBit(bits, (bit) => tally.set(bit, (tally.get(bit) ?? 0) + count));
  return tally;
}

/** The same in binary: pairs of bit and count. */
function encodeTally(tally: ReadonlyMap<number, number>): Buffer {
  const out = new Writer(16);
  for (const [bit, count] of tally) {
    out.varint(bit);
    out.varint(count);
  }
  return out.finish();
}

export function decodeTally(bytes: Buffer): Map<number, number> {
  const counts = new Map<number, number>();
  for (const from = new Reader(bytes); !from.ended; ) counts.set(from.varint(), from.varint());
  return counts;
}
