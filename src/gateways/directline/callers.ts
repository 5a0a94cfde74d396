// Who calls Direct Line: a page with a token for one conversation, or a backend with a key that may send to the person.
import { authorize, type Identity } from '../../access/rights.ts';
import { findConversation } from '../../assistant/conversations/conversation.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { Door } from './door.ts';
import { checkKeyOrigin, checkOrigin } from './origins.ts';
import type { Request } from './routing.ts';
import type { Claims } from './tokens.ts';

export type Caller =
  | { readonly kind: 'token'; readonly claims: Claims }
  | { readonly kind: 'key'; readonly identity: Identity };

/** Refuses `key_missing` (401) without anything, `token_invalid` or `origin_refused` (403) with the wrong thing. */
export async function callerOf(door: Door, request: Request): Promise<Caller> {
  const [, secret] = /^bearer +(\S+) *$/i.exec(request.headers.authorization ?? '') ?? [];
  if (secret === undefined)
    throw new Refusal(
      'key_missing',
      'Send a token as "Authorization: Bearer <token>"; POST /tokens/generate makes one.',
    );
  const { origin, host } = request.headers;
  if (secret.split('.').length === 3) {
    const claims = await door.tokens.verify(secret);
    checkOrigin(door.origins, { origin, host }, claims.origins);
    return { kind: 'token', claims };
  }
  const identity = await door.access.byKey(secret);
  if (!identity) throw new Refusal('token_invalid', 'This is neither a token nor a key of this server.');
  checkKeyOrigin(door.origins, request);
  return { kind: 'key', identity };
}

/** `identity`: of the key, where a backend speaks. */
export type SpeakerClaims = Claims & { readonly identity?: Identity };

/** Who speaks in this conversation. A key speaks for the person whose conversation it is. */
export async function speakerOf(door: Door, request: Request, conversationId: string): Promise<SpeakerClaims> {
  const caller = await callerOf(door, request);
  if (caller.kind === 'token') {
    if (caller.claims.conversationId === conversationId) return caller.claims;
    throw new Refusal('token_invalid', 'The token is for another conversation.');
  }
  const { recipientId } = await findConversation(door.exchange.database, conversationId);
  authorize(caller.identity, 'send', `recipient:${recipientId}`);
  const { identity } = caller;
  return { conversationId, user: recipientId, sid: '', expiresAt: Number.POSITIVE_INFINITY, identity };
}
