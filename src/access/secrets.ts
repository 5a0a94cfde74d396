// Secrets are 256 random bits. Only their SHA-256 is kept, so a copy of the database opens nothing.
import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

/** A new secret that begins with `prefix`, so that people and secret scanners see what it is. */
export function freshSecret(prefix: 'crl_key' | 'crl_link' | 'crl_session'): string {
  return `${prefix}_${randomBytes(32).toString('base64url')}`;
}

export function hashSecret(secret: string): Buffer {
  return hash('sha256', secret, 'buffer');
}

/** Takes the same time wherever the two differ. */
export function sameHash(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
