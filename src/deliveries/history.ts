// The histories (`attempt`, `trace`) have one partition per day. Housekeeping makes the coming days' and drops the old
// ones: retention costs no deletes and leaves no dead rows. Rows of a day without a partition fall into the default one
// and are moved when its partition is made, so a late housekeeping loses nothing.
import type { Database, Sql, Tx } from '../kit/database.ts';
import { sqlState } from '../kit/database.ts';

const HISTORIES = ['attempt', 'trace'] as const;
const DAY_MS = 86_400_000;
const DAYS_AHEAD = 3;
/** A lock that is not to be had at once is left alone: waiting for it would queue every writer behind us. */
const LOCK_TIMEOUT = '2s';
const LOCK_NOT_AVAILABLE = '55P03';

export type HistoryReport = { readonly made: string[]; readonly dropped: string[]; readonly busy: string[] };

/**
 * Makes the partitions of today and the next days and drops those whose last row is older than `keepDays`. Idempotent
 * and safe to run on several nodes at once; run it at the start and a few times a day. A table that is in use is
 * reported as busy and left to the next run.
 */
export async function keepHistory(database: Database, input: { now: Date; keepDays: number }): Promise<HistoryReport> {
  const report: HistoryReport = { made: [], dropped: [], busy: [] };
  const today = Math.floor(input.now.getTime() / DAY_MS);
  for (const table of HISTORIES) {
    const present = new Set(await partitions(database, table));
    for (let day = today; day <= today + DAYS_AHEAD; day++) {
      const name = partitionName(table, day);
      if (!present.has(name)) await unlessBusy(report, 'made', name, () => make(database, table, day));
    }
    const oldest = partitionName(table, today - input.keepDays);
    for (const name of present) {
      if (isDay(name) && name < oldest) await unlessBusy(report, 'dropped', name, () => drop(database, name));
    }
  }
  return report;
}

async function unlessBusy(report: HistoryReport, list: 'made' | 'dropped', name: string, work: () => Promise<void>) {
  try {
    await work();
    report[list].push(name);
  } catch (error) {
    if (sqlState(error) !== LOCK_NOT_AVAILABLE) throw error;
    report.busy.push(name);
  }
}

async function partitions(sql: Sql, table: string): Promise<string[]> {
  const rows = await sql.query<{ name: string }>(
    'select inhrelid::regclass::text as name from pg_inherits where inhparent = $1::regclass',
    [table],
  );
  return rows.map((row) => row.name);
}

/** Only attaching locks anything, and only the default partition, which is empty unless housekeeping was late. */
async function make(database: Database, table: string, day: number): Promise<void> {
  const name = partitionName(table, day);
  const [from, to] = [new Date(day * DAY_MS).toISOString(), new Date((day + 1) * DAY_MS).toISOString()];
  await database.transaction(async (tx) => {
    await beginDdl(tx);
    if ((await partitions(tx, table)).includes(name)) return; // another node was first
    await tx.query(`create table ${name} (like ${table} including defaults including constraints including indexes)`);
    await tx.query(`lock table ${table}_default in access exclusive mode`);
    await tx.query(
      `with late as (delete from ${table}_default where at >= '${from}' and at < '${to}' returning *)
       insert into ${name} select * from late`,
    );
    await tx.query(`alter table ${table} attach partition ${name} for values from ('${from}') to ('${to}')`);
  });
}

async function drop(database: Database, name: string): Promise<void> {
  await database.transaction(async (tx) => {
    await beginDdl(tx);
    await tx.query(`drop table if exists ${name}`);
  });
}

async function beginDdl(tx: Tx): Promise<void> {
  await tx.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`);
  await tx.query("select pg_advisory_xact_lock(hashtext('deliveries.history'))");
}

// Names are made of our own constants and a date, so that they are safe in the text of a statement.
function partitionName(table: string, day: number): string {
  return `${table}_${new Date(day * DAY_MS).toISOString().slice(0, 10).replaceAll('-', '')}`;
}

function isDay(name: string): boolean {
  return /_\d{8}$/.test(name);
}
