// How many messages of a subscription are in which state.
import { type Sql, statement } from '../kit/database.ts';
import type { SubscriptionEntry } from './catalogue.ts';
import type { Partition } from './partition.ts';

export type Counts = {
  /** Waiting or locked. */
  readonly active: number;
  readonly locked: number;
  readonly deferred: number;
  readonly deadLettered: number;
};

const HELD = statement(
  'topics.counts.held',
  `select count(*) filter (where state = 'retry')::int as retry, count(*) filter (where state = 'deferred')::int as deferred,
          count(*) filter (where state = 'dead')::int as dead
     from held where subscription = $1`,
);

export async function countsOf(
  sql: Sql,
  partitions: readonly Partition[],
  subscription: SubscriptionEntry,
): Promise<Counts> {
  const [held] = await sql.query<{ retry: number; deferred: number; dead: number }>(HELD, [subscription.id]);
  let active = held!.retry;
  let locked = 0;
  for (const partition of partitions) {
    const cursor = partition.cursors.get(subscription.id);
    active += cursor?.active ?? 0;
    locked += cursor?.locked ?? 0;
  }
  return { active, locked, deferred: held!.deferred, deadLettered: held!.dead };
}
