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

/**
 * Reads a PEM that may have lost its line breaks on the way through an environment variable. Throws for what is none, and
 * for a key that cannot sign as its service wants it: ES256 is of P-256 keys (`ec`), RS256 of `rsa`.
 */
export function readPrivateKey(pem: string, type: 'ec' | 'rsa'): KeyObject {
  const key = readKey(pem);
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (key.asymmetricKeyType === type && (type === 'rsa' || curve === 'prime256v1')) return key;
  throw new Error(`the private key is of another kind (${curve ?? key.asymmetricKeyType}) than its service signs with`);
}

function readKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem.replaceAll('\\n', '\n'));
  } catch (cause) {
    throw new Error('the private key is no key in PEM form (-----BEGIN PRIVATE KEY-----)', { cause });
  }
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
