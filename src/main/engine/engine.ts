// The embedded PostgreSQL: one server, started by us, reached over a unix socket in a folder that nobody else enters.
//
//   start --> (a living orphan of ours? adopt it) --> ready --exit--> start again, until stop()
//                `--> launch --> wait for `ready` in postmaster.pid
//
// It runs in a process group of its own, so that Ctrl-C stops us first and us stops it. When we are killed it lives
// on and the next start adopts it; when it is killed it is started again and the pools reconnect.
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, open, readFile, realpath, rename, stat } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Emit } from '../../kit/signals.ts';
import { type Account, chooseAccount, spawnAs } from './account.ts';
import { placeBinaries } from './binaries.ts';
import { ensureCluster, serverEnvironment } from './cluster.ts';
import { isAlive, readPidFile, removeStalePidFile, servesCluster } from './pidfile.ts';
import { chooseSocketFolder } from './socket.ts';

export type EngineSignal =
  | { readonly name: 'engine.ready'; readonly adopted: boolean; readonly made: boolean; readonly tookMs: number }
  | { readonly name: 'engine.recovering' }
  | { readonly name: 'engine.lost'; readonly cause: string }
  | { readonly name: 'engine.restart_failed'; readonly cause: string };

export type EngineOptions = {
  /** Holds `postgres/` (the cluster), `socket/` and `postgres.log`. Made if absent. */
  readonly folder: string;
  readonly emit: Emit<EngineSignal>;
  /** Server settings that win over ours. */
  readonly settings?: Readonly<Record<string, string>>;
};

type Place = {
  readonly cluster: string;
  readonly native: string;
  readonly socketFolder: string;
  readonly logFile: string;
  readonly account: Account;
  readonly settings: Readonly<Record<string, string>>;
};

type Running = { readonly pid: number; readonly exited: Promise<string> };

const LOG_LIMIT_BYTES = 10_000_000;
const STUCK_MS = 10_000;

export class Engine {
  readonly #place: Place;
  readonly #emit: Emit<EngineSignal>;
  #running: Running;
  #stopping = false;
  #supervision: Promise<void>;

  private constructor(place: Place, emit: Emit<EngineSignal>, running: Running) {
    this.#place = place;
    this.#emit = emit;
    this.#running = running;
    this.#supervision = this.#supervise();
  }

  static async start(options: EngineOptions): Promise<Engine> {
    const began = performance.now();
    const { place, made } = await prepare(options);
    const { running, adopted } = await adoptOrLaunch(place, options.emit);
    options.emit({ name: 'engine.ready', adopted, made, tookMs: performance.now() - began });
    return new Engine(place, options.emit, running);
  }

  get pid(): number {
    return this.#running.pid;
  }

  get socketFolder(): string {
    return this.#place.socketFolder;
  }

  /** The address of a database of this server, for `Database`. */
  url(database: string): string {
    return `postgres://postgres@/${database}?host=${encodeURIComponent(this.#place.socketFolder)}`;
  }

  /** Asks open connections to end, at once; after `deadlineMs` the server stops without a checkpoint. */
  async stop(deadlineMs = 10_000): Promise<void> {
    if (!this.#stopping) {
      this.#stopping = true;
      signal(this.#running.pid, 'SIGINT');
      const { exited, pid } = this.#running;
      const late = setTimeout(() => signal(pid, 'SIGQUIT'), deadlineMs);
      await exited;
      clearTimeout(late);
    }
    await this.#supervision;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #supervise(): Promise<void> {
    for (;;) {
      const cause = await this.#running.exited;
      if (this.#stopping) return;
      this.#emit({ name: 'engine.lost', cause });
      await this.#restart();
    }
  }

  async #restart(): Promise<void> {
    for (let pauseMs = 100; !this.#stopping; pauseMs = Math.min(pauseMs * 2, 5_000)) {
      const began = performance.now();
      try {
        const { running, adopted } = await adoptOrLaunch(this.#place, this.#emit);
        this.#running = running;
        if (this.#stopping) signal(running.pid, 'SIGINT');
        this.#emit({ name: 'engine.ready', adopted, made: false, tookMs: performance.now() - began });
        return;
      } catch (error) {
        this.#emit({ name: 'engine.restart_failed', cause: error instanceof Error ? error.message : String(error) });
        await sleep(pauseMs);
      }
    }
  }
}

async function prepare(options: EngineOptions): Promise<{ place: Place; made: boolean }> {
  await mkdir(options.folder, { recursive: true, mode: 0o700 });
  const folder = await realpath(options.folder);
  const cluster = join(folder, 'postgres');
  // Root's folder lets the server's account through to the cluster; what is secret in it has a mode of its own.
  if (process.getuid?.() === 0) await chmod(folder, (await stat(folder)).mode | 0o011);
  const account = await chooseAccount(cluster, folder);
  const native = await placeBinaries(folder, account);
  const made = await ensureCluster(cluster, native, account);
  const socketFolder = await chooseSocketFolder(folder, account);
  const settings = { ...serverSettings(), ...options.settings };
  return { place: { cluster, native, socketFolder, logFile: join(folder, 'postgres.log'), account, settings }, made };
}

// max_wal_size bounds how long recovery takes after a kill (measured: 2-3 s with 1 GB, 19 s with 6 GB).
function serverSettings(): Record<string, string> {
  const quarterMb = Math.floor(totalmem() / 4 / 2 ** 20);
  return {
    listen_addresses: '',
    unix_socket_permissions: '0700',
    max_connections: '100',
    shared_buffers: `${Math.max(32, Math.min(quarterMb, 512))}MB`,
    max_wal_size: '1GB',
    checkpoint_timeout: '5min',
    jit: 'off',
    autovacuum_naptime: '5s',
    idle_in_transaction_session_timeout: '60s',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_min_messages: 'warning',
    log_checkpoints: 'off',
    cluster_name: 'carillon',
  };
}

async function adoptOrLaunch(place: Place, emit: Emit<EngineSignal>): Promise<{ running: Running; adopted: boolean }> {
  const orphan = await livingServer(place);
  if (orphan === undefined) return { running: await launch(place, emit), adopted: false };
  const running = { pid: orphan, exited: untilGone(orphan, place.cluster) };
  if ((await startedLike(place)) && (await becomesReady(place, running, emit))) return { running, adopted: true };
  signal(orphan, 'SIGINT');
  await running.exited;
  return { running: await launch(place, emit), adopted: false };
}

function becomesReady(place: Place, running: Running, emit: Emit<EngineSignal>): Promise<boolean> {
  return untilReady(place, running, 0, emit).then(
    () => true,
    () => false,
  );
}

async function livingServer({ cluster }: Place): Promise<number | undefined> {
  const file = await readPidFile(cluster);
  return file && (await servesCluster(file.pid, cluster)) ? file.pid : undefined;
}

// postmaster.opts holds the command line of the running server: one started by another version of us is replaced.
async function startedLike(place: Place): Promise<boolean> {
  const opts = await readFile(join(place.cluster, 'postmaster.opts'), 'utf8').catch(() => '');
  return opts.trim() === [join(place.native, 'bin/postgres'), ...serverArgs(place).map((arg) => `"${arg}"`)].join(' ');
}

function serverArgs(place: Place): string[] {
  const settings = { ...place.settings, unix_socket_directories: place.socketFolder };
  return ['-D', place.cluster, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
}

// A server that was killed a moment ago may still hold the lock file or the shared memory: those starts fail within
// milliseconds, and are repeated until it is gone.
async function launch(place: Place, emit: Emit<EngineSignal>): Promise<Running> {
  for (const deadline = Date.now() + STUCK_MS; ; ) {
    await removeStalePidFile(place.cluster);
    await rotate(place.logFile);
    const logged = existsSync(place.logFile) ? (await stat(place.logFile)).size : 0;
    const running = await spawnServer(place);
    try {
      await untilReady(place, running, logged, emit);
      return running;
    } catch (error) {
      const retryable = /lock file|shared memory block|already exists/i.test(String(error));
      if (!retryable || Date.now() > deadline) throw error;
      await sleep(200);
    }
  }
}

// The C library gives memory beyond 128 KB back after every statement, and has to ask for it, page by page, at the next one:
// a fifth of the time of a publish of 100 KB. Here each of PostgreSQL's processes may keep a few MB that it has used.
const ALLOCATOR = { MALLOC_TRIM_THRESHOLD_: '4194304', MALLOC_MMAP_THRESHOLD_: '4194304', MALLOC_TOP_PAD_: '262144' };

async function spawnServer(place: Place): Promise<Running> {
  const log = await open(place.logFile, 'a', 0o600);
  try {
    const child = spawnAs(place.account, join(place.native, 'bin/postgres'), serverArgs(place), {
      cwd: place.cluster,
      stdio: ['ignore', log.fd, log.fd],
      env: { ...serverEnvironment(), ...ALLOCATOR },
    });
    return { pid: child.pid ?? 0, exited: exitOf(child) };
  } finally {
    await log.close();
  }
}

async function rotate(logFile: string): Promise<void> {
  const size = existsSync(logFile) ? (await stat(logFile)).size : 0;
  if (size > LOG_LIMIT_BYTES) await rename(logFile, `${logFile}.1`);
}

function exitOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, name) => resolve(name ? `killed by ${name}` : `exit status ${code}`));
  });
}

// An adopted server is not our child: nobody tells us that it ended.
async function untilGone(pid: number, cluster: string): Promise<string> {
  while (await servesCluster(pid, cluster)) await sleep(100);
  return 'it is gone';
}

/** Fails when the server ends first, with what it wrote to its log after the first `logged` bytes. */
async function untilReady(place: Place, running: Running, logged: number, emit: Emit<EngineSignal>): Promise<void> {
  let ended: string | undefined;
  void running.exited.then((cause) => {
    ended = cause;
  });
  for (let waited = 0; ; waited += 10) {
    const file = await readPidFile(place.cluster);
    if (file?.pid === running.pid && file.status === 'ready') return;
    if (ended !== undefined) throw await notStarted(place, ended, logged);
    if (waited === 2_000) emit({ name: 'engine.recovering' });
    await sleep(10);
  }
}

async function notStarted(place: Place, ended: string, logged: number): Promise<Error> {
  const log = (await readFile(place.logFile))
    .subarray(logged)
    .toString('utf8')
    .trim()
    .split('\n')
    .slice(-15)
    .join('\n');
  return new Error(`PostgreSQL did not start (${ended}). The end of ${place.logFile}:\n${log}`);
}

function signal(pid: number, name: NodeJS.Signals): void {
  if (isAlive(pid)) process.kill(pid, name);
}
