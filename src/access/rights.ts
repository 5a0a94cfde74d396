// What an identity may do. A grant is a right on an entity pattern: `topic:hr`, `recipient:ada`, `hub:main`, `topic:*`,
// `topic:hr.*` (a `*` at the end matches any rest) or `*` for everything. `manage` includes `send` and `listen`.
import { Refusal } from '../kit/refusal.ts';

export type Right = 'send' | 'listen' | 'manage';
export type Grant = { readonly right: Right; readonly entity: string };

/** Who calls: a program with a key, or a person with a cookie session. */
export type Identity =
  | { readonly kind: 'key'; readonly keyId: string; readonly name: string; readonly grants: readonly Grant[] }
  | { readonly kind: 'admin'; readonly grants: readonly Grant[] }
  | { readonly kind: 'recipient'; readonly recipientId: string; readonly grants: readonly Grant[] };

export function adminIdentity(): Identity {
  return { kind: 'admin', grants: [{ right: 'manage', entity: '*' }] };
}

/** A person reads (`listen`) and changes (`send`) their own things; managing the record itself is the organisation's. */
export function recipientIdentity(recipientId: string): Identity {
  const entity = `recipient:${recipientId}`;
  return {
    kind: 'recipient',
    recipientId,
    grants: [
      { right: 'listen', entity },
      { right: 'send', entity },
    ],
  };
}

export function isAllowed(identity: Identity, right: Right, entity: string): boolean {
  for (const grant of identity.grants) {
    if ((grant.right === right || grant.right === 'manage') && matches(grant.entity, entity, identity.kind))
      return true;
  }
  return false;
}

/** Refuses (`right_missing`) an identity that may not. The refusal says what would be needed. */
export function authorize(identity: Identity, right: Right, entity: string): void {
  if (!isAllowed(identity, right, entity))
    throw new Refusal('right_missing', `This needs the right to ${right} on ${entity}.`, { right, entity });
}

/** A recipient's own id is never a pattern, even where it ends in a star. Names of topics know no case. */
function matches(pattern: string, entity: string, kind: Identity['kind']): boolean {
  if (entity.startsWith('topic:') && pattern.startsWith('topic:')) {
    return matchesExactly(pattern.toLowerCase(), entity.toLowerCase(), kind);
  }
  return matchesExactly(pattern, entity, kind);
}

function matchesExactly(pattern: string, entity: string, kind: Identity['kind']): boolean {
  if (kind !== 'recipient' && pattern.endsWith('*')) return entity.startsWith(pattern.slice(0, -1));
  return pattern === entity;
}

const GRANT = /^(send|listen|manage) (\*|(?:topic|recipient|hub|system):.{1,300})$/;

/** Reads `send topic:hr`. Refuses (`bad_request`) what is no grant. */
export function parseGrant(text: string): Grant {
  const [, right, entity] = GRANT.exec(text) ?? [];
  if (right === undefined || entity === undefined)
    throw new Refusal('bad_request', `"${text}" is no grant; write one such as "send topic:hr" or "manage *".`);
  return { right: right as Right, entity }; // the expression allows only rights
}

export function grantText(grant: Grant): string {
  return `${grant.right} ${grant.entity}`;
}
