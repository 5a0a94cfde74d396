// A run of a node, from its start to its end. What is claimed under a lease names the run that claimed it. A node has one
// run at a time (the lock of its data folder holds for as long as the process lives), so a new run knows that all earlier
// ones of its node are dead, and takes back what they held: nobody has to wait for their leases to end. What other nodes
// hold is left to its leases: whether they are dead cannot be known.
import { type Database, type Sql, statement, type Tx } from './database.ts';

export type Run = {
  readonly number: number;
  /** Those of the same node that did not end in peace. */
  readonly earlier: readonly number[];
};

const BEGIN = statement('run.begin', 'insert into run (node) values ($1) returning number');
const EARLIER = statement('run.earlier', 'select number from run where node = $1 and number <> $2 order by number');
const FORGET = statement('run.forget', 'delete from run where number = any($1::int[])');

/** `node` is the only one of this name: whoever calls this holds its folder. */
export async function beginRun(sql: Sql, node: string): Promise<Run> {
  const [row] = await sql.query<{ number: number }>(BEGIN, [node]);
  const rows = await sql.query<{ number: number }>(EARLIER, [node, row!.number]);
  return { number: row!.number, earlier: rows.map(({ number }) => number) };
}

/** Call it when everything that was claimed is settled or given back. */
export async function endRun(sql: Sql, run: Run): Promise<void> {
  await sql.query(FORGET, [[run.number]]);
}

/** Makes due what some runs, which are dead, hold of one kind of work. */
export type TakeBack = (tx: Tx, runs: readonly number[], now: Date) => Promise<void>;

/** All at once or, when it fails, at the next start. Returns whether there was an earlier run. */
export async function takeBack(database: Database, { earlier }: Run, kinds: readonly TakeBack[]): Promise<boolean> {
  if (earlier.length === 0) return false;
  await database.transaction(async (tx) => {
    await Promise.all(kinds.map((kind) => kind(tx, earlier, new Date())));
    await tx.query(FORGET, [earlier]);
  });
  return true;
}
