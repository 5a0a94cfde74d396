// The one way into PostgreSQL. Every statement is a named constant with `$n` parameters; it is prepared once per
// connection and run by name. `int8` comes back as a number (our counters stay below 2^53), `timestamptz` as a Date,
// `bytea` as a Buffer. Text mode only: `binary: true` in `pg` corrupts values.
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import pg from 'pg';
import { sendLongValuesAsTheyAre } from './bind.ts';

export type Row = Record<string, unknown>;

/** A statement with its name; build it with {@link statement}. */
export type Statement = { readonly name: string; readonly text: string };

/** What a function needs to run statements: the pool, one connection, or an open transaction. */
export interface Sql {
  query<R = Row>(statement: Statement | string, values?: readonly unknown[]): Promise<R[]>;
}

/** An open transaction. Only `Database.transaction` makes one, so whoever holds it knows that the writes are atomic. */
export interface Tx extends Sql {
  readonly inTransaction: true;
}

/** Names a hot statement so that PostgreSQL plans it once per connection. The name carries a hash of the text. */
export function statement(name: string, text: string): Statement {
  const hash = createHash('sha1').update(text).digest('base64url').slice(0, 8);
  return { name: `${name}:${hash}`, text };
}

const types = new pg.TypeOverrides();
types.setTypeParser(pg.types.builtins.INT8, (text: string) => Number(text));

export type DatabaseOptions = {
  readonly url: string;
  /** Connections in the pool. */
  readonly poolSize?: number;
  readonly applicationName?: string;
  /** How long to wait for a free connection, in milliseconds. */
  readonly connectTimeoutMs?: number;
};

export class Database implements Sql {
  readonly url: string;
  readonly #pool: pg.Pool;
  readonly #applicationName: string;

  constructor(options: DatabaseOptions) {
    this.url = options.url;
    this.#applicationName = options.applicationName ?? 'carillon';
    this.#pool = new pg.Pool({
      connectionString: options.url,
      max: options.poolSize ?? 10,
      application_name: this.#applicationName,
      connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
      // Statements of one transaction that do not wait for each other travel together: `Promise.all` in a transaction
      // is one round trip.
      pipeline: true,
      types,
    });
    // A connection that dies while idle in the pool is replaced at its next use; the user of a busy one gets the error
    // from its next statement. Without the listeners, a death between two statements would end the process.
    this.#pool.on('error', () => {});
    this.#pool.on('connect', (client) => {
      client.on('error', () => {});
      gatherWrites(client);
      sendLongValuesAsTheyAre(client);
    });
  }

  async query<R = Row>(stmt: Statement | string, values?: readonly unknown[]): Promise<R[]> {
    return rowsOf<R>(await this.#pool.query(queryConfig(stmt, values)));
  }

  /** Runs `work` on one connection, without a transaction: reads that do not wait for each other are one round trip. */
  async session<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    let broken: Error | undefined;
    try {
      return await work({ query: async (stmt, values) => rowsOf(await client.query(queryConfig(stmt, values))) });
    } catch (error) {
      // One of several statements may still be on its way: a connection that goes back must have nothing under way.
      broken = error as Error;
      throw error;
    } finally {
      client.release(broken);
    }
  }

  /** Runs `work` in one transaction: commits what it returns from, rolls back what it throws from. */
  async transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    let broken: Error | undefined;
    let open = true;
    try {
      // Not waited for: the first statement of the work travels with it. If it fails, so does everything behind it.
      const begun = client.query('begin');
      begun.catch(() => {});
      const tx: Tx = {
        inTransaction: true,
        query: async (stmt, values) => {
          // A part of the work that went on after another part failed must not write outside the transaction.
          if (!open) throw new Error('the transaction has ended');
          return rowsOf(await client.query(queryConfig(stmt, values)));
        },
      };
      const result = await work(tx);
      open = false;
      await begun;
      // PostgreSQL answers `ROLLBACK`, not an error, when a statement that nobody waited for has failed.
      if ((await client.query('commit')).command !== 'COMMIT') throw new Error('the transaction was rolled back');
      return result;
    } catch (error) {
      open = false;
      await client.query('rollback').catch((rollbackError: Error) => {
        broken = rollbackError;
      });
      throw error;
    } finally {
      client.release(broken);
    }
  }

  /**
   * A transaction in one round trip, for statements none of which needs the answer to another: `issue` makes all its
   * queries before it first waits. Throws what `issue` throws; nothing is written when a statement failed, or when `issue`
   * failed before an answer came.
   */
  async atOnce<T>(issue: (tx: Tx) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    let broken: Error | undefined;
    let open = true;
    const tx: Tx = {
      inTransaction: true,
      query: async (stmt, values) => {
        if (!open) throw new Error('the transaction is on its way: this statement came too late');
        return rowsOf(await client.query(queryConfig(stmt, values)));
      },
    };
    try {
      let failed = false;
      // When what is due now is done, it is known whether `issue` failed without an answer. This is asked for before
      // `gatherWrites` asks for the same, so that all leaves together.
      const ended = new Promise<pg.QueryResult>((resolve, reject) => {
        process.nextTick(() => client.query(failed ? 'rollback' : 'commit').then(resolve, reject));
      });
      const begun = client.query('begin');
      const issued = issue(tx);
      open = false;
      issued.catch(() => {
        failed = true;
      });
      const [begin, answer, end] = await Promise.allSettled([begun, issued, ended]);
      // A connection whose last statement was not answered has something under way.
      if (end.status === 'rejected') broken = end.reason as Error;
      if (answer.status === 'rejected') throw answer.reason;
      for (const each of [begin, end]) if (each.status === 'rejected') throw each.reason;
      // PostgreSQL answers `ROLLBACK`, not an error, when a statement that nobody waited for has failed.
      const { command } = (end as PromiseFulfilledResult<pg.QueryResult>).value;
      if (command !== 'COMMIT') throw new Error('the transaction was rolled back');
      return answer.value;
    } finally {
      client.release(broken);
    }
  }

  /** A connection of its own, outside the pool, for whoever needs LISTEN, pipelining or a session lock. */
  async dedicated(name: string): Promise<pg.Client> {
    const client = new pg.Client({
      connectionString: this.url,
      application_name: `${this.#applicationName} ${name}`,
      keepAlive: true,
      types,
    });
    // Whoever owns it learns of its end in its own way. Without this listener, an end before theirs would end the process.
    client.on('error', () => {});
    await client.connect();
    gatherWrites(client);
    sendLongValuesAsTheyAre(client);
    return client;
  }

  async close(): Promise<void> {
    if (!this.#pool.ended) await this.#pool.end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Lets all that is written in one turn of the event loop leave together. A system call costs more than what it carries,
 * and `pg` makes one for each statement.
 */
function gatherWrites(client: pg.ClientBase): void {
  const { stream } = (client as pg.ClientBase & { readonly connection: { readonly stream: Socket } }).connection;
  const write = stream.write;
  let gathering = false;
  stream.write = function gathered(this: Socket, ...given: Parameters<Socket['write']>) {
    if (!gathering) {
      gathering = true;
      stream.cork();
      process.nextTick(() => {
        gathering = false;
        stream.uncork();
      });
    }
    return write.apply(this, given);
  } as Socket['write'];
}

function queryConfig(stmt: Statement | string, values: readonly unknown[] | undefined): pg.QueryConfig {
  const config: pg.QueryConfig = typeof stmt === 'string' ? { text: stmt } : { name: stmt.name, text: stmt.text };
  if (values !== undefined) config.values = values as unknown[];
  return config;
}

function rowsOf<R>(result: pg.QueryResult): R[] {
  // The caller names the row type next to the statement that produces it; PostgreSQL is not consulted at run time.
  return result.rows as R[];
}

/**
 * PostgreSQL's five-character error code (SQLSTATE), if `error` is one of its errors. No class of them begins with E,
 * while errors of the system do, and some of those (EPIPE) have five characters as well.
 */
export function sqlState(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' && /^(?!E)[0-9A-Z]{5}$/.test(error.code) ? error.code : undefined;
}
