// VAPID (RFC 8292): who we are, as a signed token per push service origin. One token serves all pushes to that origin for half a day;
// signing one per message, as some libraries do, costs more than encrypting it.

import { createECDH, createPrivateKey, type KeyObject } from 'node:crypto';
import { Refusal } from '../../kit/refusal.ts';
import { signToken } from './jwt.ts';

export type VapidCredentials = {
  /** base64url, 65 bytes: the `applicationServerKey` that pages subscribe with. */
  readonly publicKey: string;
  /** base64url, 32 bytes. */
  readonly privateKey: string;
  /** `mailto:` or `https:`: whom the push service's people may write to. Mozilla and Apple insist on it. */
  readonly subject: string;
};

const lifeMs = 12 * 3600_000;
const renewBeforeMs = 3600_000;

export class Vapid {
  readonly #credentials: VapidCredentials;
  readonly #key: KeyObject;
  readonly #now: () => number;
  readonly #tokens = new Map<string, { readonly value: string; readonly renewAt: number }>();

  /** Throws Refusal when the keys do not belong together or the subject is no address. */
  constructor(credentials: VapidCredentials, now: () => number = Date.now) {
    if (!/^(mailto:|https:\/\/).+/.test(credentials.subject))
      throw new Refusal('bad_request', 'The VAPID subject must be a mailto: or https: address.');
    this.#credentials = credentials;
    this.#key = readVapidKey(credentials);
    this.#now = now;
  }

  /** The value of the `authorization` field for a push service. `origin`: `https://host[:port]`. */
  authorization(origin: string): string {
    const known = this.#tokens.get(origin);
    if (known !== undefined && known.renewAt > this.#now()) return known.value;
    const expiresAt = this.#now() + lifeMs;
    const claims = { aud: origin, exp: Math.floor(expiresAt / 1000), sub: this.#credentials.subject };
    const token = signToken({ typ: 'JWT', alg: 'ES256' }, claims, this.#key);
    const value = `vapid t=${token}, k=${this.#credentials.publicKey}`;
    // Origins come from devices: a stranger must not make us remember thousands.
    if (this.#tokens.size >= 1000) this.#tokens.clear();
    this.#tokens.set(origin, { value, renewAt: expiresAt - renewBeforeMs });
    return value;
  }
}

/** A new key pair for a hub. */
export function makeVapidKeys(): { readonly publicKey: string; readonly privateKey: string } {
  const ecdh = createECDH('prime256v1');
  const publicKey = ecdh.generateKeys().toString('base64url');
  // A number that begins with zero bytes (one in 256 does) comes without them.
  const number = ecdh.getPrivateKey();
  const privateKey = Buffer.concat([Buffer.alloc(32 - number.length), number]).toString('base64url');
  return { publicKey, privateKey };
}

function readVapidKey({ publicKey, privateKey }: VapidCredentials): KeyObject {
  const point = Buffer.from(publicKey, 'base64url');
  const secret = Buffer.from(privateKey, 'base64url');
  try {
    const ecdh = createECDH('prime256v1');
    ecdh.setPrivateKey(secret);
    if (!ecdh.getPublicKey().equals(point)) throw new Error('they do not belong together');
    const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((part) => part.toString('base64url'));
    return createPrivateKey({
      key: { kty: 'EC', crv: 'P-256', x: x!, y: y!, d: secret.toString('base64url') },
      format: 'jwk',
    });
  } catch (cause) {
    throw new Refusal('bad_request', 'The VAPID keys are not a P-256 key pair in base64url.', {}, cause);
  }
}
