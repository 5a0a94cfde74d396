// The broker's public face: everything the gateways and the handler call. It holds the parts together and decides
// nothing itself: publish.ts appends, owners.ts owns, cursor.ts hands out, progress.ts remembers, admin.ts changes.
import type { Database } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import * as admin from './admin.ts';
import { type BrowseOptions, browse } from './browse.ts';
import { Catalogue, QUEUE_SUBSCRIPTION, type SubscriptionEntry, subscriptionOf, type TopicEntry } from './catalogue.ts';
import { checkMessages } from './check.ts';
import { type Batch, type ConsumeOptions, type Consumer, startConsumer } from './consume.ts';
import { type Counts, countsOf } from './counts.ts';
import type { CursorDeps } from './cursor.ts';
import type { Message, OutgoingMessage, Receipt } from './message.ts';
import { Owners } from './owners.ts';
import { findEntity } from './path.ts';
import { Progress } from './progress.ts';
import { Publisher, type PublishLimits, publishLimits } from './publish.ts';
import { Receiver, type ReceiverOptions, type SessionChoice } from './receiver.ts';
import { DEFAULT_RULE, type Rule } from './rule.ts';
import { acceptSession, listSessions, localSeats, type SessionPage } from './seats.ts';
import { mergeSettings, type SubscriptionSettings, subscriptionDefaults, type TopicSettings } from './settings.ts';
import type { EmitTopics } from './signals.ts';

export type BrokerSettings = {
  readonly publish?: Partial<PublishLimits>;
  /** Bytes of recent log kept in memory for consumers, in all and per partition. */
  readonly tailBytes?: number;
  readonly tailBytesPerPartition?: number;
};

export type BrokerDeps = {
  readonly database: Database;
  readonly emit: EmitTopics;
  /** `id`: of the same data directory always the same, of nodes that share a database never. */
  readonly node: { readonly id: string; readonly address?: string | undefined };
  readonly settings?: BrokerSettings | undefined;
};

type Parts = {
  readonly deps: BrokerDeps;
  readonly catalogue: Catalogue;
  readonly owners: Owners;
  readonly publisher: Publisher;
  readonly progress: Progress;
};

export class Broker {
  readonly #parts: Parts;
  readonly #consumers = new Set<Consumer>();
  #stopped: Promise<void> | undefined;

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  static async start(deps: BrokerDeps): Promise<Broker> {
    const { database, emit, node } = deps;
    const catalogue = await Catalogue.load(database);
    const progress: Progress = new Progress(database, emit, (cursor) => owners.drop(cursor.partition));
    const cursorDeps: CursorDeps = { progress, emit };
    const budget = {
      total: deps.settings?.tailBytes ?? 128 * 1024 * 1024,
      each: deps.settings?.tailBytesPerPartition ?? 32 * 1024 * 1024,
      used: 0,
    };
    const owners: Owners = new Owners({ database, catalogue, node, budget, cursorDeps });
    const limits = { ...publishLimits, ...deps.settings?.publish };
    const handOver: Owners['handOver'] = (topic, block) => owners.handOver(topic, block);
    const publisher = new Publisher({ database, catalogue, emit, handOver, limits });
    catalogue.onChange((entry, before) => owners.update(entry, before));
    await owners.start();
    return new Broker({ deps, catalogue, owners, publisher, progress });
  }

  /** Appends the messages, all or none; resolves when they are durable. One receipt per message, in order. */
  async publish(topic: string, messages: readonly OutgoingMessage[]): Promise<Receipt[]> {
    const entry = this.#parts.catalogue.topic(topic);
    if (messages.length === 0) return [];
    checkMessages(entry, messages);
    const receipts = await this.#parts.publisher.publish(entry, messages);
    const duplicates = receipts.filter((receipt) => receipt.duplicate).length;
    this.#parts.deps.emit({ name: 'topics.published', topic: entry.name, count: messages.length, duplicates });
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
    const deps = this.#receiverDeps(path);
    const session = await acceptSession(deps.entity().topic, await deps.seats(), choice);
    return session && new Receiver(path, deps, options, session);
  }

  /** Sessions that have messages, or (with `updatedAfter`) whose state was set since. Sorted. */
  async sessions(path: string, page: SessionPage = {}): Promise<string[]> {
    const deps = this.#receiverDeps(path);
    return listSessions(deps.sql, deps.entity().subscription.id, await deps.seats(), page);
  }

  #receiverDeps(path: string) {
    const { catalogue, owners, deps } = this.#parts;
    const entity = () => findEntity(catalogue, path);
    entity();
    const seats = async () => {
      await owners.updated();
      return localSeats(owners, entity());
    };
    return { sql: deps.database, entity, seats };
  }

  /** The log itself, whoever has read what. */
  browse(topic: string, options: BrowseOptions = {}): Promise<Message[]> {
    return browse(this.#parts.deps.database, this.#parts.catalogue.topic(topic), options);
  }

  async createTopic(name: string, given: admin.NewTopic = {}): Promise<TopicEntry> {
    const id = await admin.createTopic(this.#parts.deps.database, name, 'topic', given);
    return this.#opened(id);
  }

  async createQueue(
    name: string,
    given: admin.NewTopic & { readonly queue?: Partial<SubscriptionSettings> } = {},
  ): Promise<TopicEntry> {
    const id = await admin.createTopic(this.#parts.deps.database, name, 'queue', given);
    return this.#opened(id);
  }

  async #opened(id: number): Promise<TopicEntry> {
    const entry = await this.#changed(id);
    await this.#parts.owners.claim([entry!]);
    return entry!;
  }

  /** Creates the topic unless it exists; brings the given settings in line if it does. */
  async ensureTopic(name: string, given: admin.NewTopic = {}): Promise<TopicEntry> {
    const known = await this.#find(name);
    if (!known) {
      try {
        return await this.createTopic(name, given);
      } catch (error) {
        if (!(error instanceof Refusal && error.code === 'already_exists')) throw error;
        return this.ensureTopic(name, given);
      }
    }
    const settings = given.settings ?? {};
    if (sameSettings(known.settings, settings)) return known;
    return this.updateTopic(name, settings);
  }

  /** Also finds a topic that another node made just now. */
  async #find(name: string): Promise<TopicEntry | undefined> {
    const { catalogue } = this.#parts;
    if (!catalogue.find(name)) await catalogue.refreshAll();
    return catalogue.find(name);
  }

  async updateTopic(name: string, given: Partial<TopicSettings>): Promise<TopicEntry> {
    const entry = this.topic(name);
    await admin.updateTopic(this.#parts.deps.database, entry.id, mergeSettings(entry.settings, given));
    return (await this.#changed(entry.id))!;
  }

  async deleteTopic(name: string): Promise<void> {
    const entry = this.topic(name);
    await admin.deleteTopic(this.#parts.deps.database, entry.id);
    await this.#changed(entry.id);
  }

  /** Refuses with `topic_not_found`. */
  topic(name: string): TopicEntry {
    return this.#parts.catalogue.topic(name);
  }

  /** By name, without regard to case. `next` is the `after` of the next page. */
  listTopics(
    options: { after?: string | undefined; limit?: number | undefined; kind?: 'topic' | 'queue' | undefined } = {},
  ): { items: TopicEntry[]; next: string | undefined } {
    const after = options.after?.toLowerCase() ?? '';
    const limit = options.limit ?? 100;
    const all = [...this.#parts.catalogue.all()]
      .filter((entry) => entry.name.toLowerCase() > after && (!options.kind || entry.kind === options.kind))
      .sort((a, b) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1));
    const items = all.slice(0, limit);
    return { items, next: all.length > limit ? items.at(-1)!.name : undefined };
  }

  /** Without rules given it gets one that selects everything. */
  async createSubscription(
    topic: string,
    name: string,
    given: Partial<SubscriptionSettings> = {},
    rules: readonly Rule[] = [DEFAULT_RULE],
  ): Promise<SubscriptionEntry> {
    const entry = this.#topicOnly(topic);
    const settings = mergeSettings(subscriptionDefaults, given);
    await admin.createSubscription(this.#parts.deps.database, entry.id, name, settings, rules);
    return subscriptionOf((await this.#changed(entry.id))!, name);
  }

  async ensureSubscription(
    topic: string,
    name: string,
    given: Partial<SubscriptionSettings> = {},
    rules?: readonly Rule[],
  ): Promise<SubscriptionEntry> {
    const known = this.topic(topic).subscriptions.find((each) => each.name.toLowerCase() === name.toLowerCase());
    if (known) return sameSettings(known.settings, given) ? known : this.updateSubscription(topic, name, given);
    try {
      return await this.createSubscription(topic, name, given, rules);
    } catch (error) {
      if (!(error instanceof Refusal && error.code === 'already_exists')) throw error;
      const entry = await this.#changed(this.topic(topic).id);
      return subscriptionOf(entry!, name);
    }
  }

  async updateSubscription(
    topic: string,
    name: string,
    given: Partial<SubscriptionSettings>,
  ): Promise<SubscriptionEntry> {
    const entry = this.topic(topic);
    const { id, settings } = subscriptionOf(entry, name);
    await admin.updateSubscription(this.#parts.deps.database, entry.id, id, mergeSettings(settings, given));
    return subscriptionOf((await this.#changed(entry.id))!, name);
  }

  async deleteSubscription(topic: string, name: string): Promise<void> {
    const entry = this.#topicOnly(topic);
    await admin.deleteSubscription(this.#parts.deps.database, entry.id, subscriptionOf(entry, name).id);
    await this.#changed(entry.id);
  }

  subscription(topic: string, name: string): SubscriptionEntry {
    return subscriptionOf(this.topic(topic), name);
  }

  async addRule(topic: string, subscription: string, rule: Rule): Promise<void> {
    const entry = this.#topicOnly(topic);
    await admin.addRule(this.#parts.deps.database, entry.id, subscriptionOf(entry, subscription).id, rule);
    await this.#changed(entry.id);
  }

  async removeRule(topic: string, subscription: string, name: string): Promise<void> {
    const entry = this.#topicOnly(topic);
    await admin.removeRule(this.#parts.deps.database, entry.id, subscriptionOf(entry, subscription).id, name);
    await this.#changed(entry.id);
  }

  async replaceRules(topic: string, subscription: string, rules: readonly Rule[]): Promise<void> {
    const entry = this.#topicOnly(topic);
    await admin.replaceRules(this.#parts.deps.database, entry.id, subscriptionOf(entry, subscription).id, rules);
    await this.#changed(entry.id);
  }

  /** Runtime counts of one subscription, or of a queue when no subscription is named. */
  async counts(topic: string, subscription: string = QUEUE_SUBSCRIPTION): Promise<Counts> {
    const entry = this.topic(topic);
    await this.#parts.owners.updated();
    return countsOf(this.#parts.owners.owned(entry.id), subscriptionOf(entry, subscription));
  }

  #topicOnly(name: string): TopicEntry {
    const entry = this.topic(name);
    if (entry.kind === 'queue')
      throw new Refusal('bad_request', `"${entry.name}" is a queue; it has no subscriptions.`);
    return entry;
  }

  async #changed(id: number): Promise<TopicEntry | undefined> {
    const { catalogue, owners } = this.#parts;
    await catalogue.refresh([id]);
    await owners.updated();
    return catalogue.byId(id);
  }

  /** Ends consumers, flushes what was accepted, lets the partitions go. May be called twice. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const { publisher, progress, owners } = this.#parts;
    await Promise.all([...this.#consumers].map((consumer) => consumer.stop()));
    await publisher.stop();
    await progress.stop();
    await owners.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

function sameSettings(known: object, given: object): boolean {
  const current = new Map<string, unknown>(Object.entries(known));
  return Object.entries(given).every(([name, value]) => value === undefined || current.get(name) === value);
}
