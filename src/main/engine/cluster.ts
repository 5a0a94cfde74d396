// The cluster: PostgreSQL's data folder. Made beside its final place and renamed, so that a start that was cut off
// leaves nothing that looks like a cluster. The builtin C.UTF-8 locale does not change with the machine's libraries,
// which would silently break indexes.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Refusal } from '../../kit/refusal.ts';
import { type Account, giveTo, spawnAs } from './account.ts';

export const MAJOR = '18';

const INITDB = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale-provider=builtin', '--locale=C.UTF-8'];

/** Makes the cluster if there is none. Returns whether it made one; refuses one of another major version. */
export async function ensureCluster(cluster: string, native: string, account: Account): Promise<boolean> {
  if (existsSync(join(cluster, 'PG_VERSION'))) {
    await refuseOtherVersion(cluster);
    return false;
  }
  const draft = `${cluster}.new`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { mode: 0o700 });
  await giveTo(account, draft);
  await initdb(draft, native, account);
  await rename(draft, cluster);
  return true;
}

async function refuseOtherVersion(cluster: string): Promise<void> {
  const found = (await readFile(join(cluster, 'PG_VERSION'), 'utf8')).trim();
  if (found === MAJOR) return;
  throw new Refusal(
    'invalid_setting',
    `The data in ${cluster} was written by PostgreSQL ${found}; this version of Carillon brings PostgreSQL ${MAJOR}, ` +
      'which cannot read it. Start the version of Carillon that wrote it, or point CARILLON_DATA_DIR at another folder.',
  );
}

async function initdb(folder: string, native: string, account: Account): Promise<void> {
  const child = spawnAs(account, join(native, 'bin/initdb'), ['-D', folder, ...INITDB], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: serverEnvironment(),
  });
  const [said, complaint] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'close')]);
  if (child.exitCode === 0) return;
  throw new Error(`PostgreSQL could not make its data folder (initdb: ${child.exitCode}).\n${said}${complaint}`);
}

/** Nothing of our environment reaches PostgreSQL: PG* variables would change what it does, the rest may be secret. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' };
}
