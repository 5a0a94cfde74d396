// A connection of its own for one kind of hot statement, replaced when it dies. Whoever uses it decides what an outage
// means for the statement that was under way: it may or may not have been carried out.
import type pg from 'pg';
import { type Database, type Sql, type Statement, sqlState } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';

export class Connection implements Sql {
  readonly #database: Database;
  readonly #name: string;
  readonly #setup: readonly string[];
  #client: Promise<pg.Client> | undefined;
  #closed = false;

  /** `setup` runs on every new connection before anything else. */
  constructor(database: Database, name: string, setup: readonly string[] = []) {
    this.#database = database;
    this.#name = name;
    this.#setup = setup;
  }

  async query<R>(stmt: Statement | string, values: readonly unknown[] = []): Promise<R[]> {
    const client = await this.client();
    try {
      const config = typeof stmt === 'string' ? { text: stmt } : { name: stmt.name, text: stmt.text };
      const result = await client.query({ ...config, values: values as unknown[] });
      // The caller names the row type beside its statement.
      return result.rows as R[];
    } catch (error) {
      if (isOutage(error)) this.#drop(client);
      throw error;
    }
  }

  /** Runs `work` between `begin` and `commit`. Only one caller at a time may use the connection. */
  async transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    await this.query('begin');
    try {
      const result = await work(this);
      await this.query('commit');
      return result;
    } catch (error) {
      await this.query('rollback').catch(() => this.#reset());
      throw error;
    }
  }

  /** The connected client, for LISTEN. */
  client(): Promise<pg.Client> {
    if (this.#closed) return Promise.reject(new Error(`connection ${this.#name} is closed`));
    this.#client ??= this.#connect();
    return this.#client;
  }

  async #connect(): Promise<pg.Client> {
    try {
      const client = await this.#database.dedicated(this.#name);
      client.on('error', () => this.#drop(client));
      client.on('end', () => this.#drop(client));
      for (const text of this.#setup) await client.query(text);
      return client;
    } catch (error) {
      this.#client = undefined;
      throw error;
    }
  }

  #drop(client: pg.Client): void {
    this.#client = undefined;
    client.end().catch(() => {});
  }

  async #reset(): Promise<void> {
    const client = await this.#client?.catch(() => undefined);
    if (client) this.#drop(client);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const client = await this.#client?.catch(() => undefined);
    this.#client = undefined;
    await client?.end().catch(() => {});
  }
}

const OUTAGE_STATES = /^(08...|57P0[1-5]|53300|25006|XX000)$/;

/** Whether PostgreSQL was not there (or went away) rather than refused the statement. */
export function isOutage(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== undefined) return OUTAGE_STATES.test(state);
  if (!(error instanceof Error)) return false;
  const code = (error as NodeJS.ErrnoException).code;
  // pg's own errors about a connection that ended carry no code at all.
  if (code === undefined) return /connection|timeout|queryable/i.test(error.message);
  // Every failure of a socket or a stream (ECONNRESET, EAGAIN of a full backlog, ERR_STREAM_DESTROYED, ...) is an outage;
  // a TypeError or RangeError with a code is a bug of ours.
  return /^E[A-Z_]+$/.test(code) && !(error instanceof TypeError) && !(error instanceof RangeError);
}

/** PostgreSQL has no space left to write (disk or quota). The statement was undone; it may succeed later. */
export function isDiskFull(error: unknown): boolean {
  return sqlState(error) === '53100';
}

/** What a caller is told then; any other error as it is. */
export function tellDiskFull(error: unknown): unknown {
  if (!isDiskFull(error)) return error;
  const words = 'The database has no disk space left. Nothing was changed; try again when there is space.';
  return new Refusal('storage_full', words, {}, error);
}

/** Repeats `attempt` while PostgreSQL is away, with pauses of 50 ms to 1 s, until `until` (a time) or the signal. */
export async function throughOutages<T>(
  attempt: () => Promise<T>,
  options: {
    readonly signal: AbortSignal;
    readonly until?: () => number;
    readonly onOutage?: (error: unknown) => void;
  },
): Promise<T> {
  for (let pause = 50; ; pause = Math.min(pause * 2, 1000)) {
    try {
      return await attempt();
    } catch (error) {
      if (!isOutage(error) || options.signal.aborted || Date.now() > (options.until?.() ?? Infinity)) throw error;
      options.onOutage?.(error);
    }
    await waitFor(pause, options.signal);
  }
}

/** Resolves after `ms`, or at once when the signal aborts. Never rejects. */
export function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
