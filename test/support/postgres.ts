// One real PostgreSQL server for the whole test run, started before the first file and stopped after the last.
// Every test file that needs a database clones its own from a migrated template.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { Database } from '../../src/kit/database.ts';
import { migrate } from '../../src/kit/migrate.ts';
import { Engine } from '../../src/main/engine/engine.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    postgresSocketFolder: string;
  }
}

// Nothing here outlives the run, so nothing needs to reach the disk.
const SETTINGS = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300' };

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-test-'));
  const engine = await Engine.start({ folder, emit: () => {}, settings: SETTINGS });
  await makeTemplate(engine);
  project.provide('postgresSocketFolder', engine.socketFolder);
  return async () => {
    await engine.stop();
    await rm(folder, { recursive: true, force: true });
  };
}

async function makeTemplate(engine: Engine): Promise<void> {
  await using admin = new Database({ url: engine.url('postgres'), poolSize: 1 });
  await admin.query('create database carillon_template');
  await using template = new Database({ url: engine.url('carillon_template'), poolSize: 1 });
  await migrate(template, new URL('../../migrations', import.meta.url).pathname);
}

export function urlOf(folder: string, database: string): string {
  return `postgres://postgres@/${database}?host=${encodeURIComponent(folder)}`;
}
