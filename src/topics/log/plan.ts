// From requests to one flush: choose partitions, drop duplicates, evaluate rules, encode blocks, promise numbers.
// Pure but for the clock that is handed in; the publisher runs it again when a flush was refused.
import { randomBytes } from 'node:crypto';
import type { Sql } from '../../kit/database.ts';
import type { TopicEntry } from '../entities/catalogue.ts';
import type { OutgoingMessage, Receipt } from '../message.ts';
import type { BlockRow, Flush } from './append.ts';
import { bitsOf } from './bits.ts';
import { Block, type BlockIndex, BlockWriter } from './block.ts';
import { type DedupRow, idHash, placeOf, type RecentIds } from './dedup.ts';
import type { Matchers } from './matcher.ts';
import { partitionOfKey } from './partition-key.ts';
import { encodeRecord } from './record.ts';
import { insertScheduled, SCHEDULED_PART, type ScheduledRow, scheduledSequence } from './scheduled.ts';

/** What a forwarded or redriven message brings along. */
export type Outgoing = OutgoingMessage & {
  readonly messageId: string;
  readonly hops?: number | undefined;
  readonly originalSequence?: number | undefined;
  /** It was scheduled, and its time has come: neither a duplicate of itself nor to be scheduled again. */
  readonly activated?: boolean | undefined;
};

export type Request = {
  readonly topicId: number;
  /** The topic of each message, where they go to several. */
  readonly topicIds?: readonly number[] | undefined;
  readonly messages: readonly Outgoing[];
  readonly bytes: number;
  readonly since: number;
  /** Work of the same transaction. A request with it is never split from it: both land or neither. */
  readonly within: ((sql: Sql) => Promise<void>) | undefined;
  readonly resolve: (receipts: Receipt[]) => void;
  readonly reject: (error: unknown) => void;
};

/** The part of a flush that goes to one topic partition. */
type Target = {
  readonly topic: TopicEntry;
  readonly part: number;
  readonly first: number;
  readonly writer: BlockWriter;
  /** Message id -> its number, for duplicates within the flush. */
  readonly numbers: Map<string, number>;
};

export type Plan = {
  readonly flush: Flush;
  readonly blocks: readonly { readonly topic: TopicEntry; readonly row: BlockRow; readonly index: BlockIndex }[];
  readonly answers: readonly { readonly request: Request; readonly receipts: Receipt[] }[];
  /** Dedup rows with the ids as they were given. */
  readonly ids: readonly (DedupRow & { readonly messageId: string })[];
  readonly scheduled: readonly ScheduledRow[];
};

/** What gathers while requests are planned. */
type Draft = {
  readonly targets: Map<string, Target>;
  readonly ids: (DedupRow & { readonly messageId: string })[];
  readonly scheduled: ScheduledRow[];
  readonly state: PlanState;
  /** Of one block, about. */
  readonly bytes: number;
};

export type PlanState = {
  readonly gen: number;
  readonly now: Date;
  /** The time by which ids are remembered (milliseconds): `now`, unless the clock was set back. */
  readonly seenAt: number;
  readonly heads: ReadonlyMap<string, number>;
  readonly recent: RecentIds;
  readonly matchers: Matchers;
  /** Gives the next free number of a scheduled message. */
  readonly scheduledId: () => number;
  readonly topicOf: (id: number) => TopicEntry | undefined;
};

export function headKey(topic: number, part: number): string {
  return `${topic}/${part}`;
}

/** Requests whose topic is gone must have been taken out before; every head that is needed must be known. */
export function planFlush(requests: readonly Request[], state: PlanState): Plan {
  const bytes = requests.every((request) => !request.topicIds && request.topicId === requests[0]!.topicId)
    ? sumBytes(requests)
    : 4096;
  const draft: Draft = { targets: new Map(), ids: [], scheduled: [], state, bytes };
  const answers = requests.map((request) => {
    const receipts = request.topicIds ? planSeveral(draft, request) : planOne(draft, request);
    return { request, receipts };
  });
  const { targets, ids, scheduled } = draft;
  const blocks = [...targets.values()].filter((target) => target.writer.count > 0).map(finish);
  const within = requests.flatMap((request) => request.within ?? []);
  if (scheduled.length > 0) within.push((sql) => insertScheduled(sql, scheduled, state.now));
  const flush = {
    gen: state.gen,
    nonce: nextNonce(),
    now: state.now,
    seenAt: state.seenAt,
    blocks: blocks.map((b) => b.row),
    ids,
    within,
  };
  return { flush, blocks, answers, ids, scheduled };
}

// What tells a flush from every other: the life of this process, and its count. Random bytes for each cost a fiftieth of
// what a flush takes in node.
const LIFE = randomBytes(8);
let flushes = 0;

function nextNonce(): Buffer {
  const nonce = Buffer.allocUnsafe(12);
  LIFE.copy(nonce);
  nonce.writeUInt32BE(flushes++ % 2 ** 32, 8);
  return nonce;
}

function planOne(draft: Draft, request: Request): Receipt[] {
  const topic = draft.state.topicOf(request.topicId)!;
  const whole = wholePart(topic, request.messages);
  return request.messages.map((message) => {
    const part = whole ?? partFor(topic, message);
    return addMessage(targetOf(draft, topic, part), message, draft);
  });
}

function planSeveral(draft: Draft, { messages, topicIds }: Request): Receipt[] {
  return messages.map((message, i) => {
    const topic = draft.state.topicOf(topicIds![i]!)!;
    return addMessage(targetOf(draft, topic, partFor(topic, message)), message, draft);
  });
}

/** The topics that a request writes to. */
export function topicsOf(request: Request): Iterable<number> {
  return request.topicIds ? new Set(request.topicIds) : [request.topicId];
}

function sumBytes(requests: readonly Request[]): number {
  return requests.reduce((sum, request) => sum + request.bytes, 64);
}

function finish(target: Target): Plan['blocks'][number] {
  const { topic, part, first, writer } = target;
  const { body, tally, index } = writer.finish();
  return {
    topic,
    row: { topic: topic.id, part, version: topic.version, first, count: writer.count, tally, body },
    index,
  };
}

/** The block as readers of this node get it, once it is durable. */
export function toBlock(planned: Plan['blocks'][number], enqueuedAt: Date): Block {
  const { topic, row, index } = planned;
  return new Block({ topic: topic.name, partition: row.part, first: row.first, enqueuedAt }, row.body, index);
}

function targetOf(draft: Draft, topic: TopicEntry, part: number): Target {
  const { targets, state } = draft;
  const key = headKey(topic.id, part);
  let target = targets.get(key);
  if (!target) {
    target = { topic, part, first: state.heads.get(key)!, writer: new BlockWriter(draft.bytes), numbers: new Map() };
    targets.set(key, target);
  }
  return target;
}

function addMessage(target: Target, message: Outgoing, draft: Draft): Receipt {
  const { topic, part } = target;
  const { now } = draft.state;
  const later = isLater(message, now);
  const seen = message.activated ? undefined : duplicateOf(target, message, draft.state);
  if (seen !== undefined) return { sequence: seen, partition: part, duplicate: true, enqueuedAt: now };
  const id = later ? draft.state.scheduledId() : 0;
  const sequence = later ? scheduledSequence(id) : target.first + target.writer.count;
  if (topic.settings.duplicateDetection && !message.activated) {
    const { messageId } = message;
    target.numbers.set(messageId, sequence);
    const place = placeOf(topic.settings, draft.state.seenAt);
    draft.ids.push({ ...place, topic: topic.id, part, id: idHash(messageId), sequence, messageId });
  }
  if (later)
    draft.scheduled.push({ id, topic: topic.id, dueAt: message.scheduledAt!, record: encodeRecord(message, {}) });
  else writeRecords(target, message, draft.state.matchers);
  return { sequence, partition: later ? SCHEDULED_PART : part, duplicate: false, enqueuedAt: now };
}

export function isLater(message: Outgoing, now: Date): boolean {
  return message.scheduledAt !== undefined && !message.activated && message.scheduledAt > now;
}

/** The number of the message that had this one's id before, in this flush or in the topic's window. */
function duplicateOf({ topic, part, numbers }: Target, { messageId }: Outgoing, state: PlanState): number | undefined {
  if (!topic.settings.duplicateDetection) return undefined;
  const { since } = placeOf(topic.settings, state.seenAt);
  return numbers.get(messageId) ?? state.recent.find(topic.id, part, messageId, since)?.sequence;
}

function writeRecords(target: Target, message: Outgoing, matchers: Matchers): void {
  const { topic, writer } = target;
  const match = matchers.of(topic).match(message);
  const lifetimeOf = ({ timeToLiveMs }: Outgoing) => shortest(timeToLiveMs, topic.settings.defaultTimeToLiveMs);
  const { hops, originalSequence } = message;
  writer.add(message, { bits: match.bits, lifetimeMs: lifetimeOf(message), hops, originalSequence });
  for (const { bit, message: changed, fault } of match.copies) {
    const extras = { bits: bitsOf([bit]), lifetimeMs: lifetimeOf(changed), copy: true, hops, originalSequence, fault };
    writer.add(changed, extras);
  }
}

function shortest(a: number | undefined, b: number | null): number | undefined {
  if (b === null) return a;
  return a === undefined ? b : Math.min(a, b);
}

/** A batch without keys goes to one partition as a whole. */
function wholePart(topic: TopicEntry, messages: readonly Outgoing[]): number | undefined {
  if (topic.partitions === 1) return 0;
  const isPlaced = (message: Outgoing) => message.intoPartition !== undefined || keyOf(message) !== undefined;
  const keyed = topic.settings.duplicateDetection || messages.some(isPlaced);
  return keyed ? undefined : Math.floor(Math.random() * topic.partitions);
}

function keyOf(message: Outgoing): string | undefined {
  return message.sessionId ?? message.partitionKey;
}

/** With duplicate detection an unkeyed message goes by its id, so that its repeats meet it. */
export function partFor(topic: TopicEntry, message: Outgoing): number {
  if (topic.partitions === 1) return 0;
  const { intoPartition, sessionId, partitionKey, messageId } = message;
  if (intoPartition !== undefined) return intoPartition;
  if (sessionId === undefined && partitionKey !== undefined) return partitionOfKey(partitionKey, topic.partitions);
  return hashKey(sessionId ?? messageId) % topic.partitions;
}

/** FNV-1a over UTF-16 code units, with a final mix; stable for ever, because order per session depends on it. */
function hashKey(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) >>> 0;
}
