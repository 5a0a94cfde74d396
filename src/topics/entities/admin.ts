// Creating, changing and deleting topics, queues, subscriptions and rules. Every change moves the topic's version in the
// same transaction, so that no publisher goes on with older rules.
import { textArray } from '../../kit/arrays.ts';
import { type Database, type Sql, sqlState, statement, type Tx } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';
import { readHeads } from '../log/append.ts';
import { checkRule } from '../log/matcher.ts';
import { QUEUE_SUBSCRIPTION } from './catalogue.ts';
import { checkRuleCounts, checkSubscriptions, type TopicLimits } from './limits.ts';
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

const INSERT_TOPIC = statement(
  'topics.admin.create',
  `insert into topic (name, kind, partitions, settings, created_at, updated_at, used_at)
   values ($1, $2, $3, $4, $5, $5, $5) returning id`,
);
const BUMP = statement(
  'topics.admin.bump',
  'update topic set version = version + 1, updated_at = $2, used_at = $2 where id = $1 returning partitions, version',
);
const NEXT_BIT = statement(
  'topics.admin.bit',
  `select min(n)::int as bit
     from generate_series(0, (select (select count(*) from subscription where topic = $1)
                                   + (select count(*) from retired_bit where topic = $1))::int) as n
    where not exists (select from subscription s where s.topic = $1 and s.bit = n)
      and not exists (select from retired_bit r where r.topic = $1 and r.bit = n
                       and r.retired_at > $2::timestamptz - interval '5 minutes')`,
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
  given: NewTopic & { readonly queue?: Partial<SubscriptionSettings> | undefined },
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
        const place = { topic: row!.id, partitions, version: 1 };
        await insertSubscription(tx, place, QUEUE_SUBSCRIPTION, queue, [DEFAULT_RULE], now);
      }
      return row!.id;
    }),
  );
}

/** Moves the topic's version; the topic row stays locked until the transaction ends. */
export async function bump(tx: Tx, topicId: number): Promise<{ partitions: number; version: number }> {
  const [row] = await tx.query<{ partitions: number; version: number }>(BUMP, [topicId, new Date()]);
  if (!row) throw new Refusal('topic_not_found', 'The topic was deleted.');
  return row;
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
      const place = { topic: topicId, ...(await bump(tx, topicId)) };
      await insertSubscription(tx, place, name, settings, rules, new Date());
      await checkSubscriptions(tx, topicId, limits);
      await checkRuleCounts(tx, topicId, limits);
    }),
  );
}

async function insertSubscription(
  tx: Tx,
  { topic, partitions, version }: { topic: number; partitions: number; version: number },
  name: string,
  settings: SubscriptionSettings,
  rules: readonly Rule[],
  now: Date,
): Promise<void> {
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

export async function updateSubscription(
  database: Database,
  topicId: number,
  id: number,
  settings: SubscriptionSettings,
): Promise<void> {
  await database.transaction(async (tx) => {
    await bump(tx, topicId);
    await tx.query(UPDATE_SUBSCRIPTION, [id, settings, new Date()]);
  });
}

export async function deleteSubscription(database: Database, topicId: number, id: number): Promise<void> {
  await database.transaction(async (tx) => {
    await bump(tx, topicId);
    await tx.query(DELETE_SUBSCRIPTION, [id, new Date()]);
  });
}

export async function addRules(
  database: Database,
  topicId: number,
  subscription: number,
  rules: readonly Rule[],
  limits: TopicLimits,
): Promise<void> {
  const words = rules.length === 1 ? `a rule "${rules[0]!.name}" already` : 'one of these rules already';
  await refuseTaken(`The subscription has ${words}.`, () =>
    database.transaction(async (tx) => {
      const { version } = await bump(tx, topicId);
      await insertRules(tx, subscription, rules, version, new Date());
      await checkRuleCounts(tx, topicId, limits);
    }),
  );
}

const RULES_REMOVED = statement(
  'topics.admin.rules.removed',
  'update subscription set rules_removed = $2 where id = $1',
);

export async function removeRule(
  database: Database,
  topicId: number,
  subscription: number,
  name: string,
): Promise<void> {
  await database.transaction(async (tx) => {
    const { version } = await bump(tx, topicId);
    await tx.query(RULES_REMOVED, [subscription, version]);
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
  await database.transaction(async (tx) => {
    const { version } = await bump(tx, topicId);
    await tx.query(RULES_REMOVED, [subscription, version]);
    await tx.query('delete from rule where subscription = $1', [subscription]);
    await insertRules(tx, subscription, rules, version, new Date());
    await checkRuleCounts(tx, topicId, limits);
  });
}

async function refuseTaken<T>(words: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (sqlState(error) === '23505') throw new Refusal('already_exists', words, {}, error);
    throw error;
  }
}
