// One server per data folder. The lock is a unix socket that the server listens on: the kernel closes it with the
// process, however that ends, so nothing that a killed server leaves behind stops the next start. Whoever connects is
// told who holds the folder and where it listens; that is how client commands find the local server.
import { link, lstat, realpath, rename, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Refusal } from '../kit/refusal.ts';
import { shortPath } from './socket-path.ts';

export type Holder = { readonly pid: number; readonly url: string | undefined; readonly amqpPort?: number | undefined };

export class FolderLock {
  readonly #server: Server;
  readonly #path: string;
  #url: string | undefined;
  #amqpPort: number | undefined;

  private constructor(path: string) {
    this.#path = path;
    this.#server = createServer((socket) => {
      socket.on('error', () => {}); // the asker went away
      socket.end(JSON.stringify({ pid: process.pid, url: this.#url, amqpPort: this.#amqpPort } satisfies Holder));
    });
    this.#server.unref();
  }

  /** `folder` exists. Throws a Refusal (`conflict`) when another server holds it. */
  static async take(folder: string): Promise<FolderLock> {
    const path = await lockPath(folder);
    const lock = new FolderLock(path);
    const draft = `${path}.${process.pid}`;
    await rm(draft, { force: true });
    await listen(lock.#server, draft);
    try {
      while (!(await linked(draft, path))) await removeStale(path, folder);
    } catch (error) {
      await lock.#close();
      throw error;
    } finally {
      await rm(draft, { force: true });
    }
    return lock;
  }

  /** Tells askers where the server listens, for HTTP and for Service Bus clients. */
  announce(url: string, amqpPort: number): void {
    this.#url = url;
    this.#amqpPort = amqpPort;
  }

  async release(): Promise<void> {
    await rm(this.#path, { force: true });
    await this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  #close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

/** Who holds the folder now, if anybody does. */
export async function findHolder(folder: string): Promise<Holder | undefined> {
  const there = await realpath(folder).catch(() => undefined);
  return there === undefined ? undefined : ask(await lockPath(there));
}

async function lockPath(folder: string): Promise<string> {
  return shortPath(join(await realpath(folder), 'server.sock'), 8);
}

async function ask(path: string): Promise<Holder | undefined> {
  const socket = connect(path);
  socket.setTimeout(2_000, () => socket.end());
  try {
    const answer = await text(socket);
    // It took the connection, so it lives; one that is too busy or too suspended to answer holds the folder as well.
    return answer === '' ? { pid: 0, url: undefined } : (JSON.parse(answer) as Holder);
  } catch {
    return undefined;
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
}

// link(2) is atomic and fails when the name is taken, which bind(2) on a leftover name does as well, but for good.
async function linked(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

// Two starters may find the same leftover: the slower one must not remove the lock that the faster one has made since.
async function removeStale(path: string, folder: string): Promise<void> {
  const before = await lstat(path).catch(() => undefined);
  const holder = await ask(path);
  if (holder) throw held(folder, holder);
  if (!before) return;
  const aside = `${path}.stale.${process.pid}`;
  await rename(path, aside).catch(() => undefined); // somebody else has removed it
  const moved = await lstat(aside).catch(() => undefined);
  if (moved && moved.ino !== before.ino) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}

function held(folder: string, { pid, url }: Holder): Refusal {
  const who = pid === 0 ? 'Another Carillon' : `Another Carillon (process ${pid}${url ? `, ${url}` : ''})`;
  const stop = pid === 0 ? 'Stop it' : `Stop it (kill ${pid})`;
  return new Refusal(
    'conflict',
    `${who} is running on the data folder ${folder}. ${stop}, or give this one a folder of its own: ` +
      '--data-dir <folder> --port <port>.',
  );
}
