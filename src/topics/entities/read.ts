// Reading topics with all they have, and, of a topic that is known already, only what its later versions have changed:
// each version has noted its subscription and the rules that it lost (table topic_change).
import { type Sql, statement } from '../../kit/database.ts';
import type { SubscriptionEntry, TopicEntry } from './catalogue.ts';
import { filterFromJson, type Rule } from './rule.ts';
import { subscriptionDefaults, topicDefaults } from './settings.ts';

const SELECT_TOPICS = statement(
  'topics.catalogue.topics',
  `select id, name, kind, partitions, version, settings, created_at, updated_at
     from topic where $1::int[] is null or id = any($1)`,
);
const SUBSCRIPTION_COLUMNS = `id, topic, name, bit, settings, incarnation, to_json(starts) as starts,
  to_json(bases) as bases, created_at, updated_at`;
const SELECT_SUBSCRIPTIONS = statement(
  'topics.catalogue.subscriptions',
  `select ${SUBSCRIPTION_COLUMNS} from subscription where $1::int[] is null or topic = any($1) order by id`,
);
const RULE_COLUMNS = 'r.subscription, r.name, r.filter, r.action, r.created_at';
const SELECT_RULES = statement(
  'topics.catalogue.rules',
  `select ${RULE_COLUMNS} from rule r join subscription s on s.id = r.subscription
    where $1::int[] is null or s.topic = any($1)`,
);
const SELECT_CHANGES = statement(
  'topics.catalogue.changes',
  `select version, subscription, removed from topic_change
    where topic = $1 and version > $2 and version <= $3 order by version`,
);
const SELECT_CHANGED_SUBSCRIPTIONS = statement(
  'topics.catalogue.changed.subscriptions',
  `select ${SUBSCRIPTION_COLUMNS} from subscription where id = any($1::int[]) and topic = $2 order by id`,
);
// The rules of the version that is known are older; of a subscription that is new all are younger.
const SELECT_NEW_RULES = statement(
  'topics.catalogue.rules.new',
  `select ${RULE_COLUMNS} from rule r where r.subscription = any($1::int[]) and r.revision > $2`,
);

type TopicRow = Omit<TopicEntry, 'subscriptions' | 'createdAt' | 'updatedAt'> & { created_at: Date; updated_at: Date };
type SubscriptionRow = Omit<SubscriptionEntry, 'rules' | 'createdAt' | 'updatedAt'> & {
  topic: number;
  created_at: Date;
  updated_at: Date;
};
type RuleRow = { subscription: number; name: string; filter: unknown; action: string | null; created_at: Date };
type ChangeRow = { version: number; subscription: number | null; removed: string[] };

/** Reads whole topics, all of them when `ids` is undefined. One snapshot would need a transaction; versions tell. */
export async function readTopics(sql: Sql, ids?: readonly number[]): Promise<TopicEntry[]> {
  const which = [ids ?? null];
  return withAll(sql, await sql.query<TopicRow>(SELECT_TOPICS, which), which);
}

async function withAll(sql: Sql, topics: readonly TopicRow[], which: readonly unknown[]): Promise<TopicEntry[]> {
  const subscriptions = await sql.query<SubscriptionRow>(SELECT_SUBSCRIPTIONS, which);
  const rules = Map.groupBy(await sql.query<RuleRow>(SELECT_RULES, which), (row) => row.subscription);
  const byTopic = Map.groupBy(subscriptions, (row) => row.topic);
  return topics.map((row) => {
    const its = byTopic.get(row.id) ?? [];
    return topicEntry(
      row,
      its.map((each) => subscriptionEntry(each, inOrder((rules.get(each.id) ?? []).map(toRule)))),
    );
  });
}

/**
 * Reads what has changed of a topic since the version that is known. Subscriptions and rules that are as they were stay
 * the same objects, so that what was compiled from them is not compiled again. Undefined: the topic is gone.
 */
export async function readChanges(sql: Sql, known: TopicEntry): Promise<TopicEntry | undefined> {
  const [topic] = await sql.query<TopicRow>(SELECT_TOPICS, [[known.id]]);
  if (!topic || topic.version === known.version) return topic && known;
  const changes = await sql.query<ChangeRow>(SELECT_CHANGES, [known.id, known.version, topic.version]);
  if (changes.length !== topic.version - known.version) {
    const [whole] = await withAll(sql, [topic], [[known.id]]);
    return keepRules(whole!, known);
  }
  return changed(sql, known, topic, changes);
}

async function changed(
  sql: Sql,
  known: TopicEntry,
  topic: TopicRow,
  changes: readonly ChangeRow[],
): Promise<TopicEntry> {
  const ids = new Set(changes.flatMap(({ subscription }) => subscription ?? []));
  if (ids.size === 0) return topicEntry(topic, known.subscriptions);
  const rows = await sql.query<SubscriptionRow>(SELECT_CHANGED_SUBSCRIPTIONS, [[...ids], known.id]);
  const fresh = Map.groupBy(
    await sql.query<RuleRow>(SELECT_NEW_RULES, [[...ids], known.version]),
    (row) => row.subscription,
  );
  const before = new Map(known.subscriptions.map((each) => [each.id, each.rules]));
  const entries = rows.map((row) => {
    const gone = changes.flatMap(({ subscription, removed }) => (subscription === row.id ? removed : []));
    return subscriptionEntry(row, changeRules(before.get(row.id) ?? [], gone, (fresh.get(row.id) ?? []).map(toRule)));
  });
  const others = known.subscriptions.filter(({ id }) => !ids.has(id));
  return topicEntry(
    topic,
    [...others, ...entries].sort((a, b) => a.id - b.id),
  );
}

/** By name; what is new wins over what is known. */
function changeRules(known: readonly Rule[], gone: readonly string[], fresh: readonly Rule[]): readonly Rule[] {
  if (gone.length + fresh.length === 0) return known;
  const names = new Map(fresh.map((rule) => [rule.name, rule]));
  const without = new Set([...gone, ...names.keys()]);
  const kept: Rule[] = [];
  for (const rule of known) {
    const same = names.get(rule.name);
    if (same?.createdAt?.getTime() === rule.createdAt?.getTime() && same) names.set(rule.name, rule);
    if (!without.has(rule.name)) kept.push(rule);
  }
  return merge(kept, inOrder([...names.values()]));
}

function inOrder(rules: Rule[]): Rule[] {
  return rules.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Of two lists that are in order; one more among a hundred thousand is not worth sorting them. */
function merge(known: readonly Rule[], fresh: readonly Rule[]): readonly Rule[] {
  if (fresh.length === 0) return known;
  const all: Rule[] = [];
  let next = 0;
  for (const rule of known) {
    while (next < fresh.length && fresh[next]!.name < rule.name) all.push(fresh[next++]!);
    all.push(rule);
  }
  return [...all, ...fresh.slice(next)];
}

/** Rules that are as they were keep their objects. */
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

function topicEntry(row: TopicRow, subscriptions: readonly SubscriptionEntry[]): TopicEntry {
  const { id, name, kind, partitions, version } = row;
  const settings = { ...topicDefaults, ...row.settings };
  const at = { createdAt: row.created_at, updatedAt: row.updated_at };
  return { id, name, kind, partitions, version, settings, subscriptions, ...at };
}

function subscriptionEntry(row: SubscriptionRow, rules: readonly Rule[]): SubscriptionEntry {
  const { id, name, bit, incarnation, starts, bases } = row;
  const settings = { ...subscriptionDefaults, ...row.settings };
  const at = { createdAt: row.created_at, updatedAt: row.updated_at };
  return { id, name, bit, incarnation, starts, bases, settings, rules, ...at };
}

function toRule({ name, filter, action, created_at }: RuleRow): Rule {
  return { name, filter: filterFromJson(filter), action: action ?? undefined, createdAt: created_at };
}
