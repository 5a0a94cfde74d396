// Group commit. Requests gather while a flush is under way; the next flush takes what has gathered, whatever topics it
// is for. So one sender alone waits for one commit, and a thousand senders share one.
//
//   publish -> queue -> plan -> append --ok--> owners' tails, then receipts
//                        ^         |--out of date--> learn (rules, generation, numbers, duplicates) --,
//                        |         `--connection lost--> reconnect, look whether it landed ------------|
//                        `-----------------------------------------------------------------------------'
// A request is refused only when nothing of it was written, or (code `in_doubt`) when PostgreSQL stayed away too long
// to find out.
import { randomUUID } from 'node:crypto';
import { steadyNow } from '../../kit/clock.ts';
import { type Database, type Sql, sqlState } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { Catalogue, TopicEntry } from '../entities/catalogue.ts';
import type { OutgoingMessage, Receipt } from '../message.ts';
import type { EmitTopics } from '../signals.ts';
import { Appender, OUT_OF_DATE } from './append.ts';
import type { Block } from './block.ts';
import { isDiskFull, isOutage, tellDiskFull, waitFor } from './connection.ts';
import { findDuplicates, RecentIds } from './dedup.ts';
import { Matchers } from './matcher.ts';
import { headKey, isLater, type Outgoing, type Plan, planFlush, type Request, toBlock, topicsOf } from './plan.ts';
import { ID_RANGE, reserveIds } from './scheduled.ts';

export type PublishLimits = {
  /** Messages and bytes of one flush, or one request. Who sends in batches makes the next ones while others are written. */
  readonly flushMessages: number;
  readonly flushBytes: number;
  /** Bytes that may wait; more is refused as `busy`. */
  readonly queueBytes: number;
  /** How long a request may wait for PostgreSQL to come back. */
  readonly patienceMs: number;
};

export const publishLimits: PublishLimits = {
  flushMessages: 1_000,
  flushBytes: 256 * 1024,
  queueBytes: 64 * 1024 * 1024,
  patienceMs: 30_000,
};

type Deps = {
  readonly database: Database;
  readonly catalogue: Catalogue;
  readonly emit: EmitTopics;
  /** Hands a durable block to this node's owner of the partition, if it is that. */
  readonly handOver: (topic: TopicEntry, block: Block) => void;
  /** A message was scheduled for this time (milliseconds). */
  readonly scheduled: (at: number) => void;
  /** The time by which ids are remembered (milliseconds). */
  readonly seenAt: () => number;
  readonly limits: PublishLimits;
};

export class Publisher {
  readonly #deps: Deps;
  readonly #appender: Appender;
  readonly #recent = new RecentIds();
  readonly #matchers = new Matchers();
  readonly #heads = new Map<string, number>();
  readonly #stop = new AbortController();
  /** Numbers reserved for scheduled messages, the next one last. */
  #scheduledIds: number[] = [];
  #queue: Request[] = [];
  #queuedBytes = 0;
  #gen = 0;
  #running: Promise<void> | undefined;

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#appender = new Appender(deps.database);
  }

  /** Resolves when all the messages are durable; all of them are, or none. */
  publish(
    topic: TopicEntry,
    messages: readonly OutgoingMessage[],
    within?: (sql: Sql) => Promise<void>,
  ): Promise<Receipt[]> {
    return this.#enqueue(topic.id, messages, within);
  }

  /** The same for several topics; what `within` writes lands with all of it, or nothing does. May be nothing but that. */
  publishAll(
    parts: readonly { readonly topic: TopicEntry; readonly messages: readonly OutgoingMessage[] }[],
    within: (sql: Sql) => Promise<void>,
  ): Promise<Receipt[]> {
    const messages = parts.flatMap((part) => part.messages);
    const topicIds = parts.flatMap((part) => part.messages.map(() => part.topic.id));
    return this.#enqueue(topicIds[0] ?? 0, messages, within, topicIds);
  }

  #enqueue(
    topicId: number,
    messages: readonly OutgoingMessage[],
    within?: (sql: Sql) => Promise<void>,
    topicIds?: readonly number[],
  ): Promise<Receipt[]> {
    if (this.#stop.signal.aborted) return Promise.reject(new Refusal('stopping', 'The broker is stopping.'));
    const bytes = messages.reduce((sum, message) => sum + message.body.length + 200, 0);
    if (this.#queuedBytes + bytes > this.#deps.limits.queueBytes && this.#queue.length > 0) {
      const words = 'More is being published than the database takes. Try again shortly.';
      return Promise.reject(new Refusal('busy', words));
    }
    return new Promise((resolve, reject) => {
      const named = messages.map(withId);
      this.#queue.push({ topicId, topicIds, messages: named, bytes, since: steadyNow(), within, resolve, reject });
      this.#queuedBytes += bytes;
      this.#running ??= this.#run();
    });
  }

  /** Flushes what is queued, then refuses everything. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#appender.close();
  }

  async #run(): Promise<void> {
    // A turn of the event loop, so that what arrives together is flushed together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) {
      const group = this.#takeGroup();
      const started = performance.now();
      await this.#flushGroup(group);
      const messages = group.reduce((sum, request) => sum + request.messages.length, 0);
      const tookMs = performance.now() - started;
      this.#deps.emit({ name: 'topics.flushed', messages, requests: group.length, tookMs });
    }
    this.#running = undefined;
  }

  #takeGroup(): Request[] {
    const { flushMessages, flushBytes } = this.#deps.limits;
    let count = 0;
    let messages = 0;
    let bytes = 0;
    for (const request of this.#queue) {
      if (count > 0 && (messages + request.messages.length > flushMessages || bytes + request.bytes > flushBytes))
        break;
      messages += request.messages.length;
      bytes += request.bytes;
      count++;
    }
    const group = this.#queue.slice(0, count);
    this.#queue = this.#queue.slice(count);
    this.#queuedBytes -= bytes;
    return group;
  }

  /** Never rejects: every request of the group is answered. */
  async #flushGroup(group: readonly Request[]): Promise<void> {
    try {
      await this.#flush(group);
    } catch (error) {
      // One bad request must not fail its neighbours.
      const each = group.length > 1 && !isOutage(error) && !isDiskFull(error);
      if (each) for (const request of group) await this.#flushGroup([request]);
      else for (const request of group) request.reject(isOutage(error) ? away(error) : tellDiskFull(error));
    }
  }

  async #flush(group: readonly Request[]): Promise<void> {
    for (let doubt: Plan | undefined; ; ) {
      const live = this.#refuseGone(group);
      if (live.length === 0) return;
      let plan = doubt;
      try {
        if (plan && (await this.#appender.landed(plan.flush, plan.scheduled))) return this.#done(plan);
        plan = undefined;
        await this.#learnHeads(live);
        plan = this.#plan(live);
        await this.#appender.append(plan.flush);
        return this.#done(plan);
      } catch (error) {
        if (isOutdated(error)) {
          // A flush that is repeated after a lost answer collides with itself if it had landed.
          if (doubt && (await this.#appender.landed(doubt.flush, doubt.scheduled))) return this.#done(doubt);
          doubt = undefined;
          await this.#catchUp(plan!, sqlState(error) === '23505');
        } else if (isOutage(error)) {
          doubt = plan ?? doubt;
          await this.#outage(error, group);
        } else throw error;
      }
    }
  }

  #refuseGone(group: readonly Request[]): Request[] {
    return group.filter((request) => {
      if ([...topicsOf(request)].every((id) => this.#deps.catalogue.byId(id))) return true;
      request.reject(new Refusal('topic_not_found', 'The topic was deleted.'));
      return false;
    });
  }

  #plan(group: readonly Request[]): Plan {
    const topicOf = (id: number) => this.#deps.catalogue.byId(id);
    return planFlush(group, {
      gen: this.#gen,
      now: new Date(),
      seenAt: this.#deps.seenAt(),
      heads: this.#heads,
      recent: this.#recent,
      matchers: this.#matchers,
      scheduledId: () => this.#scheduledIds.pop()!,
      topicOf,
    });
  }

  #done(plan: Plan): void {
    const { now, seenAt } = plan.flush;
    for (const { topic, part, id: _, messageId, sequence } of plan.ids) {
      this.#recent.add(topic, part, messageId, { sequence, at: seenAt });
    }
    for (const planned of plan.blocks) {
      const { row, topic } = planned;
      this.#heads.set(headKey(row.topic, row.part), row.first + row.count);
      this.#deps.handOver(topic, toBlock(planned, now));
    }
    for (const { dueAt } of plan.scheduled) this.#deps.scheduled(dueAt.getTime());
    for (const { request, receipts } of plan.answers) request.resolve(receipts);
  }

  async #learnHeads(group: readonly Request[]): Promise<void> {
    if (this.#gen === 0) this.#gen = await this.#appender.generation();
    const now = new Date();
    const later = group.reduce((sum, { messages }) => sum + messages.filter((m) => isLater(m, now)).length, 0);
    while (this.#scheduledIds.length < later) await this.#reserveIds();
    const missing = new Map<string, { topic: number; part: number }>();
    for (const id of new Set(group.flatMap((request) => [...topicsOf(request)]))) {
      const topic = this.#deps.catalogue.byId(id)!;
      if (topic.partitions === 1 && this.#heads.has(headKey(topic.id, 0))) continue;
      for (let part = 0; part < topic.partitions; part++) {
        const key = headKey(topic.id, part);
        if (!this.#heads.has(key)) missing.set(key, { topic: topic.id, part });
      }
    }
    if (missing.size > 0) await this.#readHeads([...missing.values()]);
  }

  async #reserveIds(): Promise<void> {
    const first = await reserveIds(this.#appender.connection);
    const ids = Array.from({ length: ID_RANGE }, (_, i) => first + ID_RANGE - 1 - i);
    this.#scheduledIds = [...ids, ...this.#scheduledIds];
  }

  async #readHeads(keys: readonly { topic: number; part: number }[]): Promise<void> {
    for (const { topic, part, next } of await this.#appender.heads(keys)) this.#heads.set(headKey(topic, part), next);
  }

  /** The flush assumed something that is no longer so: reads again all that it could be. */
  async #catchUp(plan: Plan, headsMoved: boolean): Promise<void> {
    this.#gen = await this.#appender.generation();
    await this.#deps.catalogue.refresh([...new Set(plan.blocks.map(({ topic }) => topic.id))]);
    if (headsMoved) return this.#readHeads(plan.flush.blocks);
    if (plan.ids.length === 0) return;
    for (const { row, sequence, at } of await findDuplicates(this.#appender.connection, plan.ids)) {
      const { messageId } = row as Plan['ids'][number];
      this.#recent.add(row.topic, row.part, messageId, { sequence, at: at.getTime() });
    }
  }

  async #outage(error: unknown, group: readonly Request[]): Promise<void> {
    this.#deps.emit({ name: 'topics.database_away', where: 'publish', error });
    const deadline = Math.min(...group.map((request) => request.since)) + this.#deps.limits.patienceMs;
    if (this.#stop.signal.aborted || steadyNow() > deadline) throw error;
    await waitFor(100, this.#stop.signal);
  }
}

function isOutdated(error: unknown): boolean {
  const state = sqlState(error);
  return state === OUT_OF_DATE || state === '23505';
}

function away(error: unknown): Refusal {
  const words =
    'The database did not answer; the messages may or may not be stored. Send them again with the same ids.';
  return new Refusal('in_doubt', words, {}, error);
}

function withId(message: OutgoingMessage): Outgoing {
  if (message.messageId !== undefined) return message as Outgoing;
  return { ...message, messageId: randomUUID().replaceAll('-', '') };
}
