// The keys of programs, as rows. A key has a primary and, after a rotation, a secondary secret: both work, so clients
// move over one by one; the next rotation ends the older one.
import type { Sql } from '../kit/database.ts';
import { statement } from '../kit/database.ts';
import { freshId } from '../kit/ids.ts';
import { Refusal } from '../kit/refusal.ts';
import type { Grant } from './rights.ts';
import { freshSecret, hashSecret } from './secrets.ts';

export type Key = {
  readonly id: string;
  readonly name: string;
  readonly grants: readonly Grant[];
  readonly preset: boolean;
  readonly hasSecondary: boolean;
  readonly createdAt: Date;
  readonly rotatedAt: Date | null;
  readonly expiresAt: Date | null;
};

/** A key whose secret the settings hold (`CARILLON_ADMIN_KEY`). */
export type PresetKey = { readonly name: string; readonly secret: string; readonly grants: readonly Grant[] };

export type NewKey = { readonly name: string; readonly grants: readonly Grant[]; readonly expiresAt?: Date };

const COLUMNS = `id, name, grants, preset, secondary_hash is not null as "hasSecondary", created_at as "createdAt",
  rotated_at as "rotatedAt", expires_at as "expiresAt"`;

const INSERT = statement(
  'access/key-insert',
  `insert into access_key (id, name, primary_hash, grants, created_at, expires_at)
   values ($1, $2, $3, $4, $5, $6) returning ${COLUMNS}`,
);

/** Makes a key. The secret is in the answer and nowhere else. */
export async function createKey(sql: Sql, key: NewKey, now: Date): Promise<Key & { secret: string }> {
  const secret = freshSecret('crl_key');
  const values = [freshId('key', now.getTime()), key.name, hashSecret(secret), JSON.stringify(key.grants), now];
  const [row] = await sql.query<Key>(INSERT, [...values, key.expiresAt ?? null]);
  return { ...row!, secret };
}

const LIST = statement('access/key-list', `select ${COLUMNS} from access_key where id > $1 order by id limit $2`);

export function listKeys(sql: Sql, page: { after: string; limit: number }): Promise<Key[]> {
  return sql.query<Key>(LIST, [page.after, page.limit]);
}

const ROTATE = statement(
  'access/key-rotate',
  `update access_key set secondary_hash = primary_hash, primary_hash = $2, rotated_at = $3
   where id = $1 and not preset returning ${COLUMNS}`,
);

/** Gives the key a new primary secret; the old one goes on working as its secondary until the next rotation. */
export async function rotateKey(sql: Sql, id: string, now: Date): Promise<Key & { secret: string }> {
  const secret = freshSecret('crl_key');
  const [row] = await sql.query<Key>(ROTATE, [id, hashSecret(secret), now]);
  if (!row) throw await whyNot(sql, id);
  return { ...row, secret };
}

const END_SECONDARY = statement(
  'access/key-end-secondary',
  `update access_key set secondary_hash = null where id = $1 and not preset returning ${COLUMNS}`,
);

/** Ends the older of the two secrets at once. */
export async function endSecondary(sql: Sql, id: string): Promise<Key> {
  const [row] = await sql.query<Key>(END_SECONDARY, [id]);
  if (!row) throw await whyNot(sql, id);
  return row;
}

const REVOKE = statement('access/key-revoke', 'delete from access_key where id = $1 and not preset returning id');

export async function revokeKey(sql: Sql, id: string): Promise<void> {
  const [row] = await sql.query(REVOKE, [id]);
  if (!row) throw await whyNot(sql, id);
}

async function whyNot(sql: Sql, id: string): Promise<Refusal> {
  const [row] = await sql.query('select id from access_key where id = $1', [id]);
  return row
    ? new Refusal('conflict', `The key ${id} comes from the settings; change it there.`)
    : new Refusal('not_found', `There is no key ${id}.`);
}

// Written only where something differs, so that a start does not make every node read its keys again.
const PUT_PRESET = statement(
  'access/key-put-preset',
  `insert into access_key (id, name, primary_hash, grants, preset, created_at) values ($1, $2, $3, $4, true, $5)
   on conflict (id) do update set primary_hash = excluded.primary_hash, grants = excluded.grants, secondary_hash = null
   where (access_key.primary_hash, access_key.grants) is distinct from (excluded.primary_hash, excluded.grants)`,
);

/** Brings the preset keys to what the settings say; those that the settings no longer name end. */
export async function putPresets(sql: Sql, presets: readonly PresetKey[], now: Date): Promise<void> {
  const ids = presets.map((preset) => `key_preset_${preset.name}`);
  await sql.query('delete from access_key where preset and id <> all($1)', [ids]);
  for (const [index, { name, secret, grants }] of presets.entries()) {
    await sql.query(PUT_PRESET, [ids[index], name, hashSecret(secret), JSON.stringify(grants), now]);
  }
}
