// The two operations on the curve P-256 that take most of the time of a Web Push: a new key pair, and the secret it shares with a browser.
//
// node's own ECDH is right but does the work twice: `computeSecret` checks its key pair before each use, which costs more than the
// secret itself (277 us for both operations here, of which 100 are needed). Its other ways spend as much on reading and writing keys.
// So the functions of OpenSSL that node brings along are called directly, by koffi: the same code, on a key pair that was made a moment
// ago. EC_POINT_mul takes the same time whatever the secret is, as it does for node, and a browser's point is checked to be on the
// curve, which is all there is to check on a curve of prime order (RFC 8291 section 7, SP 800-56A section 5.6.2.3.4).
// Where that cannot be done (no koffi for the machine, other symbols, FIPS mode), or does not come to the same, node does it.

import { createECDH, getFips } from 'node:crypto';
import { createRequire } from 'node:module';

const publicKeyBytes = 65;
const secretBytes = 32;

export type KeyAgreement = {
  /** A new key pair, used from here on. Returns its public key: 65 bytes, uncompressed. `privateKey`: for test vectors alone. */
  renew(privateKey?: Buffer): Buffer;
  /** 32 bytes. Throws when `peer` is no such public key (see `isPublicKey`), when there is no key pair yet, or within. */
  secretWith(peer: Buffer): Buffer;
  /** Forgets the key pair and gives back what is held outside JavaScript, which is not collected. Twice is harmless. */
  close(): void;
};

const prime = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
const b = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;

/**
 * Whether the key is a point of P-256 (SP 800-186 section 3.2.1.3: y² = x³ - 3x + b). Asked when an agreement has failed, to
 * tell a key that can never do from a fault that passes. It knows nothing of what failed, so that it cannot fail with it.
 */
export function isPublicKey(key: Buffer): boolean {
  if (key.length !== publicKeyBytes || key[0] !== uncompressed) return false;
  const [x, y] = [BigInt(`0x${key.toString('hex', 1, 33)}`), BigInt(`0x${key.toString('hex', 33)}`)];
  return x < prime && y < prime && (y * y - (x * x * x - 3n * x + b)) % prime === 0n;
}

export function keyAgreement(): KeyAgreement {
  direct ??= findDirect();
  return direct === 'none' ? new NodeAgreement() : new DirectAgreement(direct);
}

export class NodeAgreement implements KeyAgreement {
  readonly #ecdh = createECDH('prime256v1');

  renew(privateKey?: Buffer): Buffer {
    if (privateKey === undefined) return this.#ecdh.generateKeys();
    this.#ecdh.setPrivateKey(privateKey);
    return this.#ecdh.getPublicKey();
  }

  secretWith(peer: Buffer): Buffer {
    return this.#ecdh.computeSecret(peer);
  }

  close(): void {}
}

/** An address outside JavaScript. */
type Pointer = bigint;
type OpenSsl = ReturnType<typeof bindOpenSsl>;

const p256 = 415; // NID_X9_62_prime256v1
const uncompressed = 4;
let direct: OpenSsl | 'none' | undefined;

export class DirectAgreement implements KeyAgreement {
  readonly #openssl: OpenSsl;
  readonly #group: Pointer;
  readonly #order: Pointer;
  readonly #context: Pointer;
  readonly #privateKey: Pointer;
  readonly #x: Pointer;
  readonly #point: Pointer;
  readonly #peer: Pointer;
  #state: 'without keys' | 'with keys' | 'closed' = 'without keys';

  constructor(openssl: OpenSsl) {
    this.#openssl = openssl;
    this.#group = openssl.newGroup(p256);
    this.#order = openssl.orderOf(this.#group);
    this.#context = openssl.newContext();
    this.#privateKey = openssl.newNumber();
    this.#x = openssl.newNumber();
    this.#point = openssl.newPoint(this.#group);
    this.#peer = openssl.newPoint(this.#group);
  }

  renew(privateKey?: Buffer): Buffer {
    const openssl = this.#openssl;
    this.#check(this.#state !== 'closed');
    if (privateKey === undefined) this.#check(openssl.random(this.#privateKey, this.#order) === 1);
    else this.#check(openssl.readNumber(privateKey, privateKey.length, this.#privateKey) === this.#privateKey);
    this.#check(openssl.multiply(this.#group, this.#point, this.#privateKey, null, null, this.#context) === 1);
    const publicKey = Buffer.allocUnsafe(publicKeyBytes);
    // A private key of 0 would come out here, as a point of one byte.
    this.#check(this.#writePoint(publicKey) === publicKeyBytes);
    this.#state = 'with keys';
    return publicKey;
  }

  secretWith(peer: Buffer): Buffer {
    const openssl = this.#openssl;
    const group = this.#group;
    const context = this.#context;
    this.#check(this.#state === 'with keys' && peer.length === publicKeyBytes && peer[0] === uncompressed);
    this.#check(openssl.readPoint(group, this.#peer, peer, peer.length, context) === 1);
    this.#check(openssl.multiply(group, this.#point, null, this.#peer, this.#privateKey, context) === 1);
    this.#check(openssl.coordinates(group, this.#point, this.#x, null, context) === 1);
    const secret = Buffer.allocUnsafe(secretBytes);
    this.#check(openssl.writeNumber(this.#x, secret, secretBytes) === secretBytes);
    return secret;
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    const openssl = this.#openssl;
    openssl.freePoint(this.#peer);
    openssl.freePoint(this.#point);
    openssl.freeNumber(this.#x);
    openssl.freeNumber(this.#privateKey);
    openssl.freeContext(this.#context);
    openssl.freeGroup(this.#group);
  }

  #writePoint(into: Buffer): number {
    return this.#openssl.writePoint(this.#group, this.#point, uncompressed, into, into.length, this.#context);
  }

  /** OpenSSL remembers what went wrong on this thread, and TLS would take it for its own. */
  #check(good: boolean): void {
    if (good) return;
    this.#openssl.forgetErrors();
    throw new Error('The key agreement failed.');
  }
}

/** The functions of the OpenSSL in this process. Throws when one is missing. */
function bindOpenSsl() {
  // The package is not there on machines that it has no binary for.
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const library = koffi.load(null);
  // What koffi makes of these declarations is what the types say.
  const bind = <T extends (...args: never[]) => unknown>(declaration: string): T =>
    library.func(declaration) as unknown as T;
  type Maybe = Pointer | null;
  return {
    newGroup: bind<(nid: number) => Pointer>('void *EC_GROUP_new_by_curve_name(int nid)'),
    orderOf: bind<(group: Pointer) => Pointer>('void *EC_GROUP_get0_order(void *group)'),
    newContext: bind<() => Pointer>('void *BN_CTX_new()'),
    newNumber: bind<() => Pointer>('void *BN_new()'),
    newPoint: bind<(group: Pointer) => Pointer>('void *EC_POINT_new(void *group)'),
    random: bind<(number: Pointer, below: Pointer) => number>('int BN_priv_rand_range(void *number, void *below)'),
    readNumber: bind<(bytes: Buffer, length: number, into: Pointer) => Pointer>(
      'void *BN_bin2bn(void *bytes, int length, void *into)',
    ),
    writeNumber: bind<(number: Pointer, bytes: Buffer, length: number) => number>(
      'int BN_bn2binpad(void *number, void *bytes, int length)',
    ),
    readPoint: bind<(group: Pointer, point: Pointer, bytes: Buffer, length: number, context: Pointer) => number>(
      'int EC_POINT_oct2point(void *group, void *point, void *bytes, size_t length, void *context)',
    ),
    writePoint: bind<
      (group: Pointer, point: Pointer, form: number, bytes: Buffer, length: number, context: Pointer) => number
    >('size_t EC_POINT_point2oct(void *group, void *point, int form, void *bytes, size_t length, void *context)'),
    /** result = base * times generator, or point * times. */
    multiply: bind<
      (group: Pointer, result: Pointer, base: Maybe, point: Maybe, times: Maybe, context: Pointer) => number
    >('int EC_POINT_mul(void *group, void *result, void *base, void *point, void *times, void *context)'),
    coordinates: bind<(group: Pointer, point: Pointer, x: Pointer, y: Maybe, context: Pointer) => number>(
      'int EC_POINT_get_affine_coordinates(void *group, void *point, void *x, void *y, void *context)',
    ),
    forgetErrors: bind<() => void>('void ERR_clear_error()'),
    freePoint: bind<(point: Pointer) => void>('void EC_POINT_clear_free(void *point)'),
    freeNumber: bind<(number: Pointer) => void>('void BN_clear_free(void *number)'),
    freeContext: bind<(context: Pointer) => void>('void BN_CTX_free(void *context)'),
    freeGroup: bind<(group: Pointer) => void>('void EC_GROUP_free(void *group)'),
  };
}

function findDirect(): OpenSsl | 'none' {
  if (getFips() === 1) return 'none';
  try {
    const openssl = bindOpenSsl();
    return comesToTheSame(openssl) ? openssl : 'none';
  } catch {
    return 'none';
  }
}

function comesToTheSame(openssl: OpenSsl): boolean {
  const theirs = createECDH('prime256v1');
  const peer = theirs.generateKeys();
  const ours = new DirectAgreement(openssl);
  try {
    return theirs.computeSecret(ours.renew()).equals(ours.secretWith(peer));
  } finally {
    ours.close();
  }
}
