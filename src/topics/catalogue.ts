// What topics, subscriptions and rules there are, as one immutable entry per topic, replaced when its version moves.
// The database is the truth: an append with an older version is refused there, which is how this node learns of a
// change that another node made.
import { type Sql, statement } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import { filterFromJson, type Rule } from './rule.ts';
import { type SubscriptionSettings, subscriptionDefaults, type TopicSettings, topicDefaults } from './settings.ts';

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

const SELECT_TOPICS = statement(
  'topics.catalogue.topics',
  `select id, name, kind, partitions, version, settings, created_at, updated_at
     from topic where $1::int[] is null or id = any($1)`,
);
const SELECT_SUBSCRIPTIONS = statement(
  'topics.catalogue.subscriptions',
  `select id, topic, name, bit, settings, incarnation, to_json(starts) as starts, to_json(bases) as bases,
          created_at, updated_at
     from subscription where $1::int[] is null or topic = any($1) order by id`,
);
const SELECT_RULES = statement(
  'topics.catalogue.rules',
  `select r.subscription, r.name, r.filter, r.action, r.created_at
     from rule r join subscription s on s.id = r.subscription
    where $1::int[] is null or s.topic = any($1) order by r.subscription, r.name`,
);

type TopicRow = Omit<TopicEntry, 'subscriptions' | 'createdAt' | 'updatedAt'> & { created_at: Date; updated_at: Date };
type SubscriptionRow = Omit<SubscriptionEntry, 'rules' | 'createdAt' | 'updatedAt'> & {
  topic: number;
  created_at: Date;
  updated_at: Date;
};
type RuleRow = { subscription: number; name: string; filter: unknown; action: string | null; created_at: Date };

/** Reads whole topics, all of them when `ids` is undefined. One snapshot would need a transaction; versions tell. */
export async function readTopics(sql: Sql, ids?: readonly number[]): Promise<TopicEntry[]> {
  const which = [ids ?? null];
  const topics = await sql.query<TopicRow>(SELECT_TOPICS, which);
  const subscriptions = await sql.query<SubscriptionRow>(SELECT_SUBSCRIPTIONS, which);
  const rules = Map.groupBy(await sql.query<RuleRow>(SELECT_RULES, which), (row) => row.subscription);
  const byTopic = Map.groupBy(subscriptions, (row) => row.topic);
  return topics.map((row) => ({
    ...pick(row),
    settings: { ...topicDefaults, ...row.settings },
    subscriptions: (byTopic.get(row.id) ?? []).map((each) => subscriptionEntry(each, rules.get(each.id) ?? [])),
  }));
}

function pick(row: TopicRow): Omit<TopicEntry, 'subscriptions' | 'settings'> {
  const { id, name, kind, partitions, version } = row;
  return { id, name, kind, partitions, version, createdAt: row.created_at, updatedAt: row.updated_at };
}

function subscriptionEntry(row: SubscriptionRow, rules: readonly RuleRow[]): SubscriptionEntry {
  const { id, name, bit, incarnation, starts, bases } = row;
  return {
    id,
    name,
    bit,
    incarnation,
    starts,
    bases,
    settings: { ...subscriptionDefaults, ...row.settings },
    rules: rules.map((rule) => ({
      name: rule.name,
      filter: filterFromJson(rule.filter),
      action: rule.action ?? undefined,
      createdAt: rule.created_at,
    })),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

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

  /** Reads these topics again; those that are gone are dropped. */
  async refresh(ids: readonly number[]): Promise<void> {
    const entries = await readTopics(this.#sql, ids);
    const found = new Set(entries.map((entry) => entry.id));
    for (const id of ids) if (!found.has(id)) this.#drop(id);
    for (const entry of entries) this.#put(entry);
  }

  /** Reads everything again, for a node that may have missed changes. */
  async refreshAll(): Promise<void> {
    const entries = await readTopics(this.#sql);
    const found = new Set(entries.map((entry) => entry.id));
    for (const id of [...this.#byId.keys()]) if (!found.has(id)) this.#drop(id);
    for (const entry of entries) if (entry.version !== this.#byId.get(entry.id)?.version) this.#put(entry);
  }

  #put(read: TopicEntry): void {
    const before = this.#byId.get(read.id);
    if (before && before.version > read.version) return;
    const entry = before ? keepRules(read, before) : read;
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

/** Rules that are as they were keep their objects, so that what was compiled from them is not compiled again. */
function keepRules(entry: TopicEntry, before: TopicEntry): TopicEntry {
  const old = new Map(before.subscriptions.map((subscription) => [subscription.id, subscription.rules]));
  const subscriptions = entry.subscriptions.map((subscription) => {
    const known = new Map(old.get(subscription.id)?.map((rule) => [rule.name, rule]));
    const rules = subscription.rules.map((rule) => {
      const same = known.get(rule.name);
      return same?.createdAt?.getTime() === rule.createdAt?.getTime() ? (same ?? rule) : rule;
    });
    return { ...subscription, rules };
  });
  return { ...entry, subscriptions };
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
