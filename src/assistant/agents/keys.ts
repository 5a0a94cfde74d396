// The keys with which we sign what agents get. They are in the database, so every node signs with the same ones, and the
// private halves are sealed under the server's own secret. The newest signs; older ones stay for a while, so that what
// they have signed can still be checked; each is known by its `kid`.
//   made --newest--> signs --a newer one is made--> checks --a week after that--> deleted
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { exportJWK, type JWK } from 'jose';
import { type Database, statement, type Tx } from '../../kit/database.ts';
import { freshId } from '../../kit/ids.ts';
import { seal, unseal } from '../../kit/sealing.ts';

export type AgentKey = { readonly kid: string; readonly privateKey: KeyObject; readonly publicKey: KeyObject };

type Row = { kid: string; public_key: JWK; sealed: Buffer; created_at: Date };

const ROTATE_AFTER_MS = 30 * 86_400_000;
const KEEP_AFTER_MS = 7 * 86_400_000;
/** How long another node may go on with the keys that it has read. */
const FRESH_FOR_MS = 60_000;
const LOCK = 0x0ca211a9;

const READ = statement(
  'assistant.keys-read',
  'select kid, public_key, sealed, created_at from agent_key order by created_at desc, kid',
);
const INSERT = statement(
  'assistant.keys-insert',
  'insert into agent_key (kid, public_key, sealed, created_at) values ($1, $2, $3, $4)',
);
// A key goes a week after it was replaced, whatever its age.
const SWEEP = statement(
  'assistant.keys-sweep',
  `delete from agent_key as old where exists
     (select from agent_key as newer where newer.created_at > old.created_at and newer.created_at < $1)`,
);

export class AgentKeys {
  readonly #database: Database;
  readonly #sealingKey: Buffer;
  #keys: readonly AgentKey[] = [];
  #published: readonly JWK[] = [];
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(database: Database, sealingKey: Buffer) {
    this.#database = database;
    this.#sealingKey = sealingKey;
  }

  /** The key to sign with; the first one is made here. */
  async current(): Promise<AgentKey> {
    await this.#refresh();
    if (this.#keys.length === 0) await this.rotate();
    return this.#keys[0]!;
  }

  /** The public key of this id, or undefined. A key that another node has just made is looked for. */
  async find(kid: string): Promise<KeyObject | undefined> {
    const known = () => this.#keys.find((key) => key.kid === kid)?.publicKey;
    await this.#refresh();
    if (!known() && Date.now() - this.#readAt > 1_000) await this.#read();
    return known();
  }

  /** What agents may check us with (RFC 7517). */
  async published(): Promise<{ keys: readonly JWK[] }> {
    await this.current();
    return { keys: this.#published };
  }

  /** Makes a new key if the newest is older than that (30 days if left out), and deletes those that nobody needs. */
  async rotate({ olderThanMs = ROTATE_AFTER_MS, now = new Date() } = {}): Promise<void> {
    await this.#database.transaction(async (tx) => {
      // Nodes that start together make one key.
      await tx.query('select pg_advisory_xact_lock($1)', [LOCK]);
      const [newest] = await tx.query<Row>(READ);
      if (!newest || now.getTime() - newest.created_at.getTime() > olderThanMs) await this.#make(tx, now);
      await tx.query(SWEEP, [new Date(now.getTime() - KEEP_AFTER_MS)]);
    });
    await this.#read();
  }

  async #make(tx: Tx, now: Date): Promise<void> {
    const kid = freshId('kid', now.getTime());
    const { publicKey, privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
    const jwk = { ...(await exportJWK(publicKey)), kid, use: 'sig', alg: 'RS256' };
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string; // the format says so
    await tx.query(INSERT, [kid, JSON.stringify(jwk), seal(this.#sealingKey, `agent key ${kid}`, pem), now]);
  }

  async #refresh(): Promise<void> {
    if (Date.now() - this.#readAt > FRESH_FOR_MS) await this.#read();
  }

  #read(): Promise<void> {
    this.#reading ??= this.#readNow().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #readNow(): Promise<void> {
    const rows = await this.#database.query<Row>(READ);
    this.#keys = rows.map(({ kid, sealed }) => {
      const privateKey = createPrivateKey(unseal(this.#sealingKey, `agent key ${kid}`, sealed));
      return { kid, privateKey, publicKey: createPublicKey(privateKey) };
    });
    this.#published = rows.map((row) => row.public_key);
    this.#readAt = Date.now();
  }
}
