// Numbered, forward-only migrations. Each file of the folder is one transaction; all of them run under one advisory
// lock, so that two processes that start together do not race. A landed file never changes: its hash is stored and
// compared. A process that finds a newer schema than it knows refuses to run.
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Database, Tx } from './database.ts';
import { Refusal } from './refusal.ts';

type Migration = { readonly name: string; readonly sql: string; readonly hash: string };
type Applied = { name: string; hash: string };

const LOCK_KEY = 0x0ca2111017;

/** Brings the schema up to date. Returns the names of the migrations that it ran. */
export async function migrate(database: Database, folder: string): Promise<string[]> {
  const known = await readMigrations(folder);
  await database.query(`create table if not exists migration (
    name text primary key, hash text not null, applied_at timestamptz not null default now())`);
  return database.transaction(async (tx) => {
    await tx.query('select pg_advisory_xact_lock($1)', [LOCK_KEY]);
    const applied = await tx.query<Applied>('select name, hash from migration order by name');
    refuseUnknown(known, applied);
    return runPending(tx, known, new Set(applied.map((row) => row.name)));
  });
}

/** When the first migration ran: since then there is this installation. */
export async function migratedSince(database: Database): Promise<Date> {
  const [first] = await database.query<{ since: Date }>('select min(applied_at) as since from migration');
  return first!.since;
}

async function readMigrations(folder: string): Promise<Migration[]> {
  const files = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  return Promise.all(
    files.map(async (name) => {
      const sql = await readFile(join(folder, name), 'utf8');
      return { name, sql, hash: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

function refuseUnknown(known: readonly Migration[], applied: readonly Applied[]): void {
  for (const { name, hash } of applied) {
    const ours = known.find((migration) => migration.name === name);
    if (!ours)
      throw new Refusal('schema_newer', `The database has migration ${name}, which this version does not know.`);
    if (ours.hash !== hash) throw new Refusal('schema_changed', `Migration ${name} was changed after it had run here.`);
  }
}

async function runPending(tx: Tx, known: readonly Migration[], applied: ReadonlySet<string>): Promise<string[]> {
  const ran: string[] = [];
  for (const { name, sql, hash } of known) {
    if (applied.has(name)) continue;
    await tx.query(sql);
    await tx.query('insert into migration (name, hash) values ($1, $2)', [name, hash]);
    ran.push(name);
  }
  return ran;
}
