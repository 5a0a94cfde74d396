// How much a topic may have of everything. They are checked where something is added; what is there already stays.
import { statement, type Tx } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { TopicEntry } from './catalogue.ts';
import type { Rule } from './rule.ts';

export type TopicLimits = {
  readonly subscriptions: number;
  /** Rules of all its subscriptions together: those with an SQL filter, and those with a correlation filter. */
  readonly sqlRules: number;
  readonly correlationRules: number;
  /** Bytes of one property of a message, its name included, and of all of them. */
  readonly propertyBytes: number;
  readonly propertiesBytes: number;
};

/** What holds for a broker that is not told otherwise. */
export const noLimits: TopicLimits = {
  subscriptions: Infinity,
  sqlRules: Infinity,
  correlationRules: Infinity,
  propertyBytes: Infinity,
  propertiesBytes: Infinity,
};

const COUNT_SUBSCRIPTIONS = statement(
  'topics.limits.subscriptions',
  'select count(*)::int as subscriptions from subscription where topic = $1',
);
const COUNT_RULES = statement(
  'topics.limits.rules',
  `select count(*) filter (where r.filter->>'type' = 'sql')::int as sql,
          count(*) filter (where r.filter->>'type' = 'correlation')::int as correlation
     from rule r join subscription s on s.id = r.subscription where s.topic = $1`,
);

/** Refuses with `quota_exceeded` what the transaction has added too much; the topic's row must be locked. */
export async function checkSubscriptions(tx: Tx, topic: number, limits: TopicLimits): Promise<void> {
  if (limits.subscriptions === Infinity) return;
  const [row] = await tx.query<{ subscriptions: number }>(COUNT_SUBSCRIPTIONS, [topic]);
  if (row!.subscriptions > limits.subscriptions)
    throw tooMany(`A topic has at most ${limits.subscriptions} subscriptions (CARILLON_TOPIC_SUBSCRIPTIONS).`);
}

/** Rules with an SQL filter, rules with a correlation filter. */
type RuleCounts = { readonly sql: number; readonly correlation: number };

/** The same for rules. Where `counted` is given nothing is counted in the database, which takes 0.1 s at 100,000 rules. */
export async function checkRuleCounts(tx: Tx, topic: number, limits: TopicLimits, counted?: RuleCounts): Promise<void> {
  if (limits.sqlRules === Infinity && limits.correlationRules === Infinity) return;
  const [row] = counted ? [counted] : await tx.query<RuleCounts>(COUNT_RULES, [topic]);
  if (row!.sql > limits.sqlRules)
    throw tooMany(`A topic has at most ${limits.sqlRules} rules with an SQL filter (CARILLON_TOPIC_SQL_RULES).`);
  if (row!.correlation > limits.correlationRules) {
    const most = limits.correlationRules;
    throw tooMany(`A topic has at most ${most} rules with a correlation filter (CARILLON_TOPIC_CORRELATION_RULES).`);
  }
}

/** Of the rules of a topic as this node knows it, and of those that come to them. */
export function countRules({ subscriptions }: TopicEntry, added: readonly Rule[]): RuleCounts {
  let sql = 0;
  let correlation = 0;
  for (const rules of [...subscriptions.map((each) => each.rules), added])
    for (const { filter } of rules)
      if (filter.type === 'sql') sql++;
      else if (filter.type === 'correlation') correlation++;
  return { sql, correlation };
}

function tooMany(words: string): Refusal {
  return new Refusal('quota_exceeded', `${words} Delete some, or raise the setting.`);
}
