// What clients set on an entity and only this door needs: description fields that are given back as they came, and
// authorization rules. The keys of the rules are stored encrypted (AES-256-GCM), since checking a signature takes the
// key itself.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { type Database, type Sql, statement } from '../../kit/database.ts';
import type { AuthorizationRule } from './authority.ts';

export type EntityRecord = {
  readonly fields: Readonly<Record<string, string>>;
  readonly rules: readonly AuthorizationRule[];
};

const SELECT = statement(
  'servicebus.entity.select',
  'select topic, subscription, fields, rules from servicebus_entity where topic = any($1::int[])',
);
const SELECT_WITH_RULES = statement(
  'servicebus.entity.rules',
  'select topic, subscription, fields, rules from servicebus_entity where rules is not null',
);
const PUT = statement(
  'servicebus.entity.put',
  `insert into servicebus_entity (topic, subscription, fields, rules) values ($1, $2, $3, $4)
   on conflict (topic, subscription) do update set fields = excluded.fields, rules = excluded.rules`,
);
const REMOVE = statement(
  'servicebus.entity.remove',
  'delete from servicebus_entity where topic = $1 and ($2::int = 0 or subscription = $2)',
);

type Row = { topic: number; subscription: number; fields: Record<string, string>; rules: Buffer | null };

const EMPTY: EntityRecord = { fields: {}, rules: [] };

export class EntityRecords {
  readonly #sql: Sql;
  readonly #secret: Buffer;

  /** `secret`: 32 bytes, the same on all nodes that share the database. */
  constructor(database: Database, secret: Buffer) {
    this.#sql = database;
    this.#secret = secret;
  }

  /** `subscription` 0 is the topic or queue itself. */
  async get(topic: number, subscription = 0): Promise<EntityRecord> {
    return (await this.ofTopics([topic])).get(recordKey(topic, subscription)) ?? EMPTY;
  }

  /** The records of these topics and of their subscriptions, by `recordKey`. */
  async ofTopics(topics: readonly number[]): Promise<Map<string, EntityRecord>> {
    const rows = await this.#sql.query<Row>(SELECT, [topics]);
    return new Map(rows.map((row) => [recordKey(row.topic, row.subscription), this.#read(row)]));
  }

  /** Every rule of every entity that has this name, for clients that name no entity when they sign in. */
  async rulesNamed(keyName: string): Promise<{ topic: number; rule: AuthorizationRule }[]> {
    const rows = await this.#sql.query<Row>(SELECT_WITH_RULES);
    const all = rows.flatMap((row) => this.#read(row).rules.map((rule) => ({ topic: row.topic, rule })));
    return all.filter(({ rule }) => rule.keyName === keyName);
  }

  async put(topic: number, subscription: number, record: EntityRecord): Promise<void> {
    const rules = record.rules.length > 0 ? this.#encrypt(JSON.stringify(record.rules)) : null;
    await this.#sql.query(PUT, [topic, subscription, JSON.stringify(record.fields), rules]);
  }

  /** With subscription 0, also the records of all subscriptions of the topic. */
  async remove(topic: number, subscription = 0): Promise<void> {
    await this.#sql.query(REMOVE, [topic, subscription]);
  }

  #read({ fields, rules }: Row): EntityRecord {
    // Only `put` writes the column, so the text is an array of rules.
    return { fields, rules: rules ? (JSON.parse(this.#decrypt(rules)) as AuthorizationRule[]) : [] };
  }

  #encrypt(text: string): Buffer {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.#secret, nonce);
    const bytes = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), bytes]);
  }

  /** With another secret than the one that wrote them the rules are unreadable: then nobody holds their keys. */
  #decrypt(bytes: Buffer): string {
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#secret, bytes.subarray(0, 12));
      decipher.setAuthTag(bytes.subarray(12, 28));
      return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8');
    } catch {
      return '[]';
    }
  }
}

/** Whether it has partitions, or was made to have some as far as its clients know. */
export async function isPartitioned(
  records: Pick<EntityRecords, 'get'>,
  { id, partitions }: { readonly id: number; readonly partitions: number },
): Promise<boolean> {
  return partitions > 1 || (await records.get(id)).fields.EnablePartitioning === 'true';
}

export function recordKey(topic: number, subscription: number): string {
  return `${topic}/${subscription}`;
}
