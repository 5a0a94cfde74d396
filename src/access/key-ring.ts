// The keys in memory, by the hash of their secret, so that a check costs no round trip. While requests come in, a
// version number is compared once per `freshForMs`; when it moved, the keys are read again. A revoked key is therefore
// refused at once on the node that revoked it and within `freshForMs` on the others. No requests, no queries.
import { type Sql, statement } from '../kit/database.ts';
import type { Grant, Identity } from './rights.ts';
import { hashSecret, sameHash } from './secrets.ts';

type Row = {
  id: string;
  name: string;
  primary: Buffer;
  secondary: Buffer | null;
  grants: Grant[];
  expiresAt: Date | null;
};
type Entry = { readonly hash: Buffer; readonly identity: Identity; readonly expiresAt: number };

const VERSION = statement('access/version', 'select version from access_version');
const READ = statement(
  'access/key-read',
  `select id, name, primary_hash as primary, secondary_hash as secondary, grants, expires_at as "expiresAt" from access_key`,
);

export class KeyRing {
  readonly #sql: Sql;
  readonly #freshForMs: number;
  #entries = new Map<string, Entry>();
  #version = -1;
  #checkedAt = Number.NEGATIVE_INFINITY;
  #checking: Promise<void> | undefined;

  readonly #now: () => number;

  constructor(sql: Sql, freshForMs: number, now: () => number) {
    this.#sql = sql;
    this.#freshForMs = freshForMs;
    this.#now = now;
  }

  /** The identity that `secret` opens, or undefined. */
  async find(secret: string): Promise<Identity | undefined> {
    if (!this.#isFresh()) await this.refresh();
    return this.#lookUp(secret);
  }

  /** Like {@link find}, without a promise, so that a hot path stays on one tick. Undefined may also mean: ask `find`. */
  findFresh(secret: string): Identity | undefined {
    return this.#isFresh() ? this.#lookUp(secret) : undefined;
  }

  #isFresh(): boolean {
    const age = this.#now() - this.#checkedAt;
    return age >= 0 && age < this.#freshForMs; // a clock that was set back must not make old keys fresh
  }

  #lookUp(secret: string): Identity | undefined {
    const hash = hashSecret(secret);
    const entry = this.#entries.get(hash.toString('latin1'));
    return entry && sameHash(entry.hash, hash) && entry.expiresAt > this.#now() ? entry.identity : undefined;
  }

  /** Compares the version and reads the keys if it moved. Calls at the same time share one query. */
  refresh(): Promise<void> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  /** For whoever has just changed a key on this node. A check that was under way may have missed the change. */
  async refreshAfterChange(): Promise<void> {
    await this.#checking?.catch(() => undefined); // its own callers get its error
    await this.refresh();
  }

  async #check(): Promise<void> {
    const startedAt = this.#now();
    const [row] = await this.#sql.query<{ version: number }>(VERSION);
    if (row!.version !== this.#version) {
      // Read after the version: a change in between shows as a newer version at the next check.
      this.#entries = entriesOf(await this.#sql.query<Row>(READ));
      this.#version = row!.version;
    }
    this.#checkedAt = startedAt;
  }
}

function entriesOf(rows: readonly Row[]): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const { id, name, primary, secondary, grants, expiresAt } of rows) {
    const identity: Identity = { kind: 'key', keyId: id, name, grants };
    for (const hash of [primary, secondary]) {
      if (hash) entries.set(hash.toString('latin1'), { hash, identity, expiresAt: expiresAt?.getTime() ?? Infinity });
    }
  }
  return entries;
}
