// Where the server's unix socket lies. Its path has a hard limit of about 100 bytes (sun_path: 108 on Linux, 104 on
// macOS), which a data folder deep in a tree exceeds; then the socket lies in a short folder of its own under the
// system's temporary folder, named after the data folder.
import { createHash } from 'node:crypto';
import { chmod, lstat, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Account, giveTo } from './account.ts';

const LONGEST_SOCKET_PATH = 103;
const SOCKET_NAME = '.s.PGSQL.5432';

/** Makes the folder, for the account alone: whoever reaches the socket is the database's superuser. */
export async function chooseSocketFolder(folder: string, account: Account): Promise<string> {
  const near = join(folder, 'socket');
  if (Buffer.byteLength(join(near, SOCKET_NAME)) <= LONGEST_SOCKET_PATH) return makePrivate(near, account);
  const short = `carillon-${createHash('sha256').update(folder).digest('hex').slice(0, 12)}`;
  const temporary = Buffer.byteLength(join(tmpdir(), short, SOCKET_NAME)) <= LONGEST_SOCKET_PATH ? tmpdir() : '/tmp';
  return makePrivate(join(temporary, short), account);
}

async function makePrivate(path: string, account: Account): Promise<string> {
  const made = await mkdir(path, { mode: 0o700 }).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
      return false;
    },
  );
  if (made) await giveTo(account, path);
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
