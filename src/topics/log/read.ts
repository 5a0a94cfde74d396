// Reading the log back: blocks from a sequence on, a few megabytes at a time.
import { type Sql, statement } from '../../kit/database.ts';
import { Block, decodeTally } from './block.ts';

type BlockRow = { first_seq: number; enqueued_at: Date; body: Buffer };

// The block that holds the sequence is the last that starts at it or before it; all later ones follow without a gap.
const SELECT_BLOCKS = statement(
  'topics.read',
  `with chosen as (
     select gen, first_seq, enqueued_at,
            coalesce(sum(octet_length(body)) over (order by first_seq rows between unbounded preceding and 1 preceding), 0) as before
       from (select gen, first_seq, enqueued_at, body from block
              where topic = $1 and part = $2
                and first_seq >= coalesce((select max(first_seq) from block
                                            where topic = $1 and part = $2 and first_seq <= $3), $3)
              order by first_seq limit $4) as ahead
   )
   select b.first_seq, b.enqueued_at, b.body
     from chosen s join block b on b.gen = s.gen and b.topic = $1 and b.part = $2 and b.first_seq = s.first_seq
    where s.before < $5
    order by b.first_seq`,
);

export type LogPlace = { readonly topicId: number; readonly topic: string; readonly partition: number };

/** At least one block (if there is one) from the one that holds `from` on; at most `limit`, and about `bytes`. */
export async function readBlocks(
  sql: Sql,
  place: LogPlace,
  from: number,
  { limit = 256, bytes = 4 * 1024 * 1024 } = {},
): Promise<Block[]> {
  const rows = await sql.query<BlockRow>(SELECT_BLOCKS, [place.topicId, place.partition, from, limit, bytes]);
  return rows
    .map(
      (row) =>
        new Block(
          { topic: place.topic, partition: place.partition, first: row.first_seq, enqueuedAt: row.enqueued_at },
          row.body,
        ),
    )
    .filter((block) => block.end > from);
}

const OLDEST = statement(
  'topics.read.oldest',
  'select min(first_seq) as first from block where topic = $1 and part = $2',
);
const SINCE = statement(
  'topics.read.since',
  'select min(first_seq) as first from block where topic = $1 and part = $2 and enqueued_at >= $3',
);

/** The first sequence of the log; with `since`, of what was enqueued then or later. Undefined: there is nothing. */
export async function firstSequence(
  sql: Sql,
  topicId: number,
  part: number,
  since?: Date,
): Promise<number | undefined> {
  type First = { first: number | null };
  const [row] = since
    ? await sql.query<First>(SINCE, [topicId, part, since])
    : await sql.query<First>(OLDEST, [topicId, part]);
  return row!.first ?? undefined;
}

const SELECT_TALLIES = statement(
  'topics.read.tallies',
  `select first_seq, count, tally from block
    where topic = $1 and part = $2 and first_seq >= $3 and first_seq < $4 order by first_seq`,
);

/** What a block holds, without its content. `selected`: subscription bit -> number of records. */
export type Tally = { readonly first: number; readonly count: number; readonly selected: ReadonlyMap<number, number> };

/** The blocks that begin in [from, to). */
export async function readTallies(
  sql: Sql,
  topicId: number,
  part: number,
  from: number,
  to = Number.MAX_SAFE_INTEGER,
): Promise<Tally[]> {
  type Row = { first_seq: number; count: number; tally: Buffer };
  const rows = await sql.query<Row>(SELECT_TALLIES, [topicId, part, from, to]);
  return rows.map((row) => ({ first: row.first_seq, count: row.count, selected: decodeTally(row.tally) }));
}
