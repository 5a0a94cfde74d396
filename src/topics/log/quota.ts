// Size quotas. What a topic holds is the log that a subscription still has to read; it is measured now and then, only
// for topics that have a quota, so a topic may grow somewhat past it before senders are refused.
import { type Database, statement } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { Catalogue, TopicEntry } from '../entities/catalogue.ts';

const SIZE = statement(
  'topics.quota.size',
  `select coalesce(sum(octet_length(b.body)), 0)::bigint as bytes from block b
    where b.topic = $1
      and b.first_seq + b.count > (select min(coalesce(r.floor, s.bases[b.part + 1] + 1)) from subscription s
                                     left join reading r on r.subscription = s.id and r.part = b.part
                                    where s.topic = $1)`,
);

export class Quotas {
  readonly #full = new Map<number, number>();

  /** Measures the topics that have a quota. */
  async measure(database: Database, catalogue: Catalogue): Promise<void> {
    for (const topic of catalogue.all()) {
      if (topic.settings.maxSizeBytes === null) continue;
      const [row] = await database.query<{ bytes: number }>(SIZE, [topic.id]);
      this.#full.set(topic.id, row!.bytes);
    }
  }

  /** Refuses with `quota_exceeded`. */
  check(topic: TopicEntry): void {
    const limit = topic.settings.maxSizeBytes;
    if (limit === null || (this.#full.get(topic.id) ?? 0) < limit) return;
    const words = `"${topic.name}" holds more than its ${limit} bytes. Receive from it, or raise the quota.`;
    throw new Refusal('quota_exceeded', words, { limit });
  }
}
