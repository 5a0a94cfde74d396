// Creating, changing and deleting topics, queues, subscriptions and rules. Every change moves the topic's version in the
// same transaction, so that no publisher goes on with older rules.
import { textArray } from '../../kit/arrays.ts';
import { type Database, type Sql, sqlState, statement, type Tx } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';
import { readHeads } from '../log/append.ts';
import { checkRule } from '../log/matcher.ts';
import { QUEUE_SUBSCRIPTION, type TopicEntry } from './catalogue.ts';
import { checkRuleCounts, checkSubscriptions, countRules, type TopicLimits } from './limits.ts';
import { DEFAULT_RULE, filterToJson, type Rule } from './rule.ts';
import {
  checkEntityName,
  checkShortName,
  mergeSettings,
  type SubscriptionSettings,
  subscriptionDefaults,
  type TopicSettings,
  topicDefaults,
} from './settings.ts';

export type NewTopic = {
  readonly settings?: Partial<TopicSettings> | undefined;
  readonly partitions?: number | undefined;
};
export type NewQueue = NewTopic & { readonly queue?: Partial<SubscriptionSettings> | undefined };

const INSERT_TOPIC = statement(
  'topics.admin.create',
  `insert into topic (name, kind, partitions, settings, created_at, updated_at, used_at)
   values ($1, $2, $3, $4, $5, $5, $5) returning id`,
);
const BUMP = statement(
  'topics.admin.bump',
  `with moved as (
     update topic set version = version + 1, updated_at = $2, used_at = $2 where id = $1
     returning id as topic, partitions, version
   ), noted as (
     insert into topic_change (topic, version, subscription) select topic, version, $3 from moved
   ), forgotten as (
     delete from topic_change using moved where topic_change.topic = $1 and topic_change.version <= moved.version - $4
   )
   select topic, partitions, version from moved`,
);
const NOTE = statement(
  'topics.admin.note',
  'update topic_change set subscription = $3, removed = $4 where topic = $1 and version = $2',
);
/** A node that is further behind reads the topic as a whole. */
const VERSIONS_KEPT = 1_000;
// What is free below the highest bit is in `retired_bit`: the rows stay there.
const NEXT_BIT = statement(
  'topics.admin.bit',
  `select coalesce(
     (select min(r.bit) from retired_bit r
       where r.topic = $1 and r.retired_at <= $2::timestamptz - interval '5 minutes'
         and not exists (select from subscription s where s.topic = $1 and s.bit = r.bit)),
     greatest((select max(bit) from subscription where topic = $1), (select max(bit) from retired_bit where topic = $1)) + 1,
     0) as bit`,
);
const INSERT_SUBSCRIPTION = statement(
  'topics.admin.subscribe',
  `insert into subscription (topic, name, bit, settings, starts, bases, created_at, updated_at, used_at)
   values ($1, $2, $3, $4, $5, $6, $7, $7, $7) returning id`,
);
const INSERT_RULES = statement(
  'topics.admin.rules',
  `insert into rule (subscription, name, filter, action, created_at, revision)
   select $1, u.name, u.filter::jsonb, u.action, $5, $6
     from unnest($2::text[], $3::text[], $4::text[]) as u(name, filter, action)`,
);

/** Resolves to the new topic's (or queue's) id. */
export async function createTopic(
  database: Database,
  name: string,
  kind: 'topic' | 'queue',
  given: NewQueue,
): Promise<number> {
  checkEntityName(name);
  const settings = mergeSettings(topicDefaults, given.settings ?? {});
  const partitions = given.partitions ?? 1;
  if (!Number.isInteger(partitions) || partitions < 1 || partitions > 256) {
    throw new Refusal('invalid_setting', 'A topic has 1 to 256 partitions.', { setting: 'partitions' });
  }
  const now = new Date();
  return refuseTaken(`"${name}" exists already.`, () =>
    database.transaction(async (tx) => {
      const [row] = await tx.query<{ id: number }>(INSERT_TOPIC, [name, kind, partitions, settings, now]);
      if (kind === 'queue') {
        const queue = mergeSettings(subscriptionDefaults, given.queue ?? {});
        const first = { topic: row!.id, partitions, version: 1 };
        await insertSubscription(tx, first, QUEUE_SUBSCRIPTION, queue, [DEFAULT_RULE], now);
      }
      return row!.id;
    }),
  );
}

/** A topic whose version has moved. */
type Moved = { readonly topic: number; readonly partitions: number; readonly version: number };

/**
 * Moves the topic's version; the topic row stays locked until the transaction ends. Whoever changes more than the topic's
 * own settings says of what: the subscription's id here, or {@link note} later.
 */
export async function bump(tx: Tx, topicId: number, subscription?: number): Promise<Moved> {
  const [row] = await tx.query<Moved>(BUMP, [topicId, new Date(), subscription ?? null, VERSIONS_KEPT]);
  if (!row) throw new Refusal('topic_not_found', 'The topic was deleted.');
  return row;
}

/** What this version of the topic has changed, where that was not known before. */
async function note(tx: Tx, { topic, version }: Moved, subscription: number, removed: readonly string[] = []) {
  await tx.query(NOTE, [topic, version, subscription, textArray(removed)]);
}

const UPDATE_TOPIC = statement('topics.admin.update', 'update topic set settings = $2 where id = $1');
const DELETE_TOPIC = statement('topics.admin.delete', 'delete from topic where id = $1');

export async function updateTopic(database: Database, id: number, settings: TopicSettings): Promise<void> {
  await database.transaction(async (tx) => {
    await bump(tx, id);
    await tx.query(UPDATE_TOPIC, [id, settings]);
  });
}

/** The log of a deleted topic goes with the generations that hold it. */
export async function deleteTopic(database: Database, id: number): Promise<void> {
  await database.query(DELETE_TOPIC, [id]);
}

export async function createSubscription(
  database: Database,
  topicId: number,
  name: string,
  settings: SubscriptionSettings,
  rules: readonly Rule[],
  limits: TopicLimits,
): Promise<void> {
  checkShortName(name);
  await refuseTaken(`The topic has a subscription "${name}" already.`, () =>
    database.transaction(async (tx) => {
      const moved = await bump(tx, topicId);
      await note(tx, moved, await insertSubscription(tx, moved, name, settings, rules, new Date()));
      await checkSubscriptions(tx, topicId, limits);
      await checkRuleCounts(tx, topicId, limits);
    }),
  );
}

async function insertSubscription(
  tx: Tx,
  { topic, partitions, version }: Moved,
  name: string,
  settings: SubscriptionSettings,
  rules: readonly Rule[],
  now: Date,
): Promise<number> {
  const heads = await readHeads(
    tx,
    Array.from({ length: partitions }, (_, part) => ({ topic, part })),
  );
  const starts = heads.sort((a, b) => a.part - b.part).map((head) => head.next);
  const bases = starts.map((start) => start - 1);
  const [bit] = await tx.query<{ bit: number }>(NEXT_BIT, [topic, now]);
  const values = [topic, name, bit!.bit, settings, starts, bases, now];
  const [row] = await tx.query<{ id: number }>(INSERT_SUBSCRIPTION, values);
  await insertRules(tx, row!.id, rules, version, now);
  return row!.id;
}

export function checkRules(rules: readonly Rule[]): void {
  for (const rule of rules) {
    checkShortName(rule.name);
    checkRule(rule);
  }
}

async function insertRules(
  sql: Sql,
  subscription: number,
  rules: readonly Rule[],
  version: number,
  now: Date,
): Promise<void> {
  checkRules(rules);
  if (rules.length === 0) return;
  await sql.query(INSERT_RULES, [
    subscription,
    textArray(rules.map((rule) => rule.name)),
    textArray(rules.map((rule) => filterToJson(rule.filter))),
    textArray(rules.map((rule) => rule.action ?? null)),
    now,
    version,
  ]);
}

const UPDATE_SUBSCRIPTION = statement(
  'topics.admin.resubscribe',
  'update subscription set settings = $2, updated_at = $3 where id = $1',
);
const DELETE_SUBSCRIPTION = statement(
  'topics.admin.unsubscribe',
  `with gone as (delete from subscription where id = $1 returning topic, bit)
   insert into retired_bit (topic, bit, retired_at) select topic, bit, $2 from gone
   on conflict (topic, bit) do update set retired_at = excluded.retired_at`,
);
const DELETE_RULE = statement(
  'topics.admin.unrule',
  'delete from rule where subscription = $1 and name = $2 returning name',
);
const DELETE_RULES = statement('topics.admin.unrule.all', 'delete from rule where subscription = $1 returning name');

/** With rules: those take the place of all that the subscription has. */
export async function updateSubscription(
  database: Database,
  topicId: number,
  id: number,
  settings: SubscriptionSettings,
  limits: TopicLimits,
  rules?: readonly Rule[],
): Promise<void> {
  await database.transaction(async (tx) => {
    const moved = await bump(tx, topicId, id);
    await tx.query(UPDATE_SUBSCRIPTION, [id, settings, new Date()]);
    if (rules) await putRules(tx, moved, id, rules, limits);
  });
}

/** The settings that a queue has as a topic, and those of its subscription. */
export async function updateQueue(
  database: Database,
  topicId: number,
  subscription: number,
  settings: TopicSettings,
  queue: SubscriptionSettings,
): Promise<void> {
  await database.transaction(async (tx) => {
    await bump(tx, topicId, subscription);
    await tx.query(UPDATE_TOPIC, [topicId, settings]);
    await tx.query(UPDATE_SUBSCRIPTION, [subscription, queue, new Date()]);
  });
}

export async function deleteSubscription(database: Database, topicId: number, id: number): Promise<void> {
  await database.transaction(async (tx) => {
    await bump(tx, topicId, id);
    await tx.query(DELETE_SUBSCRIPTION, [id, new Date()]);
  });
}

/** `known` is the topic as this node knows it. */
export async function addRules(
  database: Database,
  known: TopicEntry,
  subscription: number,
  rules: readonly Rule[],
  limits: TopicLimits,
): Promise<void> {
  const words = rules.length === 1 ? `a rule "${rules[0]!.name}" already` : 'one of these rules already';
  await refuseTaken(`The subscription has ${words}.`, () =>
    database.transaction(async (tx) => {
      const { version } = await bump(tx, known.id, subscription);
      await insertRules(tx, subscription, rules, version, new Date());
      const counted = known.version === version - 1 ? countRules(known, rules) : undefined;
      await checkRuleCounts(tx, known.id, limits, counted);
    }),
  );
}

export async function removeRule(
  database: Database,
  topicId: number,
  subscription: number,
  name: string,
): Promise<void> {
  await database.transaction(async (tx) => {
    const moved = await bump(tx, topicId);
    await note(tx, moved, subscription, [name]);
    const rows = await tx.query(DELETE_RULE, [subscription, name]);
    if (rows.length === 0) throw new Refusal('not_found', `The subscription has no rule "${name.slice(0, 100)}".`);
  });
}

/** Puts `rules` in the place of all that the subscription has. */
export async function replaceRules(
  database: Database,
  topicId: number,
  subscription: number,
  rules: readonly Rule[],
  limits: TopicLimits,
): Promise<void> {
  await database.transaction(async (tx) => putRules(tx, await bump(tx, topicId), subscription, rules, limits));
}

async function putRules(tx: Tx, moved: Moved, subscription: number, rules: readonly Rule[], limits: TopicLimits) {
  const gone = await tx.query<{ name: string }>(DELETE_RULES, [subscription]);
  const names = gone.map(({ name }) => name);
  await note(tx, moved, subscription, names);
  await insertRules(tx, subscription, rules, moved.version, new Date());
  await checkRuleCounts(tx, moved.topic, limits);
}

async function refuseTaken<T>(words: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (sqlState(error) === '23505') throw new Refusal('already_exists', words, {}, error);
    throw error;
  }
}
