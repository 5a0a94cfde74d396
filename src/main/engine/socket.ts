// Where the server's unix socket lies: in the data folder, or in a short folder elsewhere if that path is too long.
import { chmod, lstat, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { shortPath } from '../socket-path.ts';
import { type Account, giveTo } from './account.ts';

const SOCKET_NAME = '/.s.PGSQL.5432';

/** Makes the folder, for the account alone: whoever reaches the socket is the database's superuser. */
export async function chooseSocketFolder(folder: string, account: Account): Promise<string> {
  const path = shortPath(join(folder, 'socket'), SOCKET_NAME.length);
  await mkdir(path, { mode: 0o700 }).then(
    () => giveTo(account, path),
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    },
  );
  await refuseForeign(path, account);
  await chmod(path, 0o700);
  return path;
}

// In a shared temporary folder anybody could have made it first.
async function refuseForeign(path: string, account: Account): Promise<void> {
  const found = await lstat(path);
  const owner = account.identity?.uid ?? process.getuid?.();
  if (found.isDirectory() && found.uid === owner) return;
  throw new Error(`${path} belongs to somebody else. Remove it, then start again.`);
}
