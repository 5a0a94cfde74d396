// Many devices in one statement, for imports.

import { randomInt } from 'node:crypto';
import { type Sql, statement } from '../kit/database.ts';
import { allTags, handleOf, type NewDevice, userOf } from './devices.ts';
import type { JobType } from './jobs.ts';

export type BulkDevice = Omit<NewDevice, 'hub'>;
/** Which line of the file, counted from 1, and what it means. */
export type BulkLine =
  | { readonly line: number; readonly device: BulkDevice }
  | { readonly line: number; readonly id: string }
  | { readonly line: number; readonly problem: string };
export type BulkResult = { readonly line: number; readonly id: string; readonly problem?: string };

const findExisting = statement(
  'hub.bulk-existing',
  'select id from device where hub = $1 and id = any ($2) for update',
);
const writeMany = statement(
  'hub.bulk-write',
  `insert into device as old (hub, id, kind, platform, handle, handle_since, user_id, tags, definition, etag, expires_at,
     created_at, updated_at, label)
   select $1, id, kind, platform, handle, $3, user_id, tags, definition, 1, expires_at, $3, $3, label
   from jsonb_to_recordset($2::jsonb) as given (id text, kind text, platform text, handle text, user_id text, tags text[],
     definition text, expires_at timestamptz, label text)
   on conflict (hub, id) do update set kind = excluded.kind, platform = excluded.platform, handle = excluded.handle,
     -- An import says nothing about whether an address is alive.
     handle_since = case when old.handle <> excluded.handle then excluded.handle_since else old.handle_since end,
     gone_at = case when old.handle <> excluded.handle then null else old.gone_at end,
     user_id = excluded.user_id, tags = excluded.tags, definition = excluded.definition, etag = old.etag + 1,
     expires_at = excluded.expires_at, updated_at = excluded.updated_at, label = coalesce(excluded.label, old.label)`,
);
const removeMany = statement('hub.bulk-remove', 'delete from device where hub = $1 and id = any ($2)');

/** In a transaction. One result per line, in their order; of two lines about one device the later one counts. */
export async function writeBulk(
  sql: Sql,
  hub: string,
  type: JobType,
  lines: readonly BulkLine[],
  now: Date,
): Promise<BulkResult[]> {
  const ids = lines.flatMap((line) => ('problem' in line ? [] : [idOf(line)]));
  const rows = await sql.query<{ id: string }>(findExisting, [hub, ids]);
  const existing = new Set(rows.map(({ id }) => id));
  const chosen = new Map<string, BulkDevice>();
  const results = lines.map((each): BulkResult => {
    if ('problem' in each) return { line: each.line, id: '', problem: each.problem };
    const id = idOf(each);
    const problem = judge(type, existing.has(id));
    if (problem === undefined && 'device' in each) chosen.set(id, each.device);
    if (problem === undefined && type === 'ImportCreateRegistrations') existing.add(id);
    return { line: each.line, id, ...(problem === undefined ? {} : { problem }) };
  });
  if (type === 'ImportDeleteRegistrations') await sql.query(removeMany, [hub, [...existing]]);
  else if (chosen.size > 0) await sql.query(writeMany, [hub, JSON.stringify([...chosen.values()].map(rowOf)), now]);
  return results;
}

/** The shape of the vendor's: clients may take it apart. */
export function newRegistrationId(): string {
  const digits = () => `${randomInt(1, 10)}${Array.from({ length: 18 }, () => randomInt(10)).join('')}`;
  return `${digits()}-${digits()}-1`;
}

function idOf(line: Exclude<BulkLine, { problem: string }>): string {
  return 'device' in line ? line.device.installation.installationId : line.id;
}

function judge(type: JobType, exists: boolean): string | undefined {
  if (type === 'ImportCreateRegistrations') return exists ? 'There is a device of this id already.' : undefined;
  if (type === 'ImportUpsertRegistrations' || exists) return undefined;
  return 'There is no device of this id.';
}

function rowOf(device: BulkDevice): object {
  const { kind, installation, label } = device;
  return {
    id: installation.installationId,
    kind,
    platform: installation.platform,
    handle: handleOf(installation),
    user_id: userOf(device) ?? null,
    tags: allTags(device),
    definition: JSON.stringify(installation),
    expires_at: installation.expirationTime ?? null,
    label: label ?? null,
  };
}
