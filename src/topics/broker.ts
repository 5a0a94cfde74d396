// The broker's public face: everything the gateways and the handler call. It holds the parts together and decides
// nothing itself: publish.ts appends, owners.ts owns, cursor.ts hands out, progress.ts remembers, admin.ts changes.
import type { Database } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import * as admin from './admin.ts';
import type { Block } from './block.ts';
import { type BrowseOptions, browse } from './browse.ts';
import { Catalogue, QUEUE_SUBSCRIPTION, type SubscriptionEntry, subscriptionOf, type TopicEntry } from './catalogue.ts';
import { checkMessages } from './check.ts';
import { type Batch, type ConsumeOptions, type Consumer, startConsumer } from './consume.ts';
import { type Counts, sumCounts } from './counts.ts';
import type { CursorDeps } from './cursor.ts';
import { Forwarders } from './forward.ts';
import { Housekeeper, type HousekeepingSettings, housekeepingDefaults } from './housekeeping.ts';
import { deleteIdle, Usage } from './idle.ts';
import type { Message, OutgoingMessage, Receipt } from './message.ts';
import { type LinkPlace, Nodes } from './nodes.ts';
import { Owners } from './owners.ts';
import { type Entity, findEntity } from './path.ts';
import { Progress } from './progress.ts';
import { Publisher, type PublishLimits, publishLimits } from './publish.ts';
import { Quotas } from './quota.ts';
import { Receiver, type ReceiverOptions, type SessionChoice } from './receiver.ts';
import { type Cause, type DeadSelection, deadCauses } from './redrive.ts';
import { type ReplayFrom, rewind } from './replay.ts';
import { DEFAULT_RULE, type Rule } from './rule.ts';
import { cancelScheduled, countScheduled, Scheduler } from './scheduled.ts';
import type { Seat } from './seat.ts';
import { acceptSession, listSessions, type SessionPage } from './seats.ts';
import { mergeSettings, type SubscriptionSettings, subscriptionDefaults, type TopicSettings } from './settings.ts';
import type { EmitTopics } from './signals.ts';

export type BrokerSettings = {
  readonly publish?: Partial<PublishLimits>;
  /** Bytes of recent log kept in memory for consumers, in all and per partition. */
  readonly tailBytes?: number;
  readonly tailBytesPerPartition?: number;
  readonly housekeeping?: Partial<HousekeepingSettings>;
  /** Where other nodes of the same database reach this one. Port 0: any free one. Absent: it serves no other node. */
  readonly link?: LinkPlace;
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
  readonly scheduler: Scheduler;
  readonly forwarders: Forwarders;
  readonly nodes: Nodes;
  readonly usage: Usage;
  readonly quotas: Quotas;
};

export class Broker {
  readonly #parts: Parts;
  readonly housekeeper: Housekeeper;
  readonly #consumers = new Set<Consumer>();
  #stopped: Promise<void> | undefined;

  private constructor(parts: Parts) {
    this.#parts = parts;
    const { database, emit, settings } = parts.deps;
    this.housekeeper = new Housekeeper({
      database,
      emit,
      settings: { ...housekeepingDefaults, ...settings?.housekeeping },
      reportReading: async () => {
        await parts.owners.reportReading();
        await parts.quotas.measure(database, parts.catalogue);
      },
      deleteIdle: () => deleteIdle(database, parts.catalogue, parts.usage, this),
    });
    this.housekeeper.start();
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
    const self = { id: node.id, address: node.address };
    const owners: Owners = new Owners({ database, catalogue, node: self, budget, cursorDeps });
    const nodes = await Nodes.start({ database, catalogue, owners, nodeId: node.id }, deps.settings?.link);
    self.address = node.address ?? nodes.address;
    const limits = { ...publishLimits, ...deps.settings?.publish };
    const handOver = (topic: TopicEntry, block: Block) => {
      if (!owners.handOver(topic, block)) nodes.hintGrown(topic.id, block.partition);
    };
    const scheduled = (at: number) => scheduler.note(at);
    const publisher = new Publisher({ database, catalogue, emit, handOver, scheduled, limits });
    const scheduler = new Scheduler({ database, catalogue, publisher, emit });
    const forwarders = new Forwarders({ catalogue, owners, publisher, emit });
    catalogue.onChange((entry, before) => owners.update(entry, before));
    await owners.start(async () => {
      await nodes.tick();
      await scheduler.look();
    });
    await scheduler.start();
    const parts = {
      deps,
      catalogue,
      owners,
      publisher,
      progress,
      scheduler,
      forwarders,
      nodes,
      usage: new Usage(),
      quotas: new Quotas(),
    };
    return new Broker(parts);
  }

  /** Appends the messages, all or none; resolves when they are durable. One receipt per message, in order. */
  async publish(topic: string, messages: readonly OutgoingMessage[]): Promise<Receipt[]> {
    const entry = this.#parts.catalogue.topic(topic);
    if (messages.length === 0) return [];
    checkMessages(entry, messages);
    this.#parts.quotas.check(entry);
    this.#parts.usage.topic(entry);
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
    const { catalogue, usage, deps } = this.#parts;
    let found: Entity | undefined;
    const entity = () => {
      // The path is looked up again only when the topic has changed.
      if (!found || catalogue.byId(found.topic.id) !== found.topic) found = findEntity(catalogue, path);
      usage.subscription(found.topic, found.subscription);
      return found;
    };
    entity();
    const seats = () => this.#seats(entity());
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
    this.#checkForwarding(name, mergeSettings(subscriptionDefaults, given.queue ?? {}));
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

  /** Without rules given it gets one that selects everything. With `from` it also gets what the log has since then. */
  async createSubscription(
    topic: string,
    name: string,
    given: Partial<SubscriptionSettings> = {},
    rules: readonly Rule[] = [DEFAULT_RULE],
    from?: ReplayFrom,
  ): Promise<SubscriptionEntry> {
    const entry = this.#topicOnly(topic);
    const settings = mergeSettings(subscriptionDefaults, given);
    this.#checkForwarding(`${entry.name}/Subscriptions/${name}`, settings);
    await admin.createSubscription(this.#parts.deps.database, entry.id, name, settings, rules);
    const created = subscriptionOf((await this.#changed(entry.id))!, name);
    if (from) await this.replay(`${entry.name}/Subscriptions/${name}`, from);
    return created;
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
    const merged = mergeSettings(settings, given);
    this.#checkForwarding(entry.kind === 'queue' ? entry.name : `${entry.name}/Subscriptions/${name}`, merged);
    await admin.updateSubscription(this.#parts.deps.database, entry.id, id, merged);
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

  /** Lets a subscription or queue read again what the log still has. */
  async replay(path: string, from: ReplayFrom): Promise<void> {
    const { topic, subscription } = findEntity(this.#parts.catalogue, path);
    await rewind(this.#parts.deps.database, topic.id, subscription.id, from);
    await this.#changed(topic.id);
  }

  #seats(entity: Entity): Promise<readonly Seat[]> {
    return this.#parts.nodes.seats(entity);
  }

  #checkForwarding(path: string, settings: SubscriptionSettings): void {
    for (const to of [settings.forwardTo, settings.forwardDeadLettersTo]) {
      if (to === null) continue;
      this.topic(to);
      if (to.toLowerCase() === path.toLowerCase())
        throw new Refusal('bad_request', `"${path}" cannot forward to itself.`);
    }
    if (settings.forwardTo !== null && settings.requiresSession) {
      throw new Refusal('bad_request', 'An entity that requires sessions cannot forward its messages.');
    }
  }

  #topicOnly(name: string): TopicEntry {
    const entry = this.topic(name);
    if (entry.kind === 'queue')
      throw new Refusal('bad_request', `"${entry.name}" is a queue; it has no subscriptions.`);
    return entry;
  }

  async #changed(id: number): Promise<TopicEntry | undefined> {
    const { catalogue, owners, forwarders, nodes } = this.#parts;
    await catalogue.refresh([id]);
    nodes.hintChanged(id);
    await owners.updated();
    for (const partition of owners.owned(id))
      for (const cursor of partition.cursors.values()) forwarders.update(cursor);
    return catalogue.byId(id);
  }

  /** Ends consumers, flushes what was accepted, lets the partitions go. May be called twice. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const { publisher, progress, owners, scheduler, forwarders, nodes } = this.#parts;
    await this.housekeeper.stop();
    await Promise.all([...this.#consumers].map((consumer) => consumer.stop()));
    await forwarders.stop();
    await scheduler.stop();
    await publisher.stop();
    await progress.stop();
    await owners.stop();
    await nodes.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

function sameSettings(known: object, given: object): boolean {
  const current = new Map<string, unknown>(Object.entries(known));
  return Object.entries(given).every(([name, value]) => value === undefined || current.get(name) === value);
}
