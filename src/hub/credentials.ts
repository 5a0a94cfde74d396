// Credentials as an operator gives them: what nobody knows is dropped, so that Google's key file can be given as it is; and
// what of them may be shown.

import { Refusal } from '../kit/refusal.ts';
import type { Platform } from './drivers/driver.ts';
import type { HubCredentials } from './hubs.ts';
import { pushPlatforms } from './lanes.ts';

const members: Readonly<Record<Platform, readonly string[]>> = {
  apns: ['keyId', 'teamId', 'privateKey', 'bundleId', 'environment', 'endpoint'],
  fcmv1: ['project_id', 'client_email', 'private_key', 'private_key_id', 'token_uri', 'endpoint'],
  wns: ['packageSid', 'secret', 'tenantId', 'appId', 'tokenUrl', 'allowedHosts', 'ca'],
  browser: ['publicKey', 'privateKey', 'subject', 'allowPrivate', 'ca'],
};
const shown: Readonly<Record<Platform, readonly string[]>> = {
  apns: ['keyId', 'teamId', 'bundleId', 'environment'],
  fcmv1: ['project_id', 'client_email'],
  wns: ['packageSid', 'tenantId', 'appId'],
  browser: ['publicKey', 'subject'],
};

/** Whether they work is checked when they are set. */
export function readCredentials<P extends Platform>(
  platform: P,
  given: Readonly<Record<string, unknown>>,
): NonNullable<HubCredentials[P]> {
  const known = members[platform].filter((name) => given[name] !== undefined && given[name] !== null);
  // setCredentials checks them before they are used.
  return Object.fromEntries(known.map((name) => [name, given[name]])) as unknown as NonNullable<HubCredentials[P]>;
}

export function parsePlatform(text: string): Platform {
  const platform = pushPlatforms.find((each) => each === text.toLowerCase());
  if (platform !== undefined) return platform;
  throw new Refusal('bad_request', `There is no platform "${text}"; there are ${pushPlatforms.join(', ')}.`);
}

/** Without secrets, by platform. */
export function shownCredentials(credentials: HubCredentials): Partial<Record<Platform, Record<string, string>>> {
  return Object.fromEntries(
    pushPlatforms.flatMap((platform) => {
      const given = credentials[platform] as Readonly<Record<string, unknown>> | undefined; // looked into by name
      if (given === undefined) return [];
      const names = shown[platform].filter((name) => typeof given[name] === 'string');
      return [[platform, Object.fromEntries(names.map((name) => [name, given[name] as string]))]];
    }),
  );
}
