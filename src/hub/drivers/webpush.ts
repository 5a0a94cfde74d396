// Web Push: encrypted for the browser (RFC 8291), identified by VAPID (RFC 8292), handed to whatever service the browser named (RFC 8030).
// The service's address comes from the device, so it is checked before anything is sent there, and connections are kept per origin.

import { createHash } from 'node:crypto';
import { Refusal } from '../../kit/refusal.ts';
import { retryAfterMs } from '../../kit/retry-after.ts';
import { PushClient } from '../http2/client.ts';
import {
  type Answer,
  field,
  type Http2Options,
  postOne,
  type Reply,
  type RequestHead,
  type Transport,
} from '../http2/port.ts';
import { parsedObject } from '../installation.ts';
import { privateAddress } from './address-guard.ts';
import {
  type Driver,
  type LaneState,
  type Outlet,
  type Push,
  type Pushes,
  type PushOptions,
  type PushOutcome,
  type PushSignal,
  platformHeaders,
  pushOf,
} from './driver.ts';
import { maxPlaintextBytes, type RecipientKeys } from './encryption.ts';
import { Gate } from './gate.ts';
import { type Sealed, Sealer, type Seals } from './sealer.ts';
import { Vapid, type VapidCredentials } from './vapid.ts';

/** A PushSubscription as the browser gives it, keys in base64url. */
export type WebPushAddress = { readonly endpoint: string; readonly p256dh: string; readonly auth: string };

export type WebPushOptions = {
  readonly credentials: VapidCredentials;
  /** Push services inside the own network are allowed; also http is never used. */
  readonly allowPrivate?: boolean | undefined;
  /** Extra trust (PEM) for such services. */
  readonly ca?: string | undefined;
  /** Sends what is meant for one origin to another: browsers under test name services on the internet. */
  readonly origins?: Readonly<Record<string, string>> | undefined;
  /** Worker threads that encrypt what is more than a few; 0 (default): in slices on this one. */
  readonly threads?: number | undefined;
  readonly connection?: Partial<Http2Options>;
  readonly emit?: (signal: PushSignal) => void;
  readonly now?: () => number;
  readonly makeClient?: (options: Http2Options) => Transport;
  /** What encrypts on this thread; for tests. */
  readonly seals?: Seals;
};

export type WebPushPlan = {
  readonly fields: readonly string[];
  readonly heads: Map<string, { readonly authorization: string; readonly head: RequestHead }>;
};

type Target = { readonly origin: string; readonly path: string };
type Service = { readonly client: Transport; readonly host: string };

/** What browsers' vendors keep at most; a push without a TTL is worth keeping. */
const defaultTtlSeconds = 28 * 86_400;
/** RFC 8030 section 5.3. */
const urgencies: readonly string[] = ['very-low', 'low', 'normal', 'high'];
const maxServices = 64;
const throttlePauseMs = 30_000;
const nothing = Buffer.alloc(0);
const provenForMs = 10 * 60_000;
/** The encryption failed on a key that is good: nothing went out, and the device is not to blame. */
const notSealed: PushOutcome = { kind: 'retry', cause: 'sealing_failed', retryAfterMs: undefined };

export class WebPushDriver implements Driver<WebPushPlan> {
  readonly platform = 'browser';
  readonly #options: WebPushOptions;
  readonly #vapid: Vapid;
  readonly #sealer: Sealer;
  readonly #gates = new Map<string, Gate>();
  /** Least recently used first. */
  readonly #services = new Map<string, Service>();
  /** When a service last took a push. */
  readonly #takenAt = new Map<string, number>();
  readonly #now: () => number;
  #crowded: Transport | undefined;
  #closed = false;

  constructor(options: WebPushOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#vapid = new Vapid(options.credentials, this.#now);
    this.#sealer = new Sealer(options.threads, options.seals);
  }

  plan(options: PushOptions): WebPushPlan {
    const headers = platformHeaders(options);
    const ttl = headers.get('ttl') ?? String(Math.max(options.ttlSeconds ?? defaultTtlSeconds, 0));
    if (!/^\d+$/.test(ttl)) throw new Refusal('bad_request', 'TTL must be a number of seconds.');
    const urgency = headers.get('urgency') ?? options.urgency ?? 'normal';
    if (!urgencies.includes(urgency)) throw new Refusal('bad_request', `Urgency is one of ${urgencies.join(', ')}.`);
    const fields = ['ttl', ttl, 'urgency', urgency];
    const topic = headers.get('topic') ?? options.collapseId;
    if (topic !== undefined) fields.push('topic', shortTopic(topic));
    fields.push('content-encoding', 'aes128gcm', 'content-type', 'application/octet-stream');
    return { fields, heads: new Map() };
  }

  open(plan: WebPushPlan, pushes: Pushes): Outlet {
    return { push: (index) => this.#push(plan, pushOf(pushes, index)) };
  }

  /** Waits for the encryption and for the service that was full last; others may have room before. */
  async whenRoom(): Promise<void> {
    await this.#sealer.whenRoom();
    await this.#crowded?.whenRoom();
    this.#crowded = undefined;
  }

  /** The worst that any of the services is in. */
  state(): LaneState {
    const states = [...this.#gates].map(([origin, gate]) => ({ ...gate.state(), service: new URL(origin).host }));
    const bad = states.find(({ kind }) => kind === 'stopped') ?? states.find(({ kind }) => kind === 'paused');
    return bad ?? { kind: states.some(({ kind }) => kind === 'running') ? 'running' : 'untried' };
  }

  async close(graceMs?: number): Promise<void> {
    this.#closed = true;
    await this.#sealer.close();
    await Promise.all([...this.#services.values()].map(({ client }) => client.close(graceMs)));
  }

  #push(plan: WebPushPlan, push: Push): boolean {
    const address = subscriptionOf(push.address);
    const target = parseEndpoint(address.endpoint);
    const refused = target === undefined ? unusable('endpoint') : this.#gate(target.origin).closed();
    if (target === undefined || refused !== undefined) return settleSoon(push, refused ?? unusable('endpoint'));
    if (push.payload === '') return this.#post(plan, push, target, nothing);
    const keys = readKeys(push.payload, address);
    if ('kind' in keys) return settleSoon(push, keys);
    const done = (sealed: Sealed): void => {
      if (sealed === 'bad key') push.settle(unusable('keys'));
      else if (sealed === 'failed') push.settle(notSealed);
      else this.#post(plan, push, target, sealed);
    };
    const room = this.#sealer.seal({ text: push.payload, keys, urgent: push.urgent, done });
    return room && this.#crowded === undefined;
  }

  #post(plan: WebPushPlan, push: Push, target: Target, body: Buffer): boolean {
    if (this.#closed) return settleSoon(push, unanswered('unprocessed', 'closed'));
    const service = this.#service(target.origin);
    const fields = push.collapseId === undefined ? [] : ['topic', shortTopic(push.collapseId)];
    const head = this.#head(plan, target.origin, service.host, fields.length > 0);
    const settle = (reply: Reply): void => push.settle(this.#judge(reply, target.origin));
    const call = { head, path: target.path, fields, body, urgent: push.urgent, whole: false, settle };
    const room = postOne(service.client, call);
    if (!room) this.#crowded = service.client;
    return room;
  }

  /** A head per plan and origin. `topic` may come with each push instead: then it must not stand in the head as well. */
  #head(plan: WebPushPlan, origin: string, host: string, ownTopic: boolean): RequestHead {
    const authorization = this.#vapid.authorization(origin);
    const key = ownTopic ? `${origin} own` : origin;
    const known = plan.heads.get(key);
    if (known?.authorization === authorization) return known.head;
    const at = plan.fields.indexOf('topic');
    const fields = ownTopic && at >= 0 ? plan.fields.toSpliced(at, 2) : plan.fields;
    const head: RequestHead = {
      method: 'POST',
      authority: host,
      fields: ['authorization', authorization, ...fields],
      sendsLength: true,
    };
    if (plan.heads.size >= maxServices) plan.heads.clear();
    plan.heads.set(key, { authorization, head });
    return head;
  }

  #service(origin: string): Service {
    const known = this.#services.get(origin);
    if (known !== undefined && this.#services.size < 2) return known;
    this.#services.delete(origin);
    const service = known ?? this.#connect(origin);
    this.#services.set(origin, service);
    if (this.#services.size > maxServices) this.#dropOldest();
    return service;
  }

  #connect(origin: string): Service {
    const url = new URL(this.#options.origins?.[origin] ?? origin);
    const make = this.#options.makeClient ?? ((settings: Http2Options) => new PushClient(settings));
    const { allowPrivate, ca } = this.#options;
    const client = make({
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port === '' ? 443 : Number(url.port),
      maxConnections: 4,
      maxStreams: 200,
      ...(ca === undefined ? {} : { ca }),
      ...(allowPrivate ? {} : { refuseAddress: privateAddress }),
      ...this.#options.connection,
    });
    return { client, host: new URL(origin).host };
  }

  #dropOldest(): void {
    const [origin, service] = this.#services.entries().next().value!;
    this.#services.delete(origin);
    this.#gates.delete(origin);
    this.#takenAt.delete(origin);
    void service.client.close();
  }

  /** A stranger's service that says no to us must not stop the others: a gate per origin. */
  #gate(origin: string): Gate {
    const known = this.#gates.get(origin);
    if (known !== undefined) return known;
    if (this.#gates.size >= 1000) this.#gates.clear();
    const service = new URL(origin).host;
    const emit = (signal: PushSignal) => this.#options.emit?.({ ...signal, service });
    const gate = new Gate('browser', emit, this.#now);
    this.#gates.set(origin, gate);
    return gate;
  }

  #judge(reply: Reply, origin: string): PushOutcome {
    if (reply.kind !== 'answer') return unanswered(reply.kind, reply.cause);
    if (reply.status === 401 || reply.status === 403) return this.#refusedVapid(reply, origin);
    const gate = this.#gate(origin);
    gate.open();
    if (reply.status === 429)
      return gate.throttle('429', retryAfterMs(field(reply, 'retry-after'), this.#now()) ?? throttlePauseMs);
    if (reply.status < 300) {
      gate.taken();
      this.#takenAt.set(origin, this.#now());
    }
    return judgeAnswer(reply, this.#now());
  }

  /** Also the answer for one subscription that was made with another key: a service that took others lately keeps its lane open, or a
   * single such device could stop everybody's. */
  #refusedVapid(answer: Answer, origin: string): PushOutcome {
    const cause = `vapid:${answer.status}`;
    const proven = this.#now() - (this.#takenAt.get(origin) ?? Number.NEGATIVE_INFINITY) < provenForMs;
    return proven ? { kind: 'refused', cause, detail: detailOf(answer) } : this.#gate(origin).stop(cause);
  }
}

/** The address of a secondary tile is whatever text its app gave. */
function subscriptionOf(address: string): WebPushAddress {
  const { endpoint, p256dh, auth } = (parsedObject(address) ?? {}) as Partial<Record<keyof WebPushAddress, unknown>>;
  if (typeof endpoint === 'string' && typeof p256dh === 'string' && typeof auth === 'string')
    return { endpoint, p256dh, auth };
  return { endpoint: address, p256dh: '', auth: '' };
}

function readKeys(payload: string, address: WebPushAddress): RecipientKeys | PushOutcome {
  const long = payload.length * 3 > maxPlaintextBytes && Buffer.byteLength(payload) > maxPlaintextBytes;
  if (long) return { kind: 'refused', cause: 'PayloadTooLarge' };
  const p256dh = Buffer.from(address.p256dh, 'base64url');
  const auth = Buffer.from(address.auth, 'base64url');
  return p256dh.length === 65 && auth.length === 16 ? { p256dh, auth } : unusable('keys');
}

function judgeAnswer(answer: Answer, now: number): PushOutcome {
  const { status } = answer;
  if (status >= 200 && status < 300) return { kind: 'delivered' };
  if (status === 404 || status === 410) return { kind: 'gone', cause: String(status) };
  if (status >= 500)
    return { kind: 'retry', cause: String(status), retryAfterMs: retryAfterMs(field(answer, 'retry-after'), now) };
  return { kind: 'refused', cause: status === 413 ? 'PayloadTooLarge' : String(status), detail: detailOf(answer) };
}

/** A name that does not resolve to a public address is the device's doing; everything else may pass. */
function unanswered(kind: 'unprocessed' | 'lost', cause: string): PushOutcome {
  if (cause === 'connect_failed:ADDRESS_REFUSED') return unusable('address');
  return { kind: 'retry', cause: `${kind}:${cause}`, retryAfterMs: undefined, uncertain: kind === 'lost' };
}

function unusable(what: string): PushOutcome {
  return { kind: 'gone', cause: `bad_${what}` };
}

function settleSoon(push: Push, outcome: PushOutcome): true {
  queueMicrotask(() => push.settle(outcome));
  return true;
}

/** Splits without making a URL object per push: origins repeat, and `URL` costs several microseconds. */
const parsedOrigins = new Map<string, string | undefined>();

function parseEndpoint(endpoint: string): Target | undefined {
  const slash = endpoint.indexOf('/', 8);
  if (!endpoint.startsWith('https://') || slash < 0 || !/^[\x21-\x7e]+$/.test(endpoint)) return undefined;
  const start = endpoint.slice(0, slash);
  let origin = parsedOrigins.get(start);
  if (origin === undefined) {
    origin = originOf(start);
    if (origin === undefined) return undefined;
    if (parsedOrigins.size >= 1000) parsedOrigins.clear();
    parsedOrigins.set(start, origin);
  }
  const fragment = endpoint.indexOf('#', slash);
  return { origin, path: fragment < 0 ? endpoint.slice(slash) : endpoint.slice(slash, fragment) };
}

function originOf(text: string): string | undefined {
  const url = URL.parse(text);
  return url === null || url.username !== '' || url.password !== '' ? undefined : url.origin;
}

/** RFC 8030 section 5.4: at most 32 characters of the base64url alphabet; other ids become their hash. */
function shortTopic(id: string): string {
  return /^[A-Za-z0-9_-]{1,32}$/.test(id) ? id : createHash('sha256').update(id).digest('base64url').slice(0, 32);
}

function detailOf(answer: Answer): string {
  return answer.body.toString('utf8', 0, 300);
}
