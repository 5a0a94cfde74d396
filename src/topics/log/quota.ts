// Size quotas. What a topic holds is the log that a subscription still has to read; it is measured now and then, only
// for topics that have a quota, and what this node lets in meanwhile is added.
import { steadyNow } from '../../kit/clock.ts';
import { type Database, statement } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { Catalogue, TopicEntry } from '../entities/catalogue.ts';
import type { OutgoingMessage } from '../message.ts';

/** What a message takes in the log beside its body, about. */
const RECORD_BYTES = 64;

const SIZE = statement(
  'topics.quota.size',
  `select t.id, coalesce((
       select sum(octet_length(b.body)) from block b
        where b.topic = t.id
          and b.first_seq + b.count > (select min(coalesce(r.floor, s.bases[b.part + 1] + 1)) from subscription s
                                         left join reading r on r.subscription = s.id and r.part = b.part
                                        where s.topic = t.id)), 0)::bigint as bytes
     from unnest($1::int[]) as t(id)`,
);

/** How many bytes of these topics a subscription still has to read, as far as reading was written down. */
export async function sizesOf(database: Database, topics: readonly number[]): Promise<Map<number, number>> {
  if (topics.length === 0) return new Map();
  const rows = await database.query<{ id: number; bytes: number }>(SIZE, [topics]);
  return new Map(rows.map(({ id, bytes }) => [id, bytes]));
}

/** Who is refused has it measured anew, but not more often than this. */
const LOOK_AGAIN_MS = 1_000;

export class Quotas {
  /** Bytes by topic: what was measured, and what was let in since. */
  readonly #held = new Map<number, number>();
  #lookedAt = -Infinity;
  #looking: Promise<void> | undefined;

  /** Measures the topics that have a quota. */
  async measure(database: Database, catalogue: Catalogue): Promise<void> {
    const limited = [...catalogue.all()].filter(({ settings }) => settings.maxSizeBytes !== null);
    const sizes = await sizesOf(
      database,
      limited.map(({ id }) => id),
    );
    for (const [topic, bytes] of sizes) this.#held.set(topic, bytes);
  }

  /** Whether there is room. What is let in counts at once: a request goes past the quota, but hardly a second one. */
  take(topic: TopicEntry, messages: readonly OutgoingMessage[]): boolean {
    const limit = topic.settings.maxSizeBytes;
    if (limit === null) return true;
    const held = this.#held.get(topic.id);
    if (held === undefined || held >= limit) return false;
    this.#held.set(
      topic.id,
      messages.reduce((sum, { body }) => sum + body.length + RECORD_BYTES, held),
    );
    return true;
  }

  /** For whom `take` had no room: refuses with `quota_exceeded` unless `look`, which measures anew, finds some. */
  async lookAndTake(topic: TopicEntry, messages: readonly OutgoingMessage[], look: () => Promise<void>): Promise<void> {
    const now = steadyNow();
    if (!this.#held.has(topic.id) || now - this.#lookedAt >= LOOK_AGAIN_MS) {
      this.#lookedAt = now;
      this.#looking = look().catch(() => {}); // Without the database it is the next request that finds out.
    }
    await this.#looking;
    if (!this.#held.has(topic.id) || this.take(topic, messages)) return;
    const limit = topic.settings.maxSizeBytes;
    const words = `"${topic.name}" holds more than its ${limit} bytes. Receive from it, or raise the quota.`;
    throw new Refusal('quota_exceeded', words, { limit });
  }
}
