// The broker's public face: everything the gateways and the handler call. It holds the parts together and decides
// nothing itself: entities.ts changes topics, publish.ts appends, owners.ts owns, cursor.ts hands out, progress.ts remembers.

import { steadyNow } from '../kit/clock.ts';
import { QUEUE_SUBSCRIPTION, subscriptionOf } from './entities/catalogue.ts';
import type { Entities } from './entities/entities.ts';
import { deleteIdle } from './entities/idle.ts';
import { type Entity, findEntity } from './entities/path.ts';
import { Housekeeper, housekeepingDefaults } from './housekeeping.ts';
import { checkMessages, checkSessionId } from './log/check.ts';
import { waitFor } from './log/connection.ts';
import { sizesOf } from './log/quota.ts';
import { cancelScheduled, countScheduled } from './log/scheduled.ts';
import { type SettleStep, transact } from './log/transact.ts';
import type { Message, OutgoingMessage, Receipt } from './message.ts';
import { type Counts, sumCounts } from './owner/counts.ts';
import { moveStragglers } from './owner/stragglers.ts';
import { type BrokerDeps, type Parts, startParts } from './parts.ts';
import { type BrowseOptions, browse } from './receive/browse.ts';
import { type Batch, type ConsumeOptions, type Consumer, startConsumer } from './receive/consume.ts';
import { type LogPosition, LogReader, type PartitionState, partitionState } from './receive/log-reader.ts';
import { Receiver, type ReceiverOptions, type SessionChoice } from './receive/receiver.ts';
import { type Cause, type DeadSelection, deadCauses } from './receive/redrive.ts';
import type { Seat } from './receive/seat.ts';
import { acceptSession, listSessions, type SessionPage } from './receive/seats.ts';

export type { BrokerSettings } from './parts.ts';

export class Broker {
  readonly #parts: Parts;
  readonly housekeeper: Housekeeper;
  readonly #consumers = new Set<Consumer>();
  readonly #ending = new AbortController();
  #stopped: Promise<void> | undefined;

  private constructor(parts: Parts) {
    this.#parts = parts;
    const { database, emit, settings } = parts.deps;
    this.housekeeper = new Housekeeper({
      database,
      emit,
      settings: { ...housekeepingDefaults, ...settings?.housekeeping },
      reportReading: () => this.#measure(),
      deleteIdle: () => deleteIdle(database, parts.catalogue, parts.usage, this),
      moveStragglers: () => moveStragglers(database, parts.owners),
      clockBelievable: () => parts.clock.believable,
    });
    this.housekeeper.start();
  }

  /** Writes down what was read, and measures what is left to read where there is a quota. */
  async #measure(): Promise<void> {
    const { owners, quotas, deps, catalogue } = this.#parts;
    await owners.reportReading();
    await quotas.measure(deps.database, catalogue);
  }

  static async start(deps: BrokerDeps): Promise<Broker> {
    return new Broker(await startParts(deps));
  }

  /** Appends the messages, all or none; resolves when they are durable. One receipt per message, in order. */
  async publish(topic: string, messages: readonly OutgoingMessage[]): Promise<Receipt[]> {
    const entry = this.#parts.catalogue.topic(topic);
    if (messages.length === 0) return [];
    checkMessages(entry, messages, this.#parts.limits);
    const { quotas } = this.#parts;
    if (!quotas.take(entry, messages)) await quotas.lookAndTake(entry, messages, () => this.#measure());
    this.#parts.usage.topic(entry);
    const receipts = await this.#parts.publisher.publish(entry, messages);
    const duplicates = receipts.filter((receipt) => receipt.duplicate).length;
    this.#parts.deps.emit({ name: 'topics.published', topic: entry.name, count: messages.length, duplicates });
    return receipts;
  }

  /** Sends to any number of topics and settles messages of any receivers: all of it or nothing (transact.ts). */
  async transact(
    sends: readonly { readonly topic: string; readonly messages: readonly OutgoingMessage[] }[],
    settles: readonly SettleStep[],
  ): Promise<Receipt[]> {
    const { catalogue, quotas, usage } = this.#parts;
    const steps = sends.map(({ topic, messages }) => ({ topic: catalogue.topic(topic), messages }));
    for (const { topic, messages } of steps) {
      checkMessages(topic, messages, this.#parts.limits);
      if (!quotas.take(topic, messages)) await quotas.lookAndTake(topic, messages, () => this.#measure());
      usage.topic(topic);
    }
    const receipts = await transact(this.#parts, steps, settles);
    for (const { topic, messages } of steps)
      this.#parts.deps.emit({ name: 'topics.published', topic: topic.name, count: messages.length, duplicates: 0 });
    return receipts;
  }

  /** Starts an in-process consumer; `onBatch` is never called twice at once for one partition. */
  async consume(
    topic: string,
    subscription: string,
    options: ConsumeOptions,
    onBatch: (batch: Batch) => Promise<void>,
  ): Promise<Consumer> {
    const { owners, deps, catalogue } = this.#parts;
    const entry = catalogue.topic(topic);
    const place = { topicId: entry.id, subscriptionId: subscriptionOf(entry, subscription).id };
    await owners.updated();
    const consumer = startConsumer({ database: deps.database, owners, emit: deps.emit }, place, options, onBatch);
    this.#consumers.add(consumer);
    return consumer;
  }

  /**
   * A receiver of `topic/Subscriptions/name`, of a queue, or of the dead letters of either. Close it; closing does not
   * release locks.
   */
  receiver(path: string, options: ReceiverOptions = {}): Receiver {
    return new Receiver(path, this.#receiverDeps(path), options);
  }

  /** A receiver that holds one session; undefined when no session had messages in time. Throws `session_locked`. */
  async acceptSession(
    path: string,
    choice: SessionChoice = {},
    options: ReceiverOptions = {},
  ): Promise<Receiver | undefined> {
    if (choice.id !== undefined) checkSessionId(choice.id);
    const deps = this.#receiverDeps(path);
    const end = steadyNow() + (choice.waitMs ?? 0);
    for (let left = choice.waitMs ?? 0; ; left = end - steadyNow()) {
      const session = await acceptSession(deps.entity().topic, await deps.seats(), { ...choice, waitMs: left });
      if (session) return new Receiver(path, deps, options, session);
      if (steadyNow() + 1 >= end || choice.signal?.aborted || deps.ending.aborted) return undefined;
      // The wait ended early because a partition moved.
      await waitFor(50, choice.signal ?? deps.ending);
    }
  }

  /** Sessions that have messages, or (with `updatedAfter`) whose state was set since. Sorted. */
  async sessions(path: string, page: SessionPage = {}): Promise<string[]> {
    const deps = this.#receiverDeps(path);
    return listSessions(deps.sql, deps.entity().subscription.id, await deps.seats(), page);
  }

  #receiverDeps(path: string) {
    const { catalogue, usage, deps } = this.#parts;
    let found: Entity | undefined;
    const entity = () => {
      // The path is looked up again only when the topic has changed.
      if (!found || catalogue.byId(found.topic.id) !== found.topic) found = findEntity(catalogue, path);
      usage.subscription(found.topic, found.subscription);
      return found;
    };
    entity();
    const seats = (fresh?: boolean) => this.#parts.nodes.seats(entity(), fresh);
    return { sql: deps.database, entity, seats, ending: this.#ending.signal };
  }

  /** The log itself, whoever has read what. */
  browse(topic: string, options: BrowseOptions = {}): Promise<Message[]> {
    return browse(this.#parts.deps.database, this.#parts.catalogue.topic(topic), options);
  }

  /** Reads a partition of the log in order and waits at its end, whoever has read what. Close what it gives. */
  logReader(topic: string, part: number, from: LogPosition): Promise<LogReader> {
    const { deps, growth } = this.#parts;
    return LogReader.open({ sql: deps.database, topic: () => this.topic(topic), growth }, part, from);
  }

  partitionState(topic: string, part: number): Promise<PartitionState> {
    return partitionState(this.#parts.deps.database, this.topic(topic), part);
  }

  // Entities: entities.ts says what each of these takes and refuses.

  createTopic(...given: Parameters<Entities['createTopic']>): ReturnType<Entities['createTopic']> {
    return this.#parts.entities.createTopic(...given);
  }

  createQueue(...given: Parameters<Entities['createQueue']>): ReturnType<Entities['createQueue']> {
    return this.#parts.entities.createQueue(...given);
  }

  /** Names this node among those that share the database. */
  get nodeId(): string {
    return this.#parts.deps.node.id;
  }

  /** Whether no other node was there a few seconds ago. */
  get alone(): boolean {
    return this.#parts.nodes.alone;
  }

  /** Reads again what there is, for who misses an entity that another node may have made a moment ago. */
  refresh(): Promise<void> {
    return this.#parts.catalogue.refreshAll();
  }

  ensureTopic(...given: Parameters<Entities['ensureTopic']>): ReturnType<Entities['ensureTopic']> {
    return this.#parts.entities.ensureTopic(...given);
  }

  updateTopic(...given: Parameters<Entities['updateTopic']>): ReturnType<Entities['updateTopic']> {
    return this.#parts.entities.updateTopic(...given);
  }

  updateQueue(...given: Parameters<Entities['updateQueue']>): ReturnType<Entities['updateQueue']> {
    return this.#parts.entities.updateQueue(...given);
  }

  deleteTopic(...given: Parameters<Entities['deleteTopic']>): ReturnType<Entities['deleteTopic']> {
    return this.#parts.entities.deleteTopic(...given);
  }

  topic(...given: Parameters<Entities['topic']>): ReturnType<Entities['topic']> {
    return this.#parts.entities.topic(...given);
  }

  listTopics(...given: Parameters<Entities['listTopics']>): ReturnType<Entities['listTopics']> {
    return this.#parts.entities.listTopics(...given);
  }

  createSubscription(...given: Parameters<Entities['createSubscription']>): ReturnType<Entities['createSubscription']> {
    return this.#parts.entities.createSubscription(...given);
  }

  ensureSubscription(...given: Parameters<Entities['ensureSubscription']>): ReturnType<Entities['ensureSubscription']> {
    return this.#parts.entities.ensureSubscription(...given);
  }

  updateSubscription(...given: Parameters<Entities['updateSubscription']>): ReturnType<Entities['updateSubscription']> {
    return this.#parts.entities.updateSubscription(...given);
  }

  deleteSubscription(...given: Parameters<Entities['deleteSubscription']>): ReturnType<Entities['deleteSubscription']> {
    return this.#parts.entities.deleteSubscription(...given);
  }

  subscription(...given: Parameters<Entities['subscription']>): ReturnType<Entities['subscription']> {
    return this.#parts.entities.subscription(...given);
  }

  addRule(...given: Parameters<Entities['addRule']>): ReturnType<Entities['addRule']> {
    return this.#parts.entities.addRule(...given);
  }

  addRules(...given: Parameters<Entities['addRules']>): ReturnType<Entities['addRules']> {
    return this.#parts.entities.addRules(...given);
  }

  removeRule(...given: Parameters<Entities['removeRule']>): ReturnType<Entities['removeRule']> {
    return this.#parts.entities.removeRule(...given);
  }

  replaceRules(...given: Parameters<Entities['replaceRules']>): ReturnType<Entities['replaceRules']> {
    return this.#parts.entities.replaceRules(...given);
  }

  replay(...given: Parameters<Entities['replay']>): ReturnType<Entities['replay']> {
    return this.#parts.entities.replay(...given);
  }

  /** Bytes that wait in these topics (by id), as far as reading was written down within the last half minute. */
  sizes(topics: readonly number[]): Promise<Map<number, number>> {
    return sizesOf(this.#parts.deps.database, topics);
  }

  /** Runtime counts of one subscription, or of a queue when no subscription is named. */
  async counts(topic: string, subscription: string = QUEUE_SUBSCRIPTION): Promise<Counts> {
    const entry = this.topic(topic);
    const seats = await this.#seats({ topic: entry, subscription: subscriptionOf(entry, subscription), kind: 'live' });
    return sumCounts(await Promise.all(seats.map((seat) => seat.counts())));
  }

  /** How many messages of the topic or queue wait for their time. */
  countScheduled(topic: string): Promise<number> {
    return countScheduled(this.#parts.deps.database, this.topic(topic).id);
  }

  /** Throws `message_not_found`, and cancels nothing, unless all of them are still scheduled. */
  cancelScheduled(topic: string, sequences: readonly number[]): Promise<void> {
    return cancelScheduled(this.#parts.deps.database, this.topic(topic).id, sequences);
  }

  /** Why the dead letters of a subscription or queue (by its path) died, and how many of each. */
  deadCauses(path: string): Promise<Cause[]> {
    const { subscription } = findEntity(this.#parts.catalogue, path);
    return deadCauses(this.#parts.deps.database, subscription.id);
  }

  /** Brings dead letters back to where they died: the named ones, those of a cause, or all. Resolves to how many. */
  async redrive(path: string, which: DeadSelection = {}, onProgress?: (moved: number) => void): Promise<number> {
    const seats = await this.#seats({ ...findEntity(this.#parts.catalogue, path), kind: 'live' });
    let moved = 0;
    for (const seat of seats) {
      for (let after: number | undefined = 0; after !== undefined; ) {
        const page: { moved: number; last: number | undefined } = await seat.redrive(which, after);
        moved += page.moved;
        after = page.last;
        onProgress?.(moved);
      }
    }
    return moved;
  }

  /** Throws away what waits at the path (a dead-letter path: the dead letters). Resolves to how many. */
  async purge(path: string): Promise<number> {
    const seats = await this.#seats(findEntity(this.#parts.catalogue, path));
    const purged = await Promise.all(seats.map((seat) => seat.purge()));
    return purged.reduce((sum, count) => sum + count, 0);
  }

  #seats(entity: Entity): Promise<readonly Seat[]> {
    return this.#parts.nodes.seats(entity);
  }

  /** Ends consumers, flushes what was accepted, lets the partitions go. May be called twice. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const { publisher, owners, scheduler, forwarders, nodes } = this.#parts;
    this.#ending.abort();
    await this.housekeeper.stop();
    await Promise.all([...this.#consumers].map((consumer) => consumer.stop()));
    await forwarders.stop();
    await scheduler.stop();
    await publisher.stop();
    await owners.stop();
    await nodes.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
