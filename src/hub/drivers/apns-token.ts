// APNs provider tokens (ES256 JWT). Apple refuses tokens older than an hour, and senders that make new ones more often than every 20
// minutes; it counts per source address, so every process of a node counts together. Therefore the issue time is not "now" but the start of
// the current 45-minute slot: restarts and sibling processes all carry the same time, and no token is ever older than 45 minutes.

import type { KeyObject } from 'node:crypto';
import { readPrivateKey, signToken } from './jwt.ts';

export type ApnsCredentials = {
  /** 10 characters, from the name of the .p8 file. */
  readonly keyId: string;
  readonly teamId: string;
  /** The .p8 file's text (PKCS#8 PEM, P-256). */
  readonly privateKey: string;
  readonly bundleId: string;
};

const slotMs = 45 * 60_000;
const leastMsBetweenTokens = 20 * 60_000;

export class ProviderToken {
  readonly #credentials: ApnsCredentials;
  readonly #key: KeyObject;
  readonly #now: () => number;
  #token = '';
  #issuedAt = 0;

  /** Throws when the key cannot be read. */
  constructor(credentials: ApnsCredentials, now: () => number = Date.now) {
    this.#credentials = credentials;
    this.#key = readPrivateKey(credentials.privateKey, 'ec');
    this.#now = now;
  }

  current(): string {
    const now = this.#now();
    if (now - this.#issuedAt >= slotMs) this.#sign(Math.max(now - (now % slotMs), this.#earliest()));
    return this.#token;
  }

  /** Apple called `refused` expired. True when there is a newer one now; false when it would come too soon after the last. */
  renew(refused: string): boolean {
    if (this.#token !== refused) return true;
    const now = this.#now();
    if (now < this.#earliest()) return false;
    this.#sign(now);
    return true;
  }

  #earliest(): number {
    return this.#issuedAt + leastMsBetweenTokens;
  }

  #sign(issuedAt: number): void {
    const { keyId, teamId } = this.#credentials;
    this.#issuedAt = issuedAt;
    this.#token = signToken({ alg: 'ES256', kid: keyId }, { iss: teamId, iat: Math.floor(issuedAt / 1000) }, this.#key);
  }
}
