// Entities that delete themselves when nobody uses them. Use is noted in memory and written down now and then, only for
// entities that have the setting.

import { int4Array } from '../../kit/arrays.ts';
import { type Database, statement } from '../../kit/database.ts';
import type { Catalogue, TopicEntry } from './catalogue.ts';

const TOUCH_TOPICS = statement(
  'topics.idle.topics',
  'update topic set used_at = greatest(used_at, $2) where id = any($1::int[])',
);
const TOUCH_SUBSCRIPTIONS = statement(
  'topics.idle.subscriptions',
  'update subscription set used_at = greatest(used_at, $2) where id = any($1::int[])',
);
const IDLE_TOPICS = statement(
  'topics.idle.find',
  `select t.name from topic t
    where (t.settings->>'autoDeleteOnIdleMs') is not null
      and t.used_at < $1::timestamptz - (t.settings->>'autoDeleteOnIdleMs')::bigint * interval '1 millisecond'
      and not exists (select from scheduled s where s.topic = t.id)`,
);
const IDLE_SUBSCRIPTIONS = statement(
  'topics.idle.find.subscriptions',
  `select t.name as topic, s.name from subscription s join topic t on t.id = s.topic
    where t.kind = 'topic' and (s.settings->>'autoDeleteOnIdleMs') is not null
      and s.settings->>'forwardTo' is null
      and s.used_at < $1::timestamptz - (s.settings->>'autoDeleteOnIdleMs')::bigint * interval '1 millisecond'`,
);

export class Usage {
  readonly #topics = new Set<number>();
  readonly #subscriptions = new Set<number>();

  topic(entry: TopicEntry): void {
    if (entry.settings.autoDeleteOnIdleMs !== null) this.#topics.add(entry.id);
  }

  /** Receiving from a queue uses the queue. */
  subscription(topic: TopicEntry, subscription: { id: number; settings: { autoDeleteOnIdleMs: number | null } }): void {
    if (topic.kind === 'queue') this.topic(topic);
    else if (subscription.settings.autoDeleteOnIdleMs !== null) this.#subscriptions.add(subscription.id);
  }

  async write(database: Database, now: Date): Promise<void> {
    const [topics, subscriptions] = [[...this.#topics], [...this.#subscriptions]];
    this.#topics.clear();
    this.#subscriptions.clear();
    if (topics.length > 0) await database.query(TOUCH_TOPICS, [int4Array(topics), now]);
    if (subscriptions.length > 0) await database.query(TOUCH_SUBSCRIPTIONS, [int4Array(subscriptions), now]);
  }
}

type Deletes = {
  readonly deleteTopic: (name: string) => Promise<void>;
  readonly deleteSubscription: (topic: string, name: string) => Promise<void>;
};

/** Deletes what nobody has used for as long as its setting says. */
export async function deleteIdle(
  database: Database,
  catalogue: Catalogue,
  usage: Usage,
  deletes: Deletes,
  now = new Date(),
): Promise<void> {
  const some = [...catalogue.all()].some(
    (topic) =>
      topic.settings.autoDeleteOnIdleMs !== null ||
      topic.subscriptions.some((subscription) => subscription.settings.autoDeleteOnIdleMs !== null),
  );
  if (!some) return;
  await usage.write(database, now);
  for (const { name } of await database.query<{ name: string }>(IDLE_TOPICS, [now])) {
    await deletes.deleteTopic(name);
  }
  const idle = await database.query<{ topic: string; name: string }>(IDLE_SUBSCRIPTIONS, [now]);
  for (const { topic, name } of idle) await deletes.deleteSubscription(topic, name);
}
