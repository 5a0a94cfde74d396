// What topics, subscriptions and rules there are, as one immutable entry per topic, replaced when its version moves.
// The database is the truth: an append with an older version is refused there, which is how this node learns of a
// change that another node made.
import { type Sql, statement } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';
import { readChanges, readTopics } from './read.ts';
import type { Rule } from './rule.ts';
import type { SubscriptionSettings, TopicSettings } from './settings.ts';

export type SubscriptionEntry = {
  readonly id: number;
  readonly name: string;
  readonly bit: number;
  readonly settings: SubscriptionSettings;
  readonly incarnation: number;
  /** Per partition: the first sequence whose bit was set by this subscription's own rules. */
  readonly starts: readonly number[];
  /** Per partition: the sequence before the first that the subscription reads. */
  readonly bases: readonly number[];
  readonly rules: readonly Rule[];
  readonly createdAt: Date;
  readonly updatedAt: Date;
};

export type TopicEntry = {
  readonly id: number;
  readonly name: string;
  readonly kind: 'topic' | 'queue';
  readonly partitions: number;
  readonly version: number;
  readonly settings: TopicSettings;
  readonly subscriptions: readonly SubscriptionEntry[];
  readonly createdAt: Date;
  readonly updatedAt: Date;
};

/** The name of a queue's own subscription. */
export const QUEUE_SUBSCRIPTION = '$queue';

const SELECT_VERSIONS = statement('topics.catalogue.versions', 'select id, version from topic');

type Changed = (entry: TopicEntry | undefined, before: TopicEntry | undefined) => void;

export class Catalogue {
  readonly #sql: Sql;
  readonly #byId = new Map<number, TopicEntry>();
  readonly #byName = new Map<string, TopicEntry>();
  readonly #listeners = new Set<Changed>();

  private constructor(sql: Sql) {
    this.#sql = sql;
  }

  static async load(sql: Sql): Promise<Catalogue> {
    const catalogue = new Catalogue(sql);
    for (const entry of await readTopics(sql)) catalogue.#put(entry);
    return catalogue;
  }

  /** Called after an entry was added, replaced or (with undefined) removed. */
  onChange(listener: Changed): void {
    this.#listeners.add(listener);
  }

  byId(id: number): TopicEntry | undefined {
    return this.#byId.get(id);
  }

  find(name: string): TopicEntry | undefined {
    return this.#byName.get(name.toLowerCase());
  }

  topic(name: string): TopicEntry {
    const entry = this.find(name);
    if (!entry) throw new Refusal('topic_not_found', `There is no topic or queue "${name.slice(0, 300)}".`);
    return entry;
  }

  all(): IterableIterator<TopicEntry> {
    return this.#byId.values();
  }

  /** Reads what has changed of these topics; those that are gone are dropped. */
  async refresh(ids: readonly number[]): Promise<void> {
    const strangers = ids.filter((id) => !this.#byId.has(id));
    for (const id of ids) {
      const known = this.#byId.get(id);
      if (!known) continue;
      const entry = await readChanges(this.#sql, known);
      if (entry) this.#put(entry);
      else this.#drop(id);
    }
    if (strangers.length > 0) for (const entry of await readTopics(this.#sql, strangers)) this.#put(entry);
  }

  /** Reads again whatever has changed, for a node that may have missed changes. */
  async refreshAll(): Promise<void> {
    const rows = await this.#sql.query<{ id: number; version: number }>(SELECT_VERSIONS);
    const found = new Set(rows.map(({ id }) => id));
    for (const id of [...this.#byId.keys()]) if (!found.has(id)) this.#drop(id);
    await this.refresh(rows.filter(({ id, version }) => this.#byId.get(id)?.version !== version).map(({ id }) => id));
  }

  #put(entry: TopicEntry): void {
    const before = this.#byId.get(entry.id);
    if (before && before.version > entry.version) return;
    if (before) this.#byName.delete(before.name.toLowerCase());
    this.#byId.set(entry.id, entry);
    this.#byName.set(entry.name.toLowerCase(), entry);
    for (const listener of this.#listeners) listener(entry, before);
  }

  #drop(id: number): void {
    const before = this.#byId.get(id);
    if (!before) return;
    this.#byId.delete(id);
    if (this.#byName.get(before.name.toLowerCase()) === before) this.#byName.delete(before.name.toLowerCase());
    for (const listener of this.#listeners) listener(undefined, before);
  }
}

export function subscriptionOf(topic: TopicEntry, name: string): SubscriptionEntry {
  const wanted = name.toLowerCase();
  const found = topic.subscriptions.find((entry) => entry.name.toLowerCase() === wanted);
  if (!found) {
    const words = `Topic "${topic.name}" has no subscription "${name.slice(0, 100)}".`;
    throw new Refusal('subscription_not_found', words);
  }
  return found;
}
