// The door's keeper: who is calling, by key or by cookie. Rights are asked with `authorize` of rights.ts.
import type { Database } from '../kit/database.ts';
import { KeyRing } from './key-ring.ts';
import * as keys from './keys.ts';
import type { Identity } from './rights.ts';
import { createLink, type Person, Sessions, spendLink } from './sign-in.ts';

export type AccessOptions = {
  readonly database: Database;
  /** Keys that the settings hold, the admin key first of all. */
  readonly presets: readonly keys.PresetKey[];
  /** How long a revoked key or an ended session may live on at another node, in milliseconds. */
  readonly freshForMs?: number;
  readonly now?: () => Date;
};

export class Access {
  readonly #database: Database;
  readonly #ring: KeyRing;
  readonly #sessions: Sessions;
  readonly #now: () => Date;

  private constructor({ database, freshForMs = 1000, now }: AccessOptions) {
    this.#database = database;
    this.#ring = new KeyRing(database, freshForMs, () => this.#now().getTime());
    this.#sessions = new Sessions(database, freshForMs);
    this.#now = now ?? (() => new Date());
  }

  /** Writes the preset keys and reads all of them. There is nothing to stop. */
  static async start(options: AccessOptions): Promise<Access> {
    const access = new Access(options);
    await keys.putPresets(options.database, options.presets, access.#now());
    await access.#ring.refresh();
    return access;
  }

  /** Who holds this key; at once if the ring is fresh, by a query of the version else. */
  byKey(secret: string): Identity | undefined | Promise<Identity | undefined> {
    return this.#ring.findFresh(secret) ?? this.#ring.find(secret);
  }

  bySession(session: string): Promise<Identity | undefined> {
    return this.#sessions.find(session, this.#now().getTime());
  }

  createLink(person: Person): Promise<{ token: string; expiresAt: Date }> {
    return createLink(this.#database, person, this.#now());
  }

  spendLink(token: string): Promise<{ session: string; person: Person }> {
    return this.#database.transaction((tx) => spendLink(tx, token, this.#now()));
  }

  endSession(session: string): Promise<void> {
    return this.#sessions.end(session);
  }

  listKeys(page: { after: string; limit: number }): Promise<keys.Key[]> {
    return keys.listKeys(this.#database, page);
  }

  createKey(key: keys.NewKey): Promise<keys.Key & { secret: string }> {
    return this.#changing(keys.createKey(this.#database, key, this.#now()));
  }

  rotateKey(id: string): Promise<keys.Key & { secret: string }> {
    return this.#changing(keys.rotateKey(this.#database, id, this.#now()));
  }

  endSecondary(id: string): Promise<keys.Key> {
    return this.#changing(keys.endSecondary(this.#database, id));
  }

  revokeKey(id: string): Promise<void> {
    return this.#changing(keys.revokeKey(this.#database, id));
  }

  async #changing<T>(change: Promise<T>): Promise<T> {
    const result = await change;
    await this.#ring.refreshAfterChange();
    return result;
  }
}
