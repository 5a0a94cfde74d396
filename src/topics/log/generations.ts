// The log's generations: the table that blocks go into is closed when it is large or old, and dropped when no
// subscription needs it and its retention is over.
import { type Database, statement, type Tx } from '../../kit/database.ts';

const CURRENT = statement(
  'topics.generation.current',
  `select h.gen, (extract(epoch from now() - g.opened_at) * 1000)::bigint as age
     from log_head h join generation g on g.gen = h.gen`,
);

/** Opens the next generation if the current one is due. A flush under way is finished first; the next one waits for it. */
export async function rotateGeneration(
  database: Database,
  limits: { readonly generationBytes: number; readonly generationMs: number },
): Promise<boolean> {
  const [row] = await database.query<{ gen: number; age: number }>(CURRENT);
  const { gen, age } = row!;
  const [size] = await database.query<{ size: number }>('select pg_total_relation_size($1::regclass) as size', [
    `block_${gen}`,
  ]);
  const [any] = await database.query(`select 1 from block_${gen} limit 1`);
  if (!any || (size!.size < limits.generationBytes && age < limits.generationMs)) return false;
  return database.transaction((tx) => openNext(tx, gen));
}

async function openNext(tx: Tx, gen: number): Promise<boolean> {
  await tx.query("set local lock_timeout = '2s'");
  // The generation's row is the lock: of two nodes the second finds the generation moved.
  const [row] = await tx.query<{ gen: number }>('select gen from log_head for update');
  if (row!.gen !== gen) return false;
  const table = `block_${gen + 1}`;
  await tx.query(`create table ${table} (like block including all, check (gen = ${gen + 1}))`);
  await tx.query(`alter table ${table} alter column body set storage external`);
  await tx.query(`alter table block attach partition ${table} for values in (${gen + 1})`);
  await tx.query('update log_head set gen = $1', [gen + 1]);
  await tx.query('update generation set closed_at = now() where gen = $1', [gen]);
  await tx.query('insert into generation (gen) values ($1)', [gen + 1]);
  return true;
}

const CLOSED = statement(
  'topics.generation.closed',
  `select gen, (extract(epoch from now() - closed_at) * 1000)::bigint as age
     from generation where closed_at is not null order by gen`,
);

/** Drops closed generations, the oldest first, up to the first that is still needed. */
export async function dropGenerations(tx: Tx): Promise<number> {
  let dropped = 0;
  for (const { gen, age } of await tx.query<{ gen: number; age: number }>(CLOSED)) {
    if (await isNeeded(tx, gen, age)) break;
    await tx.query(`
      insert into log_start (topic, part, first_seq)
      select b.topic, b.part, max(b.first_seq + b.count) from block_${gen} b join topic t on t.id = b.topic
       group by b.topic, b.part
      on conflict (topic, part) do update set first_seq = greatest(log_start.first_seq, excluded.first_seq)`);
    await tx.query(`drop table block_${gen}`);
    await tx.query('delete from generation where gen = $1', [gen]);
    dropped++;
  }
  return dropped;
}

/** A topic keeps it by its retention, a subscription by what it has not read, or not said that it has. */
async function isNeeded(tx: Tx, gen: number, age: number): Promise<boolean> {
  const [row] = await tx.query<{ needed: boolean }>(
    `with held as (
       select b.topic, b.part, max(b.first_seq + b.count) as next from block_${gen} b group by b.topic, b.part
     )
     select exists (select from held h join topic t on t.id = h.topic
                     where coalesce((t.settings->>'retentionMs')::bigint, 86400000) > $1::bigint)
         or exists (select from held h join subscription s on s.topic = h.topic
                      left join reading r on r.subscription = s.id and r.part = h.part
                     where coalesce(r.floor, 0) < h.next and s.bases[h.part + 1] + 1 < h.next) as needed`,
    [age],
  );
  return row!.needed;
}
