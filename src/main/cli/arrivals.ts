// What `watch` shows of a subscription or queue: what lies there and what comes, by peeking, over the HTTP API and in a
// namespace of Service Bus alike.
import { setTimeout as sleep } from 'node:timers/promises';
import { PARTITION_SPAN } from '../../topics/message.ts';

/** A message as a peek shows it; there is more in it that only the caller knows. */
export type Lying = {
  readonly sequence: number | string;
  readonly state?: unknown;
  readonly scheduledAt?: unknown;
  readonly enqueuedAt?: unknown;
};

/**
 * Shows up to `max` messages from a sequence number on. They may be fewer although there are more (Azure shows those of an
 * entity with partitions one by one), and where a partition has no more the next one follows; none: there are no more.
 */
export type Peek<Message extends Lying> = (from: bigint, max: number) => Promise<readonly Message[]>;

/** Where to go on in a partition, and how many to ask for. */
type Position = { from: bigint; max: number };

const PAGE = 100;
const PAUSE_MS = 500;

/**
 * Numbers of one partition have these upper bits in common. Azure keeps the partition in the upper 16 of 64 bits; with 20 its
 * partitions would fall apart only after 2^44 messages, and then each part would be gone through like a partition.
 */
const LOWER_BITS = BigInt(Math.log2(PARTITION_SPAN));

function partitionOf(sequence: bigint): bigint {
  return sequence >> LOWER_BITS;
}

/**
 * Each message once, in the order of its partition, without end. The numbers of one partition rise, but a later message of
 * another may have a lower one: so there is a position for each. Which partitions there are shows behind the end of those that
 * are known. What is scheduled has not come yet: when it does it gets another number (in Azure too).
 */
export async function* arrivals<Message extends Lying>(
  peek: Peek<Message>,
  pauseMs: number = PAUSE_MS,
): AsyncGenerator<Message> {
  const positions = new Map<bigint, Position>([[0n, { from: 1n, max: PAGE }]]);
  for (let moved = false; ; moved = false) {
    // A partition that is found on the way is looked at in the same round.
    for (const [partition, position] of positions) {
      const found = await peek(position.from, position.max);
      note(positions, found);
      const own = found.filter(({ sequence }) => isNew(BigInt(sequence), partition, position));
      // Where nothing came lately one is enough to see that something did: in its place may be many of another partition.
      position.max = own.length > 0 ? PAGE : 1;
      if (own.length === 0) continue;
      moved = true;
      position.from = BigInt(own.at(-1)!.sequence) + 1n;
      yield* own.filter(hasCome);
    }
    if (!moved) await sleep(pauseMs);
  }
}

function note(positions: Map<bigint, Position>, found: readonly Lying[]): void {
  for (const { sequence } of found) {
    const partition = partitionOf(BigInt(sequence));
    if (!positions.has(partition)) positions.set(partition, { from: partition << LOWER_BITS, max: PAGE });
  }
}

function isNew(sequence: bigint, partition: bigint, { from }: Position): boolean {
  return partitionOf(sequence) === partition && sequence >= from;
}

/** Azure may go on calling a message scheduled when it has come. */
function hasCome({ state, scheduledAt, enqueuedAt }: Lying): boolean {
  if (state !== 'scheduled') return true;
  const due = new Date(String(scheduledAt));
  return due <= new Date(String(enqueuedAt)) && due <= new Date();
}
