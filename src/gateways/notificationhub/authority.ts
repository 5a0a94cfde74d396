// Who may do what at the hub's door, by shared access signature.

import { type HubRight, type HubRule, ruleOf } from '../../hub/rules.ts';
import { isExpired, isSignedBy, parseSasToken } from '../../kit/sas.ts';
import { DoorError } from './answers.ts';

/** Clocks differ. */
const skewMs = 5 * 60_000;

export type Rules = { readonly own: readonly HubRule[]; readonly defaults: readonly HubRule[] };

/** Throws DoorError 401 or 403. `path` is the request's, without its query, decoded. */
export function authorizeSas(
  { own, defaults }: Rules,
  header: string | undefined,
  path: string,
  right: HubRight,
  now: Date,
): void {
  const token = header === undefined ? undefined : parseSasToken(header);
  if (token === undefined) throw new DoorError(401, 'MissingToken: The request has no shared access signature.');
  const rule = ruleOf(token.keyName, own, defaults);
  const keys = [rule?.primaryKey, rule?.secondaryKey].filter((key) => key !== undefined);
  if (rule === undefined || !keys.some((key) => isSignedBy(token, key)))
    throw new DoorError(401, 'InvalidSignature: The token has an invalid signature.');
  if (isExpired(token, new Date(now.getTime() - skewMs)))
    throw new DoorError(401, 'ExpiredToken: The token is expired.');
  if (!covers(token.resource, path)) throw new DoorError(401, 'InvalidAudience: The token is for another resource.');
  if (rule.rights.includes(right)) return;
  throw new DoorError(right === 'Manage' ? 401 : 403, `${right} claim is required for this operation.`);
}

/** SDKs write scheme, host, port and query each in their own way; what counts is the path, whole segments of it. */
function covers(resource: string, path: string): boolean {
  const found = /^\w+:\/\/[^/?#]+([^?#]*)/.exec(resource);
  if (found === null) return false;
  const prefix = plain(found[1]!);
  const asked = plain(path);
  return asked === prefix || asked.startsWith(`${prefix}/`);
}

/** Java signs its paths as they stand in the request, where some signs are encoded and some are not. */
function plain(path: string): string {
  let decoded = path;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    // It has a percent sign of its own.
  }
  return decoded.replace(/\/+$/, '').toLowerCase();
}
