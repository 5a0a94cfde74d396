// What topics, subscriptions and rules there are, as one immutable entry per topic, replaced when its version moves.
// The database is the truth: an append with an older version is refused there, which is how this node learns of a
// change that another node made.
import { type Sql, statement } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';
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
          rules_removed, created_at, updated_at
     from subscription where $1::int[] is null or topic = any($1) order by id`,
);
const SELECT_RULES = statement(
  'topics.catalogue.rules',
  `select r.subscription, r.name, r.filter, r.action, r.created_at
     from rule r join subscription s on s.id = r.subscription
    where $1::int[] is null or s.topic = any($1) order by r.subscription, r.name`,
);

// Of a topic that is known up to version $2: what was made since, and everything of subscriptions that lost a rule since.
const SELECT_NEW_RULES = statement(
  'topics.catalogue.rules.new',
  `select r.subscription, r.name, r.filter, r.action, r.created_at
     from subscription s join rule r on r.subscription = s.id and r.revision > $2 where s.topic = $1
   union all
   select r.subscription, r.name, r.filter, r.action, r.created_at
     from subscription s join rule r on r.subscription = s.id and r.revision <= $2
    where s.topic = $1 and s.rules_removed > $2
    order by subscription, name`,
);
const SELECT_VERSIONS = statement('topics.catalogue.versions', 'select id, version from topic');

type TopicRow = Omit<TopicEntry, 'subscriptions' | 'createdAt' | 'updatedAt'> & { created_at: Date; updated_at: Date };
type SubscriptionRow = Omit<SubscriptionEntry, 'rules' | 'createdAt' | 'updatedAt'> & {
  topic: number;
  rules_removed: number;
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
  return topics.map((row) => {
    const its = byTopic.get(row.id) ?? [];
    return topicEntry(
      row,
      its.map((each) => subscriptionEntry(each, (rules.get(each.id) ?? []).map(toRule))),
    );
  });
}

/** Reads a topic again; of its rules only what is new. Undefined: it is gone. */
async function readAgain(sql: Sql, known: TopicEntry): Promise<TopicEntry | undefined> {
  const [topic] = await sql.query<TopicRow>(SELECT_TOPICS, [[known.id]]);
  if (!topic) return undefined;
  const subscriptions = await sql.query<SubscriptionRow>(SELECT_SUBSCRIPTIONS, [[known.id]]);
  const rows = await sql.query<RuleRow>(SELECT_NEW_RULES, [known.id, known.version]);
  const rules = Map.groupBy(rows, (row) => row.subscription);
  const before = new Map(known.subscriptions.map((each) => [each.id, each.rules]));
  const entries = subscriptions.map((row) => {
    const fresh = (rules.get(row.id) ?? []).map(toRule);
    const old = row.rules_removed > known.version ? undefined : before.get(row.id);
    return subscriptionEntry(row, old ? joinRules(old, fresh) : fresh);
  });
  return topicEntry(topic, entries);
}

/** By name; what is new wins over what is known. */
function joinRules(known: readonly Rule[], fresh: readonly Rule[]): readonly Rule[] {
  if (fresh.length === 0) return known;
  const names = new Set(fresh.map((rule) => rule.name));
  return [...known.filter((rule) => !names.has(rule.name)), ...fresh].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function topicEntry(row: TopicRow, subscriptions: readonly SubscriptionEntry[]): TopicEntry {
  return { ...pick(row), settings: { ...topicDefaults, ...row.settings }, subscriptions };
}

function toRule({ name, filter, action, created_at }: RuleRow): Rule {
  return { name, filter: filterFromJson(filter), action: action ?? undefined, createdAt: created_at };
}

function pick(row: TopicRow): Omit<TopicEntry, 'subscriptions' | 'settings'> {
  const { id, name, kind, partitions, version } = row;
  return { id, name, kind, partitions, version, createdAt: row.created_at, updatedAt: row.updated_at };
}

function subscriptionEntry(row: SubscriptionRow, rules: readonly Rule[]): SubscriptionEntry {
  const { id, name, bit, incarnation, starts, bases } = row;
  return {
    id,
    name,
    bit,
    incarnation,
    starts,
    bases,
    settings: { ...subscriptionDefaults, ...row.settings },
    rules,
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
    const strangers = ids.filter((id) => !this.#byId.has(id));
    for (const id of ids) {
      const known = this.#byId.get(id);
      if (!known) continue;
      const entry = await readAgain(this.#sql, known);
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
    if (old.get(subscription.id) === subscription.rules) return subscription;
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
