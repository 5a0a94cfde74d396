// How a person signs in: a one-time link, good for 15 minutes, is exchanged for a cookie session. Both are random
// secrets whose hashes are rows.
//   link:    fresh --use--> used        fresh --15 min--> lapsed
//   session: open --sign out--> gone    open --14 days--> lapsed
import { type Sql, statement, type Tx } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import { adminIdentity, type Identity, recipientIdentity } from './rights.ts';
import { freshSecret, hashSecret } from './secrets.ts';

export const LINK_LIVES_MS = 15 * 60_000;
export const SESSION_LIVES_MS = 14 * 24 * 60 * 60_000;

/** Whom a link or a session is for. */
export type Person = { readonly role: 'admin' } | { readonly role: 'recipient'; readonly recipientId: string };

const INSERT_LINK = statement(
  'access/link-insert',
  `insert into sign_in_link (token_hash, role, recipient_id, created_at, expires_at) values ($1, $2, $3, $4, $5)`,
);

/** Makes a link's token. It works once, within 15 minutes. */
export async function createLink(sql: Sql, person: Person, now: Date): Promise<{ token: string; expiresAt: Date }> {
  const token = freshSecret('crl_link');
  const expiresAt = new Date(now.getTime() + LINK_LIVES_MS);
  await sql.query(INSERT_LINK, [hashSecret(token), person.role, recipientOf(person), now, expiresAt]);
  return { token, expiresAt };
}

const USE_LINK = statement(
  'access/link-use',
  `update sign_in_link set used_at = $2 where token_hash = $1 and used_at is null and expires_at > $2
   returning role, recipient_id as "recipientId"`,
);
const INSERT_SESSION = statement(
  'access/session-insert',
  `insert into web_session (token_hash, role, recipient_id, created_at, expires_at) values ($1, $2, $3, $4, $5)`,
);
const SWEEP_LINKS = statement('access/link-sweep', 'delete from sign_in_link where expires_at < $1');
const SWEEP_SESSIONS = statement('access/session-sweep', 'delete from web_session where expires_at < $1');

/** Exchanges a link's token for a session; of two at the same time one wins. Refuses (`link_spent`) any other use. */
export async function spendLink(tx: Tx, token: string, now: Date): Promise<{ session: string; person: Person }> {
  const [row] = await tx.query<{ role: string; recipientId: string | null }>(USE_LINK, [hashSecret(token), now]);
  if (!row) throw new Refusal('link_spent', 'This sign-in link was used before or is too old. Ask for a new one.');
  const person = personOf(row);
  const session = freshSecret('crl_session');
  const expiresAt = new Date(now.getTime() + SESSION_LIVES_MS);
  await tx.query(INSERT_SESSION, [hashSecret(session), person.role, recipientOf(person), now, expiresAt]);
  // Sign-ins are rare and are the only writers here, so they clear what lapsed.
  await tx.query(SWEEP_LINKS, [now]);
  await tx.query(SWEEP_SESSIONS, [now]);
  return { session, person };
}

const END_SESSION = statement('access/session-end', 'delete from web_session where token_hash = $1');
const FIND_SESSION = statement(
  'access/session-find',
  `select role, recipient_id as "recipientId", expires_at as "expiresAt" from web_session where token_hash = $1`,
);

const FORGET_LINKS = statement('access/forget-links', 'delete from sign_in_link where recipient_id = $1');
const FORGET_SESSIONS = statement('access/forget-sessions', 'delete from web_session where recipient_id = $1');

/** Ends the links and sessions of a recipient; open ones live on for as long as nodes cache them (a second). */
export async function forgetPerson(tx: Tx, recipientId: string): Promise<void> {
  await tx.query(FORGET_LINKS, [recipientId]);
  await tx.query(FORGET_SESSIONS, [recipientId]);
}

type Cached = { readonly identity: Identity | undefined; readonly expiresAt: number; readonly checkedAt: number };
const SESSION_FORM = /^crl_session_[\w-]{43}$/;

/** Open sessions, each looked up at most once per `freshForMs`. Holds at most `capacity` of them. */
export class Sessions {
  readonly #sql: Sql;
  readonly #freshForMs: number;
  readonly #capacity: number;
  readonly #cached = new Map<string, Cached>();

  constructor(sql: Sql, freshForMs: number, capacity = 20_000) {
    this.#sql = sql;
    this.#freshForMs = freshForMs;
    this.#capacity = capacity;
  }

  async find(session: string, now: number): Promise<Identity | undefined> {
    if (!SESSION_FORM.test(session)) return undefined;
    const hash = hashSecret(session);
    const name = hash.toString('latin1');
    const known = this.#cached.get(name);
    const age = known ? now - known.checkedAt : -1;
    const entry = known && age >= 0 && age < this.#freshForMs ? known : await this.#load(hash, name, now);
    return entry.expiresAt > now ? entry.identity : undefined;
  }

  async end(session: string): Promise<void> {
    const hash = hashSecret(session);
    await this.#sql.query(END_SESSION, [hash]);
    this.#cached.delete(hash.toString('latin1'));
  }

  async #load(hash: Buffer, name: string, now: number): Promise<Cached> {
    type Row = { role: string; recipientId: string | null; expiresAt: Date };
    const [row] = await this.#sql.query<Row>(FIND_SESSION, [hash]);
    const entry = row
      ? { identity: identityOf(personOf(row)), expiresAt: row.expiresAt.getTime(), checkedAt: now }
      : { identity: undefined, expiresAt: 0, checkedAt: now };
    this.#cached.delete(name);
    this.#cached.set(name, entry); // at the end: the map's order is the order of checking
    if (this.#cached.size > this.#capacity) this.#cached.delete(this.#cached.keys().next().value!);
    return entry;
  }
}

function identityOf(person: Person): Identity {
  return person.role === 'admin' ? adminIdentity() : recipientIdentity(person.recipientId);
}

function personOf(row: { role: string; recipientId: string | null }): Person {
  // The table's checks allow no recipient without an id.
  return row.role === 'admin' ? { role: 'admin' } : { role: 'recipient', recipientId: row.recipientId! };
}

function recipientOf(person: Person): string | null {
  return person.role === 'recipient' ? person.recipientId : null;
}
