// Who may do what at this door. A client proves that it knows the key of an authorization rule, by a signed token (SAS
// or JWT) or by the key itself (SASL PLAIN, an API key of ours). What it gets is a grant: rights on a path, until a time.
// The namespace has one rule, RootManageSharedAccessKey; topics and queues may have rules of their own.
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Access } from '../../access/access.ts';
import { isAllowed } from '../../access/rights.ts';
import { Refusal } from '../../kit/refusal.ts';
import { isExpired, isSignedBy, parseSasToken } from '../../kit/sas.ts';
import { bare, parseAddress, type Topics } from './address.ts';
import type { EntityRecords } from './entity-records.ts';

export const ROOT_RULE = 'RootManageSharedAccessKey';

export type Right = 'Send' | 'Listen' | 'Manage';

export type AuthorizationRule = {
  readonly keyName: string;
  readonly rights: readonly Right[];
  readonly primaryKey: string;
  readonly secondaryKey: string;
  readonly createdAt: string;
};

export type Grant = {
  /** What it covers: this path in lower case and everything below it; empty for all. */
  readonly path: string;
  readonly rights: readonly Right[];
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
};

export type AuthorityDeps = {
  readonly access: Access;
  readonly records: EntityRecords;
  readonly topics: Topics;
  /** The keys of RootManageSharedAccessKey at this moment. */
  readonly rootKeys: () => Promise<readonly string[]>;
  readonly now: () => Date;
};

const ALL: readonly Right[] = ['Send', 'Listen', 'Manage'];
/** API keys are looked up again this often. */
const API_KEY_LASTS_MS = 60 * 60 * 1000;

export class Authority {
  readonly #deps: AuthorityDeps;

  constructor(deps: AuthorityDeps) {
    this.#deps = deps;
  }

  /**
   * Checks a shared access signature for `audience`. Refuses with `key_missing`. `host`: as the client calls us, which
   * some tokens begin with, without a scheme.
   */
  async bySas(text: string, audience: string, host?: string): Promise<Grant> {
    const token = parseSasToken(text);
    if (!token) throw unauthorized('The token is no shared access signature.');
    if (isExpired(token, this.#deps.now())) throw unauthorized('ExpiredToken: the token has expired.');
    const isBare = host !== undefined && `${token.resource}/`.toLowerCase().startsWith(`${host.toLowerCase()}/`);
    const [wanted, covered] = [pathOfUri(audience), pathOfUri(isBare ? `sb://${token.resource}` : token.resource)];
    if (!covers(covered, wanted)) throw unauthorized('InvalidAudience: the token is for another entity.');
    for (const { keys, rights } of await this.#rules(token.keyName, wanted))
      if (keys.some((key) => isSignedBy(token, key)))
        return { path: wanted, rights, expiresAt: Number(token.expiry) * 1000 };
    throw unauthorized('InvalidSignature: The token has an invalid signature.');
  }

  /** A JWT signed with a rule's key (HS256, `kid` = the rule's name), or an API key of Carillon. */
  async byBearer(token: string, audience: string): Promise<Grant> {
    const wanted = pathOfUri(audience);
    const jwt = parseJwt(token);
    return jwt ? this.#byJwt(jwt, wanted) : this.#byApiKey(token, wanted);
  }

  async #byJwt(jwt: Jwt, wanted: string): Promise<Grant> {
    if (jwt.expiresAt <= this.#deps.now().getTime()) throw unauthorized('ExpiredToken: the token has expired.');
    for (const { keys, rights } of await this.#rules(jwt.keyName, wanted))
      if (keys.some((key) => isJwtSignedBy(jwt, key))) return { path: wanted, rights, expiresAt: jwt.expiresAt };
    throw unauthorized('InvalidSignature: The token has an invalid signature.');
  }

  async #byApiKey(secret: string, wanted: string): Promise<Grant> {
    const identity = await this.#deps.access.byKey(secret);
    if (!identity) throw unauthorized('The token is neither a JWT nor an API key.');
    const entity = wanted === '' ? '*' : `topic:${parseAddress(wanted).entity}`;
    const rights = ALL.filter((right) =>
      isAllowed(identity, right.toLowerCase() as 'send' | 'listen' | 'manage', entity),
    );
    return { path: wanted, rights, expiresAt: this.#deps.now().getTime() + API_KEY_LASTS_MS };
  }

  /** SASL PLAIN: the rule's name and key. Grants are for the whole connection; none means refused. */
  async byPlain(keyName: string, key: string): Promise<Grant[]> {
    if (keyName === ROOT_RULE)
      return (await this.#deps.rootKeys()).some((each) => sameText(each, key))
        ? [{ path: '', rights: ALL, expiresAt: Infinity }]
        : [];
    const named = await this.#deps.records.rulesNamed(keyName);
    const matching = named.filter(({ rule }) => keysOf(rule).some((each) => sameText(each, key)));
    return matching.flatMap(({ topic, rule }) => {
      const name = this.#deps.topics.nameOf(topic);
      return name === undefined ? [] : [{ path: name.toLowerCase(), rights: rule.rights, expiresAt: Infinity }];
    });
  }

  async #rules(keyName: string, path: string): Promise<{ keys: readonly string[]; rights: readonly Right[] }[]> {
    if (keyName === ROOT_RULE) return [{ keys: await this.#deps.rootKeys(), rights: ALL }];
    const { entity } = parseAddress(path);
    if (!this.#deps.topics.find(entity)) await this.#deps.topics.seek();
    const topic = this.#deps.topics.find(entity);
    if (!topic) return [];
    const { rules } = await this.#deps.records.get(topic.id);
    return rules
      .filter((rule) => rule.keyName === keyName)
      .map((rule) => ({ keys: keysOf(rule), rights: rule.rights }));
  }
}

/** Whether one of the grants gives the right on the path at this time. Manage includes the others. */
export function isGranted(grants: Iterable<Grant>, right: Right, path: string, now: Date): boolean {
  const wanted = path.toLowerCase();
  for (const grant of grants) {
    const enough = grant.rights.includes(right) || grant.rights.includes('Manage');
    if (enough && grant.expiresAt > now.getTime() && covers(grant.path, wanted)) return true;
  }
  return false;
}

function keysOf(rule: AuthorizationRule): readonly string[] {
  return [rule.primaryKey, rule.secondaryKey];
}

/** `sb://host/topic/subscriptions/s/$management` and its like as the entity's path in lower case. */
export function pathOfUri(uri: string): string {
  const path = bare(uri.replace(/\?.*$/, '')).toLowerCase();
  return path.replace(/\/?\$management$/, '');
}

function covers(covering: string, path: string): boolean {
  return covering === '' || covering === path || path.startsWith(`${covering}/`);
}

function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHmac('sha256', 'compare').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

type Jwt = {
  readonly keyName: string;
  readonly expiresAt: number;
  readonly signed: string;
  readonly signature: Buffer;
};

function parseJwt(token: string): Jwt | undefined {
  const [head, claims, signature, ...rest] = token.split('.');
  if (!head || !claims || !signature || rest.length > 0 || token.length > 16_384) return undefined;
  const header = jsonOf(head);
  const exp = jsonOf(claims)?.exp;
  if (header?.alg !== 'HS256' || typeof exp !== 'number') return undefined;
  const keyName = typeof header.kid === 'string' ? header.kid : ROOT_RULE;
  return {
    keyName,
    expiresAt: exp * 1000,
    signed: `${head}.${claims}`,
    signature: Buffer.from(signature, 'base64url'),
  };
}

function jsonOf(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined; // Not JSON, so not a JWT.
  }
}

function isJwtSignedBy(jwt: Jwt, key: string): boolean {
  const expected = createHmac('sha256', key).update(jwt.signed).digest();
  return jwt.signature.length === expected.length && timingSafeEqual(expected, jwt.signature);
}

function unauthorized(words: string): Refusal {
  return new Refusal('key_missing', words);
}
