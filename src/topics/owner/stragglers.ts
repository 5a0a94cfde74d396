// What a few messages may not do: keep a whole generation of the log. When the retention of the oldest closed generation
// is over and a subscription still has some of its messages, they are moved out of the log into held rows, and the
// generation can go. A subscription that is far behind keeps its generations: its backlog has to lie somewhere, and the
// log is the cheapest place.
import { type Database, statement } from '../../kit/database.ts';
import type { Entry } from '../receive/entry.ts';
import { setAside } from '../receive/settle.ts';
import type { Cursor } from './cursor.ts';
import type { Owners } from './owners.ts';

/** More than these of one subscription are a backlog. */
const MOST_STRAGGLERS = 2_000;
/** What lies aside already is kept in memory, too. */
const MOST_ASIDE = 20_000;

const OVERDUE = statement(
  'topics.stragglers.overdue',
  `select t.id as topic, p.part::int as part,
          (select max(b.first_seq + b.count) from block b where b.gen = g.gen and b.topic = t.id and b.part = p.part) as next
     from (select gen, extract(epoch from now() - closed_at) * 1000 as age
             from generation where closed_at is not null order by gen limit 1) as g,
          topic t cross join generate_series(0, t.partitions - 1) as p(part)
    where g.age > coalesce((t.settings->>'retentionMs')::bigint, 86400000)`,
);

/** Moves stragglers of the partitions that this node owns. Resolves to how many. */
export async function moveStragglers(database: Database, owners: Owners): Promise<number> {
  let moved = 0;
  for (const { topic, part, next } of await database.query<{ topic: number; part: number; next: number | null }>(
    OVERDUE,
  )) {
    const cursors = next === null ? [] : (owners.find(topic, part)?.cursors.values() ?? []);
    for (const cursor of cursors) moved += await moveBelow(cursor, next!);
  }
  return moved;
}

async function moveBelow(cursor: Cursor, below: number): Promise<number> {
  if (cursor.floorWith([]) >= below || cursor.retry.count > MOST_ASIDE) return 0;
  const waiting = [...cursor.outstanding.values()].filter((entry) => entry.sequence < below);
  if (waiting.length > MOST_STRAGGLERS) return 0;
  if (cursor.next < below && !(await cursor.readTo(below, MOST_STRAGGLERS - waiting.length))) return 0;
  // What is locked, or about to be settled, leaves by itself, or waits for the next round.
  const ready = [...cursor.outstanding.values()].filter((entry) => entry.sequence < below && entry.state === 'ready');
  return cursor.sessions ? moveSessions(cursor, ready) : moveAll(cursor, ready);
}

async function moveAll(cursor: Cursor, entries: readonly Entry[]): Promise<number> {
  if (entries.length > 0) await setAside(cursor, entries);
  return entries.length;
}

/** A session is held meanwhile, so that nobody gets its later messages first. */
async function moveSessions(cursor: Cursor, entries: readonly Entry[]): Promise<number> {
  let moved = 0;
  for (const [id, its] of Map.groupBy(entries, (entry) => entry.message.sessionId!)) {
    const lock = cursor.sessions!.acceptIfFree(id);
    if (!lock) continue;
    try {
      moved += await moveAll(cursor, its);
    } finally {
      await cursor.sessions!.release(lock);
    }
  }
  return moved;
}
