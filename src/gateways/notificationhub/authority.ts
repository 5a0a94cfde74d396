// Who may do what at the hub's door: the two rules that every hub has, by shared access signature. The Listen key is what
// apps carry, so it is derived from the full one and never the same.

import { createHmac } from 'node:crypto';
import { isExpired, isSignedBy, parseSasToken } from '../../kit/sas.ts';
import { DoorError } from './answers.ts';

export type HubRight = 'Listen' | 'Send' | 'Manage';
export type HubRule = { readonly name: string; readonly key: string; readonly rights: readonly HubRight[] };

/** Clocks differ. */
const skewMs = 5 * 60_000;

export function defaultRules(fullKey: string): HubRule[] {
  const listen = 'DefaultListenSharedAccessSignature';
  const listenKey = createHmac('sha256', fullKey).update(listen).digest('base64');
  return [
    { name: 'DefaultFullSharedAccessSignature', key: fullKey, rights: ['Listen', 'Send', 'Manage'] },
    { name: listen, key: listenKey, rights: ['Listen'] },
  ];
}

/** Throws DoorError 401 or 403. `path` is the request's, without its query. */
export function authorizeSas(
  rules: readonly HubRule[],
  header: string | undefined,
  path: string,
  right: HubRight,
  now: Date,
): void {
  const token = header === undefined ? undefined : parseSasToken(header);
  if (token === undefined) throw new DoorError(401, 'MissingToken: The request has no shared access signature.');
  const rule = rules.find(({ name }) => name === token.keyName);
  if (rule === undefined || !isSignedBy(token, rule.key))
    throw new DoorError(401, 'InvalidSignature: The token has an invalid signature.');
  if (isExpired(token, new Date(now.getTime() - skewMs)))
    throw new DoorError(401, 'ExpiredToken: The token is expired.');
  if (!covers(token.resource, path)) throw new DoorError(401, 'InvalidAudience: The token is for another resource.');
  if (rule.rights.includes(right)) return;
  throw new DoorError(right === 'Manage' ? 401 : 403, `${right} claim is required for this operation.`);
}

/** SDKs write scheme, host, port and query each in their own way; what counts is the path, whole segments of it. */
function covers(resource: string, path: string): boolean {
  const url = URL.parse(resource.replace(/^\w+:\/\//, 'https://'));
  if (url === null) return false;
  const prefix = url.pathname.replace(/\/+$/, '').toLowerCase();
  const asked = path.replace(/\/+$/, '').toLowerCase();
  return asked === prefix || asked.startsWith(`${prefix}/`);
}
