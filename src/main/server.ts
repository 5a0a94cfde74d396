// The wiring: every room built once, in the order in which they need each other, and stopped in the reverse order.
import { chmod, mkdir, realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Access } from '../access/access.ts';
import { HttpServer } from '../gateways/http/server.ts';
import type { Database } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import type { Signals } from '../kit/signals.ts';
import { ownKeys } from './keys.ts';
import { FolderLock } from './lock.ts';
import type { Settings } from './settings-table.ts';
import { openDatabase } from './storage.ts';

export class CarillonServer {
  readonly #stack: AsyncDisposableStack;
  readonly access: Access;
  readonly url: string;
  readonly folder: string;

  private constructor(stack: AsyncDisposableStack, parts: { access: Access; url: string; folder: string }) {
    this.#stack = stack;
    this.access = parts.access;
    this.url = parts.url;
    this.folder = parts.folder;
  }

  /** Ready when it returns. If it throws, nothing keeps running. */
  static async start(settings: Settings, signals: Signals): Promise<CarillonServer> {
    await using stack = new AsyncDisposableStack();
    const { emit } = signals;
    const folder = await makeFolder(settings.dataDir);
    const lock = stack.use(await FolderLock.take(folder));
    const database = await openDatabase(settings, folder, { emit, stack });
    const keys = await ownKeys(settings, folder);
    const access = await Access.start({
      database,
      presets: [{ name: 'admin', secret: keys.adminKey, grants: [{ right: 'manage', entity: '*' }] }],
    });
    const http = stack.use(await startHttp(settings, { database, access, signals }));
    lock.announce(http.url);
    return new CarillonServer(stack.move(), { access, url: http.url, folder });
  }

  /** Ends what is under way, then everything else. A second call waits for the first. */
  async stop(): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

async function makeFolder(dataDir: string): Promise<string> {
  const path = resolve(dataDir);
  try {
    const made = await mkdir(path, { recursive: true });
    if (made) await chmod(path, 0o700);
    return await realpath(path);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code;
    throw new Refusal(
      'invalid_setting',
      `The data folder ${path} cannot be made (${why}). Choose another: --data-dir <folder>.`,
    );
  }
}

type Parts = { readonly database: Database; readonly access: Access; readonly signals: Signals };

async function startHttp(settings: Settings, { database, access, signals }: Parts): Promise<HttpServer> {
  const notReady = async () => {
    const down = await database.query('select 1').then(
      () => false,
      () => true,
    );
    return down ? ['database'] : [];
  };
  const broker = {
    publish: async () => {
      throw new Refusal('busy', 'The broker is not there yet.');
    },
  };
  const { host, port, publicUrl } = settings;
  const deps = { broker, mappings: [], access, emit: signals.emit, notReady };
  return HttpServer.start(deps, { host, port, ...(publicUrl ? { publicUrl } : {}) }).catch((error) =>
    explainListen(error, '--port', 'CARILLON_PORT', host, port),
  );
}

function explainListen(error: NodeJS.ErrnoException, flag: string, name: string, host: string, port: number): never {
  if (error.code === 'EADDRINUSE')
    throw new Refusal(
      'conflict',
      `Port ${port} is taken. Choose another: ${flag} <port> (${name}); 0 takes a free one.`,
    );
  if (error.code === 'EACCES')
    throw new Refusal(
      'conflict',
      `Port ${port} needs more rights than this user has. Choose one above 1023: ${flag} <port>.`,
    );
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND')
    throw new Refusal('invalid_setting', `This machine has no address "${host}": see --host (CARILLON_HOST).`);
  throw error;
}
