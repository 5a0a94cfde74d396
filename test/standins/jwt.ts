// Reading and checking JSON Web Tokens as a push service does. Apart from the drivers on purpose: a stand-in that shared their code
// would share their mistakes.

import { createPublicKey, type KeyObject, verify } from 'node:crypto';

export type ReadToken = {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly signed: Buffer;
  readonly signature: Buffer;
};

export function readToken(text: string): ReadToken | undefined {
  const [header, claims, signature, more] = text.split('.');
  if (header === undefined || claims === undefined || signature === undefined || more !== undefined) return undefined;
  try {
    return {
      header: JSON.parse(Buffer.from(header, 'base64url').toString()) as Record<string, unknown>,
      claims: JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, unknown>,
      signed: Buffer.from(`${header}.${claims}`),
      signature: Buffer.from(signature, 'base64url'),
    };
  } catch {
    return undefined;
  }
}

export function signedBy(token: ReadToken, key: KeyObject): boolean {
  if (token.header.alg === 'ES256')
    return verify('sha256', token.signed, { key, dsaEncoding: 'ieee-p1363' }, token.signature);
  return token.header.alg === 'RS256' && verify('sha256', token.signed, key, token.signature);
}

/** A P-256 public key from its 65 uncompressed bytes. */
export function p256PublicKey(point: Buffer): KeyObject | undefined {
  if (point.length !== 65 || point[0] !== 4) return undefined;
  const x = point.subarray(1, 33).toString('base64url');
  const y = point.subarray(33).toString('base64url');
  try {
    return createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y }, format: 'jwk' });
  } catch {
    return undefined;
  }
}
