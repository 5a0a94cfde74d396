// Making, changing and removing hubs: credentials, rules and settings of one hub are one row, changed together. Every
// change raises the version; where credentials changed, all nodes build their drivers anew within seconds.

import { type Database, type Sql, statement } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import { seal, unseal } from '../kit/sealing.ts';
import type { Platform } from './drivers/driver.ts';
import { makeVapidKeys } from './drivers/vapid.ts';
import { checkHubName, type HubCredentials } from './hubs.ts';
import { checkCredentials } from './lanes.ts';
import { resumeLegs } from './legs.ts';
import { checkRule, type HubRule, type HubSettings, sealRules } from './rules.ts';
import type { SendLimits } from './sends.ts';
import type { TagLimits } from './tags.ts';

export type HubParts = {
  readonly credentials: HubCredentials;
  /** The hub's own; the default ones are not among them. */
  readonly rules: readonly HubRule[];
  readonly settings: HubSettings;
};
export type HubDetails = HubParts & {
  readonly name: string;
  readonly version: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
};
/** `subject`: the address for the people of push services, for hubs that make their own keys for Web Push. */
export type HubAdmin = {
  readonly database: Database;
  readonly key: Buffer;
  readonly subject: string;
  readonly tagLimits: TagLimits;
  readonly sendLimits: SendLimits;
  readonly now: () => Date;
};

const dayMs = 86_400_000;
const longestTtlMs = 10_000 * dayMs;
const columns = 'name, sealed, rules, settings, version, created_at, updated_at';
const findOne = statement('hub.details', `select ${columns} from hub where name = $1`);
const lockOne = statement('hub.details-lock', `select ${columns} from hub where name = $1 for update`);
const listAll = statement('hub.list', `select ${columns} from hub where name > $1 order by name limit $2`);
const writeOne = statement(
  'hub.details-write',
  `insert into hub (name, sealed, rules, settings, created_at, updated_at) values ($1, $2, $3, $4, $5, $5)
   on conflict (name) do update set sealed = excluded.sealed, rules = excluded.rules, settings = excluded.settings,
     version = hub.version + 1, updated_at = excluded.updated_at
   returning ${columns}`,
);
const removeOne = statement('hub.remove', 'delete from hub where name = $1 returning name');

type Row = {
  readonly name: string;
  readonly sealed: Buffer;
  readonly rules: Buffer | null;
  readonly settings: string;
  readonly version: number;
  readonly created_at: Date;
  readonly updated_at: Date;
};

export async function getHub(sql: Sql, key: Buffer, name: string): Promise<HubDetails> {
  const [row] = await sql.query<Row>(findOne, [name]);
  if (row === undefined) throw absent(name);
  return detailsOf(row, key);
}

/** In the order of their names. */
export async function listHubs(sql: Sql, key: Buffer, after: string, limit: number): Promise<HubDetails[]> {
  return (await sql.query<Row>(listAll, [after, limit])).map((row) => detailsOf(row, key));
}

/** Refuses (`already_exists`), (`invalid_name`), (`invalid_setting`). */
export async function createHub(admin: HubAdmin, name: string, parts: Partial<HubParts> = {}): Promise<HubDetails> {
  checkHubName(name);
  return admin.database.transaction(async (tx) => {
    const [row] = await tx.query<Row>(lockOne, [name]);
    if (row !== undefined) throw new Refusal('already_exists', `There is a hub "${name}" already.`);
    return write(tx, admin, name, { credentials: {}, rules: [], settings: {}, ...parts });
  });
}

/** What `edit` leaves out stays. Refuses (`not_found`), (`invalid_setting`). */
export async function editHub(
  admin: HubAdmin,
  name: string,
  edit: (before: HubDetails) => Partial<HubParts>,
): Promise<HubDetails> {
  const { before, changed } = await admin.database.transaction(async (tx) => {
    const [row] = await tx.query<Row>(lockOne, [name]);
    if (row === undefined) throw absent(name);
    const before = detailsOf(row, admin.key);
    const { credentials, rules, settings } = { ...before, ...edit(before) };
    return { before, changed: await write(tx, admin, name, { credentials, rules, settings }) };
  });
  if (JSON.stringify(before.credentials) !== JSON.stringify(changed.credentials))
    await resumeLegs(admin.database, name, admin.now());
  return changed;
}

/** With its devices, sends, jobs and files. */
export async function deleteHub(sql: Sql, name: string): Promise<void> {
  const [removed] = await sql.query(removeOne, [name]);
  if (removed === undefined) throw absent(name);
}

/**
 * Credentials of one platform, checked. Undefined takes them away; of Web Push it makes new keys. What is not given of Web
 * Push stays: without its keys every browser that subscribed with them would be lost, and so would those of a private service
 * that is not allowed any more.
 */
export async function setCredentials(
  admin: HubAdmin,
  name: string,
  platform: Platform,
  credentials: HubCredentials[Platform] | undefined,
): Promise<HubDetails> {
  return editHub(admin, name, (before) => {
    const { [platform]: _, ...others } = before.credentials;
    if (credentials === undefined) return { credentials: others };
    const kept = platform === 'browser' ? before.credentials.browser : {};
    return { credentials: { ...others, [platform]: { ...kept, ...credentials } } };
  });
}

/** Throws Refusal('bad_request'). */
function checkSettings(settings: HubSettings): HubSettings {
  const { registrationTtlMs: ttl, userMetadata } = settings;
  if (ttl !== undefined && !(ttl >= dayMs)) throw new Refusal('bad_request', 'Registrations live a day at least.');
  if ((userMetadata?.length ?? 0) > 1024) throw new Refusal('bad_request', 'UserMetadata has at most 1024 characters.');
  // What is longer than any app lives is for ever; the vendor writes it as the longest time that it knows.
  return {
    ...(ttl === undefined || ttl > longestTtlMs ? {} : { registrationTtlMs: ttl }),
    ...(userMetadata ? { userMetadata } : {}),
  };
}

async function write(sql: Sql, admin: HubAdmin, name: string, parts: HubParts): Promise<HubDetails> {
  const { key, subject, now } = admin;
  const { credentials: given, rules, settings } = parts;
  const credentials = given.browser === undefined ? { ...given, browser: { ...makeVapidKeys(), subject } } : given;
  checked(() => checkCredentials(credentials));
  for (const rule of rules) checkRule(rule);
  const sealed = seal(key, name, JSON.stringify(credentials));
  const sealedRules = rules.length === 0 ? null : sealRules(key, name, rules);
  const [row] = await sql.query<Row>(writeOne, [
    name,
    sealed,
    sealedRules,
    JSON.stringify(checkSettings(settings)),
    now(),
  ]);
  return detailsOf(row!, key);
}

/** A key that is no key makes Node throw in its own words. */
function checked(check: () => void): void {
  try {
    check();
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal('invalid_setting', `The credentials cannot be used: ${(error as Error).message}`, {}, error);
  }
}

function detailsOf(row: Row, key: Buffer): HubDetails {
  const open = (owner: string, sealed: Buffer): unknown => {
    try {
      return JSON.parse(unseal(key, owner, sealed));
    } catch (cause) {
      const words = `What lies sealed in the hub "${row.name}" was encrypted under another CARILLON_LINK_KEY.`;
      throw new Refusal('invalid_setting', words, {}, cause);
    }
  };
  return {
    name: row.name,
    version: row.version,
    // All three were written by this room.
    credentials: open(row.name, row.sealed) as HubCredentials,
    rules: row.rules === null ? [] : (open(`rules of ${row.name}`, row.rules) as HubRule[]),
    settings: JSON.parse(row.settings) as HubSettings,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

function absent(name: string): Refusal {
  return new Refusal('not_found', `There is no hub "${name}".`);
}
