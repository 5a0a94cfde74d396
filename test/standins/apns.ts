// Apple's push service, as far as a sender can see it: token authentication, every check in Apple's order of words, device tokens that
// died, one stream until the first good token, broadcast channels. Sources: Apple "Sending notification requests to APNs", "Handling
// notification responses from APNs", "Sending broadcast push notification requests to APNs".
//
// Device tokens (hex) tell how they will be answered, so that one can try it without programming:
//   dead... 410 Unregistered, e0e0... 410 ExpiredToken, badd... 400 BadDeviceToken, 0bad... 400 DeviceTokenNotForTopic,
//   f00d... 429 TooManyRequests, 5050... 500 InternalServerError, 5030... 503 ServiceUnavailable, anything else 200.

import { generateKeyPairSync, type KeyObject, randomBytes, randomUUID } from 'node:crypto';
import type { LocalCertificate } from '../../src/kit/certificate.ts';
import { readToken, signedBy } from './jwt.ts';
import { json, Service, Shelf, type StandinAnswer, type StandinRequest } from './service.ts';

export type ApnsPush = {
  /** Undefined for a broadcast. */
  readonly token: string | undefined;
  readonly channel: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: unknown;
};

export type ApnsCredentials = {
  readonly keyId: string;
  readonly teamId: string;
  readonly privateKey: string;
  readonly bundleId: string;
};

export type ApnsOptions = {
  readonly certificate: LocalCertificate;
  readonly port?: number;
  readonly now?: () => number;
};

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const pushTypes = [
  'alert',
  'background',
  'voip',
  'complication',
  'fileprovider',
  'mdm',
  'location',
  'liveactivity',
  'pushtotalk',
  'widgets',
  'controls',
];
const scripts: readonly (readonly [prefix: string, status: number, reason: string])[] = [
  ['dead', 410, 'Unregistered'],
  ['e0e0', 410, 'ExpiredToken'],
  ['badd', 400, 'BadDeviceToken'],
  ['0bad', 400, 'DeviceTokenNotForTopic'],
  ['f00d', 429, 'TooManyRequests'],
  ['5050', 500, 'InternalServerError'],
  ['5030', 503, 'ServiceUnavailable'],
];

export class ApnsStandin {
  /** Accepted pushes. */
  readonly pushes = new Shelf<ApnsPush>();
  /** What a device shows: per token, pushes by collapse id (or apns-id). */
  readonly shown = new Map<string, Map<string, ApnsPush>>();
  readonly credentials: ApnsCredentials;
  /** When Apple says a device went away; default now. */
  readonly unregisteredAt = new Map<string, number>();
  readonly channels = new Map<string, unknown>();
  readonly #publicKey: KeyObject;
  readonly #now: () => number;
  readonly #greeted = new WeakSet<object>();
  #newestToken = 0;
  service!: Service;

  private constructor(options: ApnsOptions) {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#publicKey = pair.publicKey;
    this.#now = options.now ?? Date.now;
    const privateKey = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    this.credentials = { keyId: 'KEY1234567', teamId: 'TEAM123456', privateKey, bundleId: 'com.example.app' };
  }

  static async start(options: ApnsOptions): Promise<ApnsStandin> {
    const standin = new ApnsStandin(options);
    const answer = (request: StandinRequest): StandinAnswer => standin.answer(request);
    standin.service = await Service.start({
      certificate: options.certificate,
      port: options.port ?? 0,
      maxStreams: 1,
      answer,
    });
    return standin;
  }

  stop(): Promise<void> {
    return this.service.stop();
  }

  answer(request: StandinRequest): StandinAnswer {
    const id = text(request, 'apns-id') ?? randomUUID().toUpperCase();
    const wrong = this.#checkToken(request) ?? this.#route(request);
    if (wrong?.status === 403 || wrong?.status === 429) return withId(wrong, id);
    this.#openUp(request);
    return withId(wrong ?? { status: 200 }, id);
  }

  /** One stream per connection until it has shown a good token. */
  #openUp(request: StandinRequest): void {
    if (request.session === undefined || this.#greeted.has(request.session)) return;
    this.#greeted.add(request.session);
    request.session.settings({ maxConcurrentStreams: 1000 });
  }

  #checkToken(request: StandinRequest): StandinAnswer | undefined {
    const [scheme, bearer] = (request.headers.authorization ?? '').split(' ');
    if (scheme?.toLowerCase() !== 'bearer' || bearer === undefined) return failure(403, 'MissingProviderToken');
    const token = readToken(bearer);
    const { keyId, teamId } = this.credentials;
    if (token === undefined || token.header.kid !== keyId || token.claims.iss !== teamId)
      return failure(403, 'InvalidProviderToken');
    if (token.header.alg !== 'ES256' || !signedBy(token, this.#publicKey)) return failure(403, 'InvalidProviderToken');
    return this.#checkAge(Number(token.claims.iat));
  }

  #checkAge(issuedAt: number): StandinAnswer | undefined {
    if (issuedAt * 1000 < this.#now() - 3600_000) return failure(403, 'ExpiredProviderToken');
    if (issuedAt > this.#newestToken && issuedAt - this.#newestToken < 20 * 60)
      return failure(429, 'TooManyProviderTokenUpdates');
    this.#newestToken = Math.max(this.#newestToken, issuedAt);
    return undefined;
  }

  #route(request: StandinRequest): StandinAnswer | undefined {
    const device = /^\/3\/device\/(.*)$/.exec(request.path);
    if (device !== null)
      return request.method === 'POST' ? this.#push(request, device[1]!) : failure(405, 'MethodNotAllowed');
    const app = /^\/(?:4\/broadcasts|1)\/apps\/([^/]+)(\/channels|\/all-channels)?$/.exec(request.path);
    if (app === null) return failure(404, 'BadPath');
    if (app[1] !== this.credentials.bundleId) return failure(403, 'Forbidden');
    return request.path.startsWith('/4/') ? this.#broadcast(request) : this.#channels(request, app[2]);
  }

  #push(request: StandinRequest, token: string): StandinAnswer | undefined {
    if (token === '') return failure(400, 'MissingDeviceToken');
    if (!/^([0-9a-f]{2}){16,100}$/i.test(token)) return failure(400, 'BadDeviceToken');
    const wrong = this.#checkHeaders(request) ?? this.#checkTopic(request) ?? checkBody(request);
    if (wrong !== undefined) return wrong;
    const script = scripts.find(([prefix]) => token.toLowerCase().startsWith(prefix));
    if (script !== undefined) return this.#scripted(token, script[1], script[2]);
    this.#keep({
      token,
      channel: undefined,
      headers: plainHeaders(request),
      payload: parsed(request.body),
    });
    return undefined;
  }

  #scripted(token: string, status: number, reason: string): StandinAnswer {
    if (status !== 410) return failure(status, reason);
    return json(410, { reason, timestamp: this.unregisteredAt.get(token) ?? this.#now() });
  }

  #keep(push: ApnsPush): void {
    this.pushes.add(push);
    if (push.token === undefined) return;
    const shown = this.shown.get(push.token) ?? new Map<string, ApnsPush>();
    shown.set(push.headers['apns-collapse-id'] ?? push.headers['apns-id'] ?? randomUUID(), push);
    this.shown.set(push.token, shown);
  }

  #checkHeaders(request: StandinRequest): StandinAnswer | undefined {
    const id = text(request, 'apns-id');
    const type = text(request, 'apns-push-type');
    const priority = text(request, 'apns-priority') ?? '10';
    if (id !== undefined && !uuid.test(id)) return failure(400, 'BadMessageId');
    if (!/^\d+$/.test(text(request, 'apns-expiration') ?? '0')) return failure(400, 'BadExpirationDate');
    if (!['1', '5', '10'].includes(priority)) return failure(400, 'BadPriority');
    if (type === 'background' && priority === '10') return failure(400, 'BadPriority');
    if (Buffer.byteLength(text(request, 'apns-collapse-id') ?? '') > 64) return failure(400, 'BadCollapseId');
    return type === undefined || pushTypes.includes(type) ? undefined : failure(400, 'InvalidPushType');
  }

  #checkTopic(request: StandinRequest): StandinAnswer | undefined {
    const topic = text(request, 'apns-topic');
    if (topic === undefined) return failure(400, 'MissingTopic');
    const { bundleId } = this.credentials;
    if (topic !== bundleId && !topic.startsWith(`${bundleId}.`)) return failure(400, 'TopicDisallowed');
    const needsSuffix = text(request, 'apns-push-type') === 'liveactivity';
    return needsSuffix && topic !== `${bundleId}.push-type.liveactivity` ? failure(400, 'BadTopic') : undefined;
  }

  #broadcast(request: StandinRequest): StandinAnswer | undefined {
    const channel = text(request, 'apns-channel-id');
    if (request.method !== 'POST') return failure(405, 'MethodNotAllowed');
    if (channel === undefined) return failure(400, 'MissingChannelId');
    if (!this.channels.has(channel)) return failure(400, 'ChannelNotRegistered');
    if (text(request, 'apns-push-type') !== 'liveactivity') return failure(400, 'InvalidPushType');
    const wrong = this.#checkHeaders(request) ?? checkBody(request, 5120);
    if (wrong !== undefined) return wrong;
    this.#keep({
      token: undefined,
      channel,
      headers: plainHeaders(request),
      payload: parsed(request.body),
    });
    return undefined;
  }

  #channels(request: StandinRequest, what: string | undefined): StandinAnswer | undefined {
    if (what === '/all-channels') return json(200, { channels: [...this.channels.keys()] });
    if (request.method === 'POST') return this.#createChannel(request);
    const channel = text(request, 'apns-channel-id');
    if (channel === undefined) return failure(400, 'MissingChannelId');
    if (!this.channels.has(channel)) return failure(404, 'ChannelNotRegistered');
    if (request.method === 'GET') return json(200, this.channels.get(channel));
    this.channels.delete(channel);
    return { status: 204 };
  }

  #createChannel(request: StandinRequest): StandinAnswer {
    const wanted = parsed(request.body) as Record<string, unknown>;
    if (wanted?.['push-type'] !== 'LiveActivity') return failure(400, 'InvalidPushType');
    const channel = randomBytes(16).toString('base64');
    this.channels.set(channel, wanted);
    return { status: 201, headers: { 'apns-channel-id': channel } };
  }
}

function checkBody(request: StandinRequest, most?: number): StandinAnswer | undefined {
  const limit = most ?? (text(request, 'apns-push-type') === 'voip' ? 5120 : 4096);
  if (request.body.length === 0) return failure(400, 'PayloadEmpty');
  return request.body.length > limit ? failure(413, 'PayloadTooLarge') : undefined;
}

/** Apple does not look into the payload: what is no JSON is only lost on the device. */
function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return body.toString();
  }
}

function failure(status: number, reason: string): StandinAnswer {
  return json(status, { reason });
}

function withId(answer: StandinAnswer, id: string): StandinAnswer {
  return { ...answer, headers: { ...answer.headers, 'apns-id': id } };
}

function text(request: StandinRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function plainHeaders(request: StandinRequest): Record<string, string> {
  const plain = Object.entries(request.headers).filter(([name]) => name.startsWith('apns-'));
  return Object.fromEntries(plain.map(([name, value]) => [name, String(value)]));
}
