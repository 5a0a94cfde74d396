// One real PostgreSQL server for the whole test run, started before the first file and stopped after the last.
// Every test file that needs a database clones its own from a migrated template.
import { execFile, spawn } from 'node:child_process';
import { chown, cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';
import { Database } from '../../src/kit/database.ts';
import { migrate } from '../../src/kit/migrate.ts';
import { findBinaries } from '../../src/main/engine/binaries.ts';

const run = promisify(execFile);

declare module 'vitest' {
  export interface ProvidedContext {
    postgresSocketFolder: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-test-'));
  const native = join(folder, 'engine');
  const data = join(folder, 'data');
  await cp(await findBinaries(), native, { recursive: true, verbatimSymlinks: true });
  await mkdir(data);
  const identity = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  if (identity.uid !== undefined) {
    await chown(folder, identity.uid, identity.gid);
    await chown(data, identity.uid, identity.gid);
  }
  const initdb = [
    '-D',
    data,
    '-U',
    'postgres',
    '-A',
    'trust',
    '-E',
    'UTF8',
    '--locale-provider=builtin',
    '--locale=C.UTF-8',
  ];
  await run(join(native, 'bin/initdb'), [...initdb, '--no-sync'], identity);
  const settings = {
    listen_addresses: '',
    unix_socket_directories: folder,
    fsync: 'off',
    max_connections: '300',
    jit: 'off',
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = spawn(join(native, 'bin/postgres'), ['-D', data, ...args], {
    ...identity,
    stdio: 'ignore',
    detached: true,
  });
  const exited = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  await makeTemplate(folder);
  project.provide('postgresSocketFolder', folder);
  return async () => {
    server.kill('SIGINT');
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
}

async function makeTemplate(folder: string): Promise<void> {
  await untilReady(folder);
  const admin = new Database({ url: urlOf(folder, 'postgres'), poolSize: 1 });
  await admin.query('create database carillon_template');
  await admin.close();
  const template = new Database({ url: urlOf(folder, 'carillon_template'), poolSize: 1 });
  await migrate(template, new URL('../../migrations', import.meta.url).pathname);
  await template.close();
}

async function untilReady(folder: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const probe = new Database({ url: urlOf(folder, 'postgres'), poolSize: 1 });
    try {
      await probe.query('select 1');
      return;
    } catch (error) {
      if (tries > 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    } finally {
      await probe.close();
    }
  }
}

export function urlOf(folder: string, database: string): string {
  return `postgres://postgres@/${database}?host=${encodeURIComponent(folder)}`;
}
