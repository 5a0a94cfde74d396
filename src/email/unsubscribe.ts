// One-click unsubscribe (RFC 8058). The link names recipient and category and carries an HMAC, so it works without a
// sign-in, for years, and only for the one thing it says. A GET must change nothing (scanners of mail gateways follow
// every link); mail clients POST to it, and people press a button on the page that a GET shows.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { Refusal } from '../kit/refusal.ts';

export type Unsubscribe = { readonly recipientId: string; readonly category: string };

/** Secrets, the newest first: it signs; links that older ones signed stay valid. At least 16 bytes each. */
export type UnsubscribeKeys = readonly [Uint8Array, ...Uint8Array[]];

const PURPOSE = 'carillon unsubscribe 1\n';

/** The path that the link of a mail leads to, under the public address: `/v1/unsubscribe/<token>`. */
export function unsubscribePath(what: Unsubscribe, keys: UnsubscribeKeys): string {
  return `/v1/unsubscribe/${signUnsubscribe(what, keys)}`;
}

export function signUnsubscribe(what: Unsubscribe, keys: UnsubscribeKeys): string {
  const payload = Buffer.from(JSON.stringify([what.recipientId, what.category])).toString('base64url');
  return `${payload}.${mac(payload, keys[0]).toString('base64url')}`;
}

/** What a token says. Throws `unsubscribe_link_invalid` unless one of our keys signed it. */
export function verifyUnsubscribe(token: string, keys: UnsubscribeKeys): Unsubscribe {
  const [payload = '', signature = '', ...rest] = token.split('.');
  const given = Buffer.from(signature, 'base64url');
  if (rest.length > 0 || !keys.some((key) => sameBytes(given, mac(payload, key)))) {
    throw new Refusal('unsubscribe_link_invalid', 'The link is incomplete, or was not made by this server.');
  }
  // Ours, as the signature says: so it is the pair that was signed.
  const [recipientId, category] = JSON.parse(Buffer.from(payload, 'base64url').toString()) as [string, string];
  return { recipientId, category };
}

/** Carries out what the token says and returns it. Idempotent as far as `switchOff` is. */
export async function unsubscribe(
  deps: { readonly keys: UnsubscribeKeys; readonly switchOff: (what: Unsubscribe) => Promise<void> },
  token: string,
): Promise<Unsubscribe> {
  const what = verifyUnsubscribe(token, deps.keys);
  await deps.switchOff(what);
  return what;
}

function mac(payload: string, key: Uint8Array): Buffer {
  return createHmac('sha256', key).update(PURPOSE).update(payload).digest();
}

function sameBytes(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
