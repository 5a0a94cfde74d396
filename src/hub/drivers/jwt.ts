// Signing JSON Web Tokens (RFC 7515): three lines of node:crypto, one token per hour or so; no library needed.

import { createPrivateKey, type KeyObject, sign } from 'node:crypto';

/** ES256 needs a P-256 key, RS256 an RSA key. */
export function signToken(
  header: Readonly<Record<string, unknown>> & { readonly alg: 'ES256' | 'RS256' },
  claims: Readonly<Record<string, unknown>>,
  key: KeyObject,
): string {
  const text = `${encode(header)}.${encode(claims)}`;
  // JWS wants r||s, not DER (RFC 7518 section 3.4); for RSA the option has no meaning.
  const signature = sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' });
  return `${text}.${signature.toString('base64url')}`;
}

/** Reads a PEM that may have lost its line breaks on the way through an environment variable. Throws what node:crypto throws. */
export function readPrivateKey(pem: string): KeyObject {
  return createPrivateKey(pem.replaceAll('\\n', '\n'));
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
