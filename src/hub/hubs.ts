// Hubs: one per mobile app, with the credentials of its push services, which lie encrypted in the database. Whoever
// holds drivers looks every few seconds, and builds those anew whose credentials have changed.

import { type Database, type Sql, statement } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import { seal, unseal } from '../kit/sealing.ts';
import type { ApnsCredentials } from './drivers/apns-token.ts';
import type { FcmCredentials } from './drivers/fcm.ts';
import { makeVapidKeys, type VapidCredentials } from './drivers/vapid.ts';
import type { WnsCredentials } from './drivers/wns.ts';

/** Where a push service really is, for stand-ins and relays; `ca`: PEM to trust there. */
export type PushEndpoint = { readonly host: string; readonly port: number; readonly ca?: string };

/** By the platform's name on the wire. A platform without credentials cannot be pushed to. */
export type HubCredentials = {
  readonly apns?: ApnsCredentials & {
    readonly environment: 'production' | 'sandbox';
    readonly endpoint?: PushEndpoint;
  };
  /** The members of Google's service account key file. */
  readonly fcmv1?: FcmCredentials & { readonly endpoint?: PushEndpoint };
  readonly wns?: WnsCredentials & {
    readonly tokenUrl?: string;
    readonly allowedHosts?: readonly string[];
    readonly ca?: string;
  };
  /**
   * `allowPrivate`: push services inside the own network are allowed. `origins`: what is meant for one origin goes to
   * another, for browsers under test, which invent addresses on their vendor's.
   */
  readonly browser?: VapidCredentials & {
    readonly allowPrivate?: boolean;
    readonly ca?: string;
    readonly origins?: Readonly<Record<string, string>>;
  };
};

export type Hub = { readonly name: string; readonly credentials: HubCredentials };

export const hubNamePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

const findOne = statement('hub.find', 'select name, sealed from hub where name = $1');
const lockOne = statement('hub.lock', 'select name, sealed from hub where name = $1 for update');
const writeHubRow = statement(
  'hub.write',
  `insert into hub (name, sealed, created_at, updated_at) values ($1, $2, $3, $3)
   on conflict (name) do update set sealed = excluded.sealed, version = hub.version + 1, updated_at = excluded.updated_at`,
);

export type HubRow = { readonly name: string; readonly sealed: Buffer };

/** Refuses (`invalid_name`). */
export function checkHubName(name: string): string {
  if (!hubNamePattern.test(name)) throw new Refusal('invalid_name', `"${name}" cannot be the name of a hub.`);
  return name;
}

/** Undefined when there is no such hub. Throws when the credentials were sealed with another key. */
export async function findHub(sql: Sql, key: Buffer, name: string): Promise<Hub | undefined> {
  const row = await findHubRow(sql, name);
  return row && hubOf(row, key);
}

export async function findHubRow(sql: Sql, name: string): Promise<HubRow | undefined> {
  return (await sql.query<HubRow>(findOne, [name]))[0];
}

/**
 * Makes the hub or gives it these credentials, platform by platform: what is not named stays. Keys for Web Push need no
 * account, so a hub that has none makes its own, with `subject` as the address for the push services' people.
 * Changes nothing, not even the version, when all is as wanted.
 */
export async function ensureHub(
  database: Database,
  key: Buffer,
  given: { readonly name: string; readonly credentials: HubCredentials; readonly subject: string },
  now: Date,
): Promise<void> {
  const { name, credentials, subject } = given;
  checkHubName(name);
  await database.transaction(async (tx) => {
    const [row] = await tx.query<HubRow>(lockOne, [name]);
    const before = row === undefined ? {} : hubOf(row, key).credentials;
    const wanted: HubCredentials = { ...before, ...credentials };
    const whole = wanted.browser === undefined ? { ...wanted, browser: { ...makeVapidKeys(), subject } } : wanted;
    const text = JSON.stringify(whole);
    if (row !== undefined && JSON.stringify(before) === text) return;
    await tx.query(writeHubRow, [name, seal(key, name, text), now]);
  });
}

/** Throws Refusal('invalid_setting') when it was sealed with another key. */
export function hubOf(row: HubRow, key: Buffer): Hub {
  return { name: row.name, credentials: readSealed(row, key) };
}

function readSealed({ name, sealed }: HubRow, key: Buffer): HubCredentials {
  try {
    // Both who write it seal credentials: ensureHub here, and hub-admin.ts.
    return JSON.parse(unseal(key, name, sealed)) as HubCredentials;
  } catch (cause) {
    const words =
      `The credentials of the hub "${name}" were encrypted under another link key than this node has. ` +
      'Nodes that share a database need the same CARILLON_LINK_KEY.';
    throw new Refusal('invalid_setting', words, {}, cause);
  }
}
