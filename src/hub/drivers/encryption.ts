// Message encryption for Web Push (RFC 8291 over RFC 8188, one record, aes128gcm).
//
// Cost decides the speed of Web Push: of some 130 us per message the key agreement takes 100 (key-agreement.ts). About the rest:
//  - `createSecretKey` before `createCipheriv`: with a bare buffer node 24 spends 25 us more on finding out that it is no KeyObject.
//  - HMAC from two one-shot hashes: a Hmac object of node costs 20 us, `crypto.hash` 1.2 us, and a message needs five HMACs.
// Every message has a key pair of its own, as RFC 8291 section 3.1 wants it. Sharing one among the messages of a job would save a sixth,
// but whoever gets hold of that one private key would read the whole job, and a push service could tell which subscriptions it addressed.

import { type CipherGCM, createCipheriv, createSecretKey, hash, randomFillSync } from 'node:crypto';
import { type KeyAgreement, keyAgreement } from './key-agreement.ts';

export type RecipientKeys = {
  /** 65 bytes, uncompressed P-256 point (`p256dh`). */
  readonly p256dh: Buffer;
  /** 16 bytes (`auth`). */
  readonly auth: Buffer;
};

/** 4096 bytes of body less header (86), tag (16) and delimiter (1). */
export const maxPlaintextBytes = 3993;

const keyInfo = Buffer.from('Content-Encoding: aes128gcm\0\x01');
const nonceInfo = Buffer.from('Content-Encoding: nonce\0\x01');
const webPushInfo = Buffer.from('WebPush: info\0');
const recordSize = 4096;
const headerBytes = 86;
const one = Buffer.from([1]);
// Scratch space of `hmac`, which never yields: fresh buffers would cost as much as the hashes.
const innerScratch = Buffer.alloc(64 + 256);
const outerScratch = Buffer.alloc(64 + 32);

export class Encryption {
  readonly #newAgreement: () => KeyAgreement;
  readonly #sender: Buffer | undefined;
  #agreement: KeyAgreement | undefined;
  /** Random bytes are drawn in bulk: a call per salt would cost as much as its hash. */
  readonly #salts = Buffer.alloc(16 * 256);
  #saltAt = this.#salts.length;

  /** `sender`: a fixed private key, for the test vectors alone. */
  constructor(newAgreement = keyAgreement, sender?: Buffer) {
    this.#newAgreement = newAgreement;
    this.#sender = sender;
  }

  /** The body of the push. Throws when the recipient's key is no point of the curve, or when something fails within. */
  seal(text: string | Buffer, keys: RecipientKeys, salt: Buffer = this.#salt()): Buffer {
    this.#agreement ??= this.#newAgreement();
    const sender = this.#agreement.renew(this.#sender);
    const secret = this.#agreement.secretWith(keys.p256dh);
    const ikm = expand(keys.auth, secret, Buffer.concat([webPushInfo, keys.p256dh, sender, one]));
    const prk = hmac(salt, ikm);
    const key = hmac(prk, keyInfo).subarray(0, 16);
    const nonce = hmac(prk, nonceInfo).subarray(0, 12);
    return assemble(salt, sender, createCipheriv('aes-128-gcm', createSecretKey(key), nonce), text);
  }

  /** To be called after every batch: what the key agreement holds outside JavaScript is not collected. The next one begins anew. */
  rest(): void {
    this.#agreement?.close();
    this.#agreement = undefined;
  }

  #salt(): Buffer {
    if (this.#saltAt === this.#salts.length) {
      randomFillSync(this.#salts);
      this.#saltAt = 0;
    }
    this.#saltAt += 16;
    return this.#salts.subarray(this.#saltAt - 16, this.#saltAt);
  }
}

function assemble(salt: Buffer, sender: Buffer, cipher: CipherGCM, text: string | Buffer): Buffer {
  // The delimiter goes along with the text: each call into the cipher costs some microseconds.
  const plain = Buffer.allocUnsafe(Buffer.byteLength(text) + 1);
  if (typeof text === 'string') plain.write(text);
  else text.copy(plain);
  plain[plain.length - 1] = 2;
  const body = Buffer.allocUnsafe(headerBytes + plain.length + 16);
  salt.copy(body, 0);
  body.writeUInt32BE(recordSize, 16);
  body[20] = sender.length;
  sender.copy(body, 21);
  cipher.update(plain).copy(body, headerBytes);
  cipher.final();
  cipher.getAuthTag().copy(body, headerBytes + plain.length);
  return body;
}

/** HKDF-SHA-256 of 32 bytes: extract, then the first block of expand (`info` already ends in 0x01). */
function expand(salt: Buffer, ikm: Buffer, info: Buffer): Buffer {
  return hmac(hmac(salt, ikm), info);
}

/** HMAC-SHA-256 (RFC 2104) for keys of at most 64 bytes (ours have 16 or 32) and messages of at most 256. */
export function hmac(key: Buffer, message: Buffer): Buffer {
  innerScratch.fill(0x36, key.length, 64);
  outerScratch.fill(0x5c, key.length, 64);
  for (let i = 0; i < key.length; i += 1) {
    innerScratch[i] = key[i]! ^ 0x36;
    outerScratch[i] = key[i]! ^ 0x5c;
  }
  message.copy(innerScratch, 64);
  hash('sha256', innerScratch.subarray(0, 64 + message.length), 'buffer').copy(outerScratch, 64);
  return hash('sha256', outerScratch, 'buffer');
}
