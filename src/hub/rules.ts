// Access rules of a hub: names with keys that clients sign their tokens with. Every hub knows the default rules, whose keys
// come from the settings; a hub may have rules of its own, which lie sealed beside its credentials and win over a
// default of the same name. A rotated key is the secondary one until the next rotation, so that clients can follow.

import { randomBytes } from 'node:crypto';
import { type Database, type Sql, statement } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import { seal, unseal } from '../kit/sealing.ts';
import type { Installation } from './installation.ts';

export const hubRights = ['Listen', 'Send', 'Manage'] as const;
export type HubRight = (typeof hubRights)[number];

export type HubRule = {
  readonly name: string;
  readonly primaryKey: string;
  readonly secondaryKey?: string | undefined;
  readonly rights: readonly HubRight[];
};

/** What a client of the hub's administration may set. `registrationTtlMs`: undefined for ever. */
export type HubSettings = {
  readonly registrationTtlMs?: number | undefined;
  readonly userMetadata?: string | undefined;
};

export type HubAccess = {
  /** Its name as it is written there. */
  readonly hub: string;
  readonly rules: readonly HubRule[];
  readonly settings: HubSettings;
};

const fullRuleName = 'DefaultFullSharedAccessSignature';
export const listenRuleName = 'DefaultListenSharedAccessSignature';
const mostRules = 12;

const findAccess = statement('hub.access-find', 'select name, rules, settings from hub where name = $1');
// Hubs are few; and this is asked only after a name that is not there.
const findAnyCase = statement(
  'hub.access-find-any-case',
  'select name, rules, settings from hub where lower(name) = lower($1) order by name limit 1',
);
const lockAccess = statement('hub.access-lock', 'select name, rules, settings from hub where name = $1 for update');
const writeRules = statement('hub.rules-write', 'update hub set rules = $2, updated_at = $3 where name = $1');

type Row = { readonly name: string; readonly rules: Buffer | null; readonly settings: string };

/** The rules of every hub. Azure names the third one for a whole namespace. */
export function defaultRules({
  fullKey,
  listenKey,
}: {
  readonly fullKey: string;
  readonly listenKey: string;
}): HubRule[] {
  return [
    { name: fullRuleName, primaryKey: fullKey, rights: hubRights },
    { name: listenRuleName, primaryKey: listenKey, rights: ['Listen'] },
    { name: 'RootManageSharedAccessKey', primaryKey: fullKey, rights: hubRights },
  ];
}

/** A hub's own rules and settings, in whatever case it is named; undefined for a hub that is not there. */
export async function findHubAccess(sql: Sql, key: Buffer, hub: string): Promise<HubAccess | undefined> {
  const [exact] = await sql.query<Row>(findAccess, [hub]);
  const row = exact ?? (await sql.query<Row>(findAnyCase, [hub]))[0];
  return row && accessOf(row, key);
}

/** Where registrations of the hub have an end, the device lives until then at most. */
export function withLife(installation: Installation, { registrationTtlMs }: HubSettings, now: Date): Installation {
  if (registrationTtlMs === undefined) return installation;
  const end = new Date(now.getTime() + registrationTtlMs);
  const { expirationTime = end } = installation;
  return { ...installation, expirationTime: expirationTime < end ? expirationTime : end };
}

/** Own rules before default ones. */
export function ruleOf(name: string, own: readonly HubRule[], defaults: readonly HubRule[]): HubRule | undefined {
  return own.find((rule) => rule.name === name) ?? defaults.find((rule) => rule.name === name);
}

/** Gives the hub a rule, or the rule another set of rights or keys. Keys that are not given are made. */
export async function putRule(
  database: Database,
  key: Buffer,
  hub: string,
  rule: Pick<HubRule, 'name' | 'rights'> & Partial<HubRule>,
  now: Date,
): Promise<HubRule> {
  const checked = checkRule(rule);
  const made = {
    ...checked,
    primaryKey: checked.primaryKey ?? newRuleKey(),
    secondaryKey: checked.secondaryKey ?? newRuleKey(),
  };
  await changeRules(database, key, hub, now, (rules) => [...rules.filter(({ name }) => name !== made.name), made]);
  return made;
}

/** The primary key becomes the secondary one, and a new primary key is made. A default rule becomes one of the hub's own. */
export async function rotateRule(
  database: Database,
  key: Buffer,
  { hub, name, defaults }: { readonly hub: string; readonly name: string; readonly defaults: readonly HubRule[] },
  now: Date,
): Promise<HubRule> {
  let rotated: HubRule | undefined;
  await changeRules(database, key, hub, now, (rules) => {
    const before = ruleOf(name, rules, defaults);
    if (before === undefined) throw new Refusal('not_found', `The hub "${hub}" has no rule "${name}".`);
    rotated = { ...before, primaryKey: newRuleKey(), secondaryKey: before.primaryKey };
    return [...rules.filter((rule) => rule.name !== name), rotated];
  });
  return rotated!;
}

/** A default rule that was rotated is as in the settings again. */
export async function deleteRule(database: Database, key: Buffer, hub: string, name: string, now: Date): Promise<void> {
  await changeRules(database, key, hub, now, (rules) => rules.filter((rule) => rule.name !== name));
}

/** Throws Refusal('bad_request'). */
export function checkRule<T extends Pick<HubRule, 'name' | 'rights'> & Partial<HubRule>>(rule: T): T {
  if (!/^[\w.-]{1,256}$/.test(rule.name))
    throw new Refusal('bad_request', `"${rule.name}" cannot be the name of a rule.`);
  if (rule.rights.length === 0 || rule.rights.some((right) => !hubRights.includes(right)))
    throw new Refusal('bad_request', 'A rule has one or more of the rights Listen, Send and Manage.');
  for (const given of [rule.primaryKey, rule.secondaryKey])
    if (given !== undefined && given.length < 16) throw new Refusal('bad_request', 'A key has at least 16 characters.');
  return rule;
}

/** For another write of the hub's row. */
export function sealRules(key: Buffer, hub: string, rules: readonly HubRule[]): Buffer {
  return seal(key, `rules of ${hub}`, JSON.stringify(rules));
}

async function changeRules(
  database: Database,
  key: Buffer,
  hub: string,
  now: Date,
  change: (rules: readonly HubRule[]) => readonly HubRule[],
): Promise<void> {
  await database.transaction(async (tx) => {
    const [row] = await tx.query<Row>(lockAccess, [hub]);
    if (row === undefined) throw new Refusal('not_found', `There is no hub "${hub}".`);
    const rules = change(accessOf(row, key).rules);
    if (rules.length > mostRules)
      throw new Refusal('quota_exceeded', `A hub has at most ${mostRules} rules of its own.`);
    await tx.query(writeRules, [hub, sealRules(key, hub, rules), now]);
  });
}

function accessOf({ name, rules, settings }: Row, key: Buffer): HubAccess {
  // Both were written by this room.
  const own = rules === null ? [] : (JSON.parse(unseal(key, `rules of ${name}`, rules)) as HubRule[]);
  return { hub: name, rules: own, settings: JSON.parse(settings) as HubSettings };
}

function newRuleKey(): string {
  return randomBytes(32).toString('base64');
}
