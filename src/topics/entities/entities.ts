// Creating, finding, changing and deleting topics, queues, subscriptions and rules. admin.ts writes, the catalogue reads
// again, the other nodes hear of it; after every call the owners of this node are in line with what was changed.
import type { Database } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { Nodes } from '../owner/nodes.ts';
import type { Owners } from '../owner/owners.ts';
import { type ReplayFrom, rewind } from '../owner/replay.ts';
import type { Forwarders } from '../receive/forward.ts';
import * as admin from './admin.ts';
import {
  type Catalogue,
  QUEUE_SUBSCRIPTION,
  type SubscriptionEntry,
  subscriptionOf,
  type TopicEntry,
} from './catalogue.ts';
import { keepPartitions, keepSessions } from './fixed.ts';
import type { TopicLimits } from './limits.ts';
import { findEntity } from './path.ts';
import { DEFAULT_RULE, type Rule } from './rule.ts';
import { mergeSettings, type SubscriptionSettings, subscriptionDefaults } from './settings.ts';

const RULES_AT_ONCE = 2_000;

type Deps = {
  readonly database: Database;
  readonly catalogue: Catalogue;
  readonly owners: Owners;
  readonly forwarders: Forwarders;
  readonly nodes: Nodes;
  readonly limits: TopicLimits;
};

export class Entities {
  readonly #deps: Deps;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  async createTopic(name: string, given: admin.NewTopic = {}): Promise<TopicEntry> {
    const id = await admin.createTopic(this.#deps.database, name, 'topic', given);
    return this.#opened(id);
  }

  async createQueue(name: string, given: admin.NewQueue = {}): Promise<TopicEntry> {
    this.#checkForwarding(name, mergeSettings(subscriptionDefaults, given.queue ?? {}));
    const id = await admin.createTopic(this.#deps.database, name, 'queue', given);
    return this.#opened(id);
  }

  async #opened(id: number): Promise<TopicEntry> {
    const entry = await this.changed(id);
    await this.#deps.owners.claim([entry!]);
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
    return this.updateTopic(name, { settings });
  }

  /** Also finds a topic that another node made just now. */
  async #find(name: string): Promise<TopicEntry | undefined> {
    const { catalogue } = this.#deps;
    if (!catalogue.find(name)) await catalogue.refreshAll();
    return catalogue.find(name);
  }

  /** What is left out keeps its value. Refuses with `conflict` what cannot be changed (fixed.ts). */
  async updateTopic(name: string, given: admin.NewTopic): Promise<TopicEntry> {
    const entry = this.topic(name);
    keepPartitions(entry, given.partitions);
    await admin.updateTopic(this.#deps.database, entry.id, mergeSettings(entry.settings, given.settings ?? {}));
    return (await this.changed(entry.id))!;
  }

  /** The same for a queue: both kinds of its settings, or none. */
  async updateQueue(name: string, given: admin.NewQueue): Promise<TopicEntry> {
    const entry = this.topic(name);
    keepPartitions(entry, given.partitions);
    const { id, settings } = subscriptionOf(entry, QUEUE_SUBSCRIPTION);
    const queue = this.#merged(entry.name, 'queue', settings, given.queue ?? {});
    const merged = mergeSettings(entry.settings, given.settings ?? {});
    await admin.updateQueue(this.#deps.database, entry.id, id, merged, queue);
    return (await this.changed(entry.id))!;
  }

  async deleteTopic(name: string): Promise<void> {
    const entry = this.topic(name);
    await admin.deleteTopic(this.#deps.database, entry.id);
    await this.changed(entry.id);
  }

  /** Refuses with `topic_not_found`. */
  topic(name: string): TopicEntry {
    return this.#deps.catalogue.topic(name);
  }

  /** By name, without regard to case. `next` is the `after` of the next page. */
  listTopics(
    options: { after?: string | undefined; limit?: number | undefined; kind?: 'topic' | 'queue' | undefined } = {},
  ): { items: TopicEntry[]; next: string | undefined } {
    const after = options.after?.toLowerCase() ?? '';
    const limit = options.limit ?? 100;
    const all = [...this.#deps.catalogue.all()]
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
    await admin.createSubscription(this.#deps.database, entry.id, name, settings, rules, this.#deps.limits);
    const created = subscriptionOf((await this.changed(entry.id))!, name);
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
      const entry = await this.changed(this.topic(topic).id);
      return subscriptionOf(entry!, name);
    }
  }

  /** As `updateTopic`. Rules, if they are given, come in the place of all that there are, with the settings or not at all. */
  async updateSubscription(
    topic: string,
    name: string,
    given: Partial<SubscriptionSettings>,
    rules?: readonly Rule[],
  ): Promise<SubscriptionEntry> {
    const entry = this.#topicOnly(topic);
    const { id, name: known, settings } = subscriptionOf(entry, name);
    const merged = this.#merged(`${entry.name}/Subscriptions/${known}`, 'subscription', settings, given);
    await admin.updateSubscription(this.#deps.database, entry.id, id, merged, this.#deps.limits, rules);
    return subscriptionOf((await this.changed(entry.id))!, name);
  }

  /** `before` with what is given, if that can be. */
  #merged(
    path: string,
    kind: 'queue' | 'subscription',
    before: SubscriptionSettings,
    given: Partial<SubscriptionSettings>,
  ): SubscriptionSettings {
    const after = mergeSettings(before, given);
    keepSessions(path, kind, before, after);
    this.#checkForwarding(path, after);
    return after;
  }

  async deleteSubscription(topic: string, name: string): Promise<void> {
    const entry = this.#topicOnly(topic);
    await admin.deleteSubscription(this.#deps.database, entry.id, subscriptionOf(entry, name).id);
    await this.changed(entry.id);
  }

  subscription(topic: string, name: string): SubscriptionEntry {
    return subscriptionOf(this.topic(topic), name);
  }

  async addRule(topic: string, subscription: string, rule: Rule): Promise<void> {
    const entry = this.#topicOnly(topic);
    await admin.addRules(this.#deps.database, entry, subscriptionOf(entry, subscription).id, [rule], this.#deps.limits);
    await this.changed(entry.id);
  }

  /**
   * Adds many rules, some thousands per transaction, and tells how many are there after each. Refuses, before it adds
   * any, what is not a valid rule, and a name that is there or comes twice.
   */
  async addRules(
    topic: string,
    subscription: string,
    rules: readonly Rule[],
    onProgress?: (added: number) => void,
  ): Promise<number> {
    const entry = this.#topicOnly(topic);
    const { id, rules: known } = subscriptionOf(entry, subscription);
    admin.checkRules(rules);
    const names = new Set(known.map((rule) => rule.name.toLowerCase()));
    for (const { name } of rules) {
      if (names.has(name.toLowerCase())) throw new Refusal('already_exists', `There are two rules "${name}".`);
      names.add(name.toLowerCase());
    }
    for (let at = 0; at < rules.length; at += RULES_AT_ONCE) {
      const some = rules.slice(at, at + RULES_AT_ONCE);
      await admin.addRules(this.#deps.database, this.topic(topic), id, some, this.#deps.limits);
      await this.changed(entry.id);
      onProgress?.(at + some.length);
    }
    return rules.length;
  }

  async removeRule(topic: string, subscription: string, name: string): Promise<void> {
    const entry = this.#topicOnly(topic);
    const { id, rules } = subscriptionOf(entry, subscription);
    const spelled = rules.find((rule) => rule.name.toLowerCase() === name.toLowerCase())?.name ?? name;
    await admin.removeRule(this.#deps.database, entry.id, id, spelled);
    await this.changed(entry.id);
  }

  async replaceRules(topic: string, subscription: string, rules: readonly Rule[]): Promise<void> {
    const entry = this.#topicOnly(topic);
    const { id } = subscriptionOf(entry, subscription);
    await admin.replaceRules(this.#deps.database, entry.id, id, rules, this.#deps.limits);
    await this.changed(entry.id);
  }

  /** Lets a subscription or queue read again what the log still has. */
  async replay(path: string, from: ReplayFrom): Promise<void> {
    const { topic, subscription } = findEntity(this.#deps.catalogue, path);
    await rewind(this.#deps.database, topic.id, subscription.id, from);
    await this.changed(topic.id);
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

  /** Reads a changed topic again, tells the other nodes, brings cursors and movers in line. */
  async changed(id: number): Promise<TopicEntry | undefined> {
    const { catalogue, owners, forwarders, nodes } = this.#deps;
    await catalogue.refresh([id]);
    nodes.hintChanged(id);
    await owners.updated();
    for (const partition of owners.owned(id))
      for (const cursor of partition.cursors.values()) forwarders.update(cursor);
    return catalogue.byId(id);
  }
}

function sameSettings(known: object, given: object): boolean {
  const current = new Map<string, unknown>(Object.entries(known));
  return Object.entries(given).every(([name, value]) => value === undefined || current.get(name) === value);
}
