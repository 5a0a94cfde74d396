// The two keys of RootManageSharedAccessKey. The configured key is the primary one until somebody makes a new key; what
// was made is kept in the database, encrypted like all keys of rules, so that every node takes it, without a restart. A
// configured key that is changed later becomes the primary key again: who sets it means it.
import { createHash, randomBytes } from 'node:crypto';
import { Refusal } from '../../kit/refusal.ts';
import { type AuthorizationRule, ROOT_RULE } from './authority.ts';
import type { EntityRecords } from './entity-records.ts';

export type RootKeys = { readonly primary: string; readonly secondary: string | undefined };
export type WhichKey = 'primary' | 'secondary';

/** The record of the namespace: no topic has this number. */
const NAMESPACE = 0;
/** Other nodes take a new key within this time. */
const FRESH_MS = 1_000;

export class RootKeyRing {
  readonly #records: EntityRecords;
  readonly #configured: string;
  readonly #now: () => Date;
  #known: { readonly keys: RootKeys; readonly at: number } | undefined;

  constructor(records: EntityRecords, configured: string, now: () => Date) {
    this.#records = records;
    this.#configured = configured;
    this.#now = now;
  }

  async current(): Promise<RootKeys> {
    const at = this.#now().getTime();
    if (this.#known && Math.abs(at - this.#known.at) < FRESH_MS) return this.#known.keys;
    const keys = await this.#read();
    this.#known = { keys, at };
    return keys;
  }

  async #read(): Promise<RootKeys> {
    const { fields, rules } = await this.#records.get(NAMESPACE);
    const made = rules.find((rule) => rule.keyName === ROOT_RULE);
    if (!made) return { primary: this.#configured, secondary: undefined };
    const secondary = made.secondaryKey === '' ? undefined : made.secondaryKey;
    return { primary: fields.configured === this.#mark ? made.primaryKey : this.#configured, secondary };
  }

  /** Tells whether the configured key is the one that was configured then. */
  get #mark(): string {
    return createHash('sha256').update(`configured ${this.#configured}`).digest('hex').slice(0, 32);
  }

  /** Makes a new key in place of one; tokens signed with the one that it replaces are refused from now on. */
  async regenerate(which: WhichKey): Promise<RootKeys> {
    const { primary, secondary } = await this.#read();
    const made = randomBytes(32).toString('base64');
    const keys = which === 'primary' ? { primary: made, secondary } : { primary, secondary: made };
    const rule: AuthorizationRule = {
      keyName: ROOT_RULE,
      rights: ['Manage', 'Send', 'Listen'],
      primaryKey: keys.primary,
      secondaryKey: keys.secondary ?? '',
      createdAt: this.#now().toISOString(),
    };
    await this.#records.put(NAMESPACE, 0, { fields: { configured: this.#mark }, rules: [rule] });
    this.#known = undefined;
    return this.current();
  }
}

export function whichKey(name: string): WhichKey {
  if (name === 'primary' || name === 'secondary') return name;
  throw new Refusal('bad_request', 'The key is called primary or secondary.');
}
