// A Web Push service (RFC 8030) and the browsers behind it: subscriptions with real keys, VAPID checked (RFC 8292), the payload decrypted
// as a browser would (RFC 8291 over RFC 8188).
//
// Beside the subscriptions that `subscribe` makes, endpoint names tell how they will be answered: /push/gone-... 410, /push/404-... 404,
// /push/full-... 429 with Retry-After, /push/500-..., /push/503-... with Retry-After.

import { createDecipheriv, createECDH, createHmac, type ECDH, randomBytes, randomUUID } from 'node:crypto';
import type { LocalCertificate } from '../../src/kit/certificate.ts';
import { p256PublicKey, readToken, signedBy } from './jwt.ts';
import { json, Service, Shelf, type StandinAnswer, type StandinRequest } from './service.ts';

export type Subscription = {
  readonly endpoint: string;
  readonly keys: { readonly p256dh: string; readonly auth: string };
};

export type WebPush = {
  readonly name: string;
  /** What the page's service worker would get; undefined for a push without a body. */
  readonly text: string | undefined;
  readonly ttl: number;
  readonly urgency: string;
  readonly topic: string | undefined;
  readonly subject: string;
};

/** As a real browser gets it: only that has the keys. */
export type RawPush = { readonly body: Buffer; readonly encoding: string };

/** A real browser elsewhere. `audiences`: further origins that it believes this service to have. */
export type RealBrowser = {
  readonly deliver: (push: RawPush) => void;
  readonly audiences?: readonly string[];
};

type Browser = { readonly ecdh: ECDH; readonly auth: Buffer; readonly shown: Map<string, WebPush> };

export class WebPushStandin {
  readonly pushes = new Shelf<WebPush>();
  service!: Service;
  readonly #browsers = new Map<string, Browser>();
  /** By path. */
  readonly #realOnes = new Map<string, RealBrowser>();
  readonly #now: () => number;
  /** Only the key with which a subscription was made may push to it; undefined allows any. */
  #applicationKey: string | undefined;

  private constructor(now: () => number) {
    this.#now = now;
  }

  static async start(options: {
    certificate: LocalCertificate;
    port?: number;
    now?: () => number;
    maxStreams?: number;
  }): Promise<WebPushStandin> {
    const standin = new WebPushStandin(options.now ?? Date.now);
    const answer = (request: StandinRequest): StandinAnswer => standin.answer(request);
    const { certificate, port = 0, maxStreams = 100 } = options;
    standin.service = await Service.start({ certificate, port, maxStreams, http1: 'too', answer });
    return standin;
  }

  stop(): Promise<void> {
    return this.service.stop();
  }

  /** A browser subscribes, as `pushManager.subscribe()` does. */
  subscribe(name: string = randomUUID(), applicationKey?: string): Subscription {
    const ecdh = createECDH('prime256v1');
    const p256dh = ecdh.generateKeys().toString('base64url');
    const auth = randomBytes(16);
    this.#browsers.set(name, { ecdh, auth, shown: new Map() });
    this.#applicationKey = applicationKey;
    return { endpoint: `${this.service.url}/push/${name}`, keys: { p256dh, auth: auth.toString('base64url') } };
  }

  unsubscribe(name: string): void {
    this.#browsers.delete(name);
  }

  /** Hands what is pushed to this path on to a real browser. */
  attach(path: string, browser: RealBrowser): void {
    this.#realOnes.set(path, browser);
  }

  detach(path: string): void {
    this.#realOnes.delete(path);
  }

  /** What the browser shows: pushes by topic, the later replacing the earlier. */
  shown(name: string): readonly WebPush[] {
    return [...(this.#browsers.get(name)?.shown.values() ?? [])];
  }

  answer(request: StandinRequest): StandinAnswer {
    const real = this.#realOnes.get(request.path);
    const name = real ? request.path : /^\/push\/([^/]+)$/.exec(request.path)?.[1];
    if (name === undefined) return failure(404, 102, 'Not Found');
    if (request.method !== 'POST') return failure(405, 999, 'Method Not Allowed');
    const subject = this.#subject(request, real?.audiences);
    if (typeof subject !== 'string') return subject;
    const refused = checkHeaders(request) ?? scripted(name);
    return refused ?? (real ? this.#handOn(request, name, subject, real) : this.#deliver(request, name, subject));
  }

  #handOn(request: StandinRequest, name: string, subject: string, real: RealBrowser): StandinAnswer {
    const { body, headers } = request;
    real.deliver({ body, encoding: String(headers['content-encoding'] ?? '') });
    return this.#taken(pushOf(request, name, subject, undefined));
  }

  #subject(request: StandinRequest, audiences: readonly string[] = []): string | StandinAnswer {
    const parts = /^vapid t=([^,\s]+),\s*k=([A-Za-z0-9_-]+)$/.exec(request.headers.authorization ?? '');
    if (parts === null) return failure(401, 109, 'Request did not validate: missing or bad VAPID authorization');
    const token = readToken(parts[1]!);
    const key = p256PublicKey(Buffer.from(parts[2]!, 'base64url'));
    if (token === undefined || key === undefined || token.header.alg !== 'ES256' || !signedBy(token, key))
      return failure(401, 109, 'Request did not validate: Invalid VAPID signature');
    if (this.#applicationKey !== undefined && parts[2] !== this.#applicationKey)
      return failure(403, 109, 'VAPID public key mismatch');
    return this.#checkClaims(token.claims, [this.service.url, ...audiences]);
  }

  #checkClaims(claims: Readonly<Record<string, unknown>>, audiences: readonly string[]): string | StandinAnswer {
    const now = this.#now() / 1000;
    const expires = Number(claims.exp);
    if (!audiences.includes(String(claims.aud))) return failure(401, 109, 'Request did not validate: Invalid audience');
    if (!(expires > now) || expires > now + 86_400)
      return failure(401, 109, 'Request did not validate: Invalid expiration');
    if (!/^(mailto:|https:)/.test(String(claims.sub)))
      return failure(401, 109, 'Request did not validate: Invalid sub');
    return String(claims.sub);
  }

  #deliver(request: StandinRequest, name: string, subject: string): StandinAnswer {
    const browser = this.#browsers.get(name);
    if (browser === undefined) return failure(410, 106, 'Subscription has expired or was removed');
    let text: string | undefined;
    try {
      text = request.body.length === 0 ? undefined : decrypt(request.body, browser);
    } catch {
      return failure(400, 110, 'The body cannot be decrypted by the browser');
    }
    const push = pushOf(request, name, subject, text);
    browser.shown.set(push.topic ?? randomUUID(), push);
    return this.#taken(push);
  }

  #taken(push: WebPush): StandinAnswer {
    this.pushes.add(push);
    return {
      status: 201,
      headers: { location: `${this.service.url}/message/${this.pushes.total}`, ttl: String(push.ttl) },
    };
  }
}

function pushOf({ headers }: StandinRequest, name: string, subject: string, text: string | undefined): WebPush {
  return {
    name,
    text,
    ttl: Number(headers.ttl),
    urgency: String(headers.urgency ?? 'normal'),
    topic: headers.topic === undefined ? undefined : String(headers.topic),
    subject,
  };
}

function checkHeaders(request: StandinRequest): StandinAnswer | undefined {
  const { headers, body } = request;
  if (!/^\d+$/.test(String(headers.ttl ?? ''))) return failure(400, 111, 'Missing or invalid TTL header');
  if (!/^(very-low|low|normal|high)$/.test(String(headers.urgency ?? 'normal')))
    return failure(400, 999, 'Invalid Urgency');
  if (!/^[A-Za-z0-9_-]{1,32}$/.test(String(headers.topic ?? 'x'))) return failure(400, 113, 'Invalid Topic');
  if (body.length > 0 && headers['content-encoding'] !== 'aes128gcm')
    return failure(400, 110, 'Invalid Content-Encoding');
  return body.length > 4096 ? failure(413, 104, 'Payload too large') : undefined;
}

function scripted(name: string): StandinAnswer | undefined {
  const [script] = name.split('-');
  if (script === 'gone') return failure(410, 106, 'Subscription has expired');
  if (script === '404') return failure(404, 102, 'Not Found');
  if (script === 'full') return failure(429, 201, 'Too many requests', { 'retry-after': '13' });
  if (script === '500') return failure(500, 999, 'Internal error');
  return script === '503' ? failure(503, 201, 'Service unavailable', { 'retry-after': '5' }) : undefined;
}

/** RFC 8291 section 3.4 over RFC 8188: one record. */
function decrypt(body: Buffer, browser: Browser): string {
  const salt = body.subarray(0, 16);
  const keyLength = body[20]!;
  const sender = body.subarray(21, 21 + keyLength);
  const sealed = body.subarray(21 + keyLength);
  const secret = browser.ecdh.computeSecret(sender);
  const info = Buffer.concat([Buffer.from('WebPush: info\0'), browser.ecdh.getPublicKey(), sender]);
  const ikm = hkdf(browser.auth, secret, info, 32);
  const key = hkdf(salt, ikm, Buffer.from('Content-Encoding: aes128gcm\0'), 16);
  const nonce = hkdf(salt, ikm, Buffer.from('Content-Encoding: nonce\0'), 12);
  const opener = createDecipheriv('aes-128-gcm', key, nonce).setAuthTag(sealed.subarray(-16));
  const record = Buffer.concat([opener.update(sealed.subarray(0, -16)), opener.final()]);
  const end = record.lastIndexOf(2);
  if (end < 0 || record.subarray(end + 1).some((byte) => byte !== 0)) throw new Error('bad padding');
  return record.subarray(0, end).toString();
}

function hkdf(salt: Buffer, key: Buffer, info: Buffer, bytes: number): Buffer {
  const prk = createHmac('sha256', salt).update(key).digest();
  return createHmac('sha256', prk)
    .update(info)
    .update(Buffer.from([1]))
    .digest()
    .subarray(0, bytes);
}

/** The shape of Mozilla's autopush. */
function failure(
  code: number,
  errno: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): StandinAnswer {
  return json(code, { code, errno, error: message, message }, headers);
}
