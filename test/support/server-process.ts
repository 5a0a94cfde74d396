// A whole server as a process of its own, as a person would start it: on a data folder and ports of its own, killed
// and started again at will. For tests that cross rooms, kill things or drive a browser.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { processesIn } from '../../src/main/engine/pidfile.ts';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';

export const ADMIN_KEY = 'test-admin-key-0123456789';

export type ServerOptions = {
  /** Kept between processes when given; else a new one that goes with `dispose`. */
  readonly dataDir?: string;
  readonly port?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly config?: string;
  /** Lets the server make its admin key, as a newcomer's does; `call` then needs an authorization of its own. */
  readonly keyOfItsOwn?: boolean;
};

export class ServerProcess {
  readonly url: string;
  readonly port: number;
  readonly amqpPort: number;
  readonly dataDir: string;
  readonly #keep: boolean;
  readonly #env: NodeJS.ProcessEnv;
  #child: ChildProcess | undefined;
  #output = '';

  private constructor(port: number, amqpPort: number, dataDir: string, options: ServerOptions) {
    this.port = port;
    this.amqpPort = Number(options.env?.CARILLON_AMQP_PORT ?? amqpPort);
    this.url = `http://127.0.0.1:${port}`;
    this.dataDir = dataDir;
    this.#keep = options.dataDir !== undefined;
    this.#env = {
      ...withoutOwnSettings(process.env),
      CARILLON_PORT: String(port),
      CARILLON_AMQP_PORT: String(amqpPort),
      CARILLON_AMQP_HTTP_PORT: '0',
      CARILLON_TLS_PORT: '0',
      CARILLON_AGENT_PORT: '0',
      CARILLON_DATA_DIR: dataDir,
      ...(options.keyOfItsOwn ? {} : { CARILLON_ADMIN_KEY: ADMIN_KEY }),
      ...(options.config ? { CARILLON_CONFIG: options.config } : {}),
      ...options.env,
    };
  }

  /** Starts a server and waits until it is ready. */
  static async start(options: ServerOptions = {}): Promise<ServerProcess> {
    const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'carillon-server-')));
    const server = new ServerProcess(options.port ?? (await freePort()), await freePort(), dataDir, options);
    await server.start();
    return server;
  }

  /** Starts the process (again) on the same folder and port. */
  async start(): Promise<void> {
    // The server itself, not the launcher in front of it: a kill must reach the process that holds everything.
    const child = spawn(process.execPath, ['src/main/cli.ts', 'start'], {
      env: this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    child.stdout!.on('data', (chunk) => this.#keepOutput(chunk));
    child.stderr!.on('data', (chunk) => this.#keepOutput(chunk));
    await eventually(async () => {
      if (child.exitCode !== null) throw new Error(`The server ended with ${child.exitCode}:\n${this.#output}`);
      const answer = await fetch(`${this.url}/readyz`);
      await answer.arrayBuffer();
      if (!answer.ok) throw new Error(`The server is not ready: ${answer.status}\n${this.#output}`);
    }, 60_000);
  }

  /** What the process printed lately. */
  get output(): string {
    return this.#output;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  /** Ends the process with `signal` and waits until it is gone. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill(signal);
    await gone;
    return child.exitCode;
  }

  /** kill -9 of the embedded PostgreSQL's main process; its children end by themselves. */
  async killPostgres(): Promise<void> {
    const pid = Number((await readFile(join(this.dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0]);
    process.kill(pid, 'SIGKILL');
  }

  /** Calls the HTTP API with the admin key; fails on any answer that is not in the 200s. */
  async call<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
    const answer = await this.fetch(method, path, body, headers);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /** Fails with the server's last words if the process has ended by itself. */
  assertAlive(): void {
    const child = this.#child;
    if (child && (child.exitCode !== null || child.signalCode !== null)) {
      throw new Error(`The server ended with ${child.exitCode ?? child.signalCode}:\n${this.#output}`);
    }
  }

  fetch(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
    this.assertAlive();
    const type = body === undefined ? {} : { 'content-type': 'application/json' };
    const all = { authorization: `Bearer ${ADMIN_KEY}`, ...type, ...headers };
    const init = { method, headers: all, signal: AbortSignal.timeout(30_000) };
    return fetch(`${this.url}${path}`, body === undefined ? init : { ...init, body: JSON.stringify(body) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    // A server that was killed leaves its PostgreSQL for the next one to adopt; here there is none.
    for (const pid of await processesIn(join(this.dataDir, 'postgres'))) killQuietly(pid);
    if (!this.#keep) await rm(this.dataDir, { recursive: true, force: true });
  }

  #keepOutput(chunk: Buffer): void {
    this.#output = (this.#output + chunk.toString()).slice(-20_000);
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It ended with its server.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function withoutOwnSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('CARILLON_')));
}
