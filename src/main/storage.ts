// The database: the embedded server or the one that CARILLON_DATABASE_URL names, brought up to date.
import { join } from 'node:path';
import { Database, sqlState } from '../kit/database.ts';
import { migrate } from '../kit/migrate.ts';
import { Refusal } from '../kit/refusal.ts';
import type { Emit } from '../kit/signals.ts';
import { Engine, type EngineSignal } from './engine/engine.ts';
import type { Settings } from './settings-table.ts';
import { projectFolder } from './version.ts';

const DATABASE = 'carillon';
const OLDEST_MAJOR = 15;

export type StorageSignal = EngineSignal | { readonly name: 'schema.migrated'; readonly migrations: readonly string[] };

type Deps = { readonly emit: Emit<StorageSignal>; readonly stack: AsyncDisposableStack };

/** Opens the database. What it starts is put on the stack, which stops it. */
export async function openDatabase(settings: Settings, folder: string, deps: Deps): Promise<Database> {
  const url = settings.databaseUrl ?? (await embedded(folder, deps));
  const database = deps.stack.use(new Database({ url, poolSize: settings.databasePoolSize }));
  if (settings.databaseUrl) await checkExternal(database);
  const migrations = await migrate(database, join(projectFolder, 'migrations')).catch(explainSchema);
  if (migrations.length > 0) deps.emit({ name: 'schema.migrated', migrations });
  return database;
}

async function embedded(folder: string, { emit, stack }: Deps): Promise<string> {
  const engine = stack.use(await Engine.start({ folder, emit }));
  await using admin = new Database({ url: engine.url('postgres'), poolSize: 1 });
  const [found] = await admin.query('select 1 from pg_database where datname = $1', [DATABASE]);
  if (!found) await admin.query(`create database ${DATABASE}`);
  return engine.url(DATABASE);
}

async function checkExternal(database: Database): Promise<void> {
  const [row] = await database
    .query<{ version: string }>(`select current_setting('server_version') as version`)
    .catch((error: unknown) => {
      const why = error instanceof Error ? error.message || (error as NodeJS.ErrnoException).code : String(error);
      throw new Refusal(
        'invalid_setting',
        `The database of CARILLON_DATABASE_URL cannot be reached: ${why}`,
        {},
        error,
      );
    });
  if (Number.parseInt(row!.version, 10) >= OLDEST_MAJOR) return;
  throw new Refusal(
    'invalid_setting',
    `The database of CARILLON_DATABASE_URL is PostgreSQL ${row!.version}; ${OLDEST_MAJOR} or newer is needed.`,
  );
}

function explainSchema(error: unknown): never {
  if (error instanceof Refusal && error.code === 'schema_newer') {
    const remedy = 'Start the version of Carillon that wrote it (or a newer one), or use another data folder.';
    throw new Refusal('schema_newer', `${error.message} ${remedy}`, error.details, error);
  }
  if (error instanceof Refusal && error.code === 'schema_changed') {
    const remedy = 'This happens between development versions: start with another data folder (--data-dir).';
    throw new Refusal('schema_changed', `${error.message} ${remedy}`, error.details, error);
  }
  if (sqlState(error) === '42501') {
    const why = 'The user of CARILLON_DATABASE_URL may not create tables in that database.';
    throw new Refusal('invalid_setting', why, {}, error);
  }
  throw error;
}
