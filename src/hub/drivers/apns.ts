// Apple Push Notification service: token authentication, alerts, background, Live Activities, broadcast channels.
// Sources: Apple "Sending notification requests to APNs", "Establishing a token-based connection to APNs", "Handling notification
// responses from APNs", "Sending broadcast push notification requests to APNs".

import { createHash } from 'node:crypto';
import { Refusal } from '../../kit/refusal.ts';
import { retryAfterMs } from '../../kit/retry-after.ts';
import { Bytes, copyBytes } from '../bytes.ts';
import { PushClient } from '../http2/client.ts';
import {
  type Answer,
  ask,
  type Calls,
  field,
  type Http2Options,
  type Reply,
  type RequestHead,
  type Transport,
} from '../http2/port.ts';
import { type ApnsCredentials, ProviderToken } from './apns-token.ts';
import {
  checkedHeader,
  type Driver,
  type LaneState,
  type Outlet,
  type Pushes,
  type PushList,
  type PushOptions,
  type PushOutcome,
  type PushSignal,
  platformHeaders,
} from './driver.ts';
import { Gate } from './gate.ts';

export type ApnsOptions = {
  readonly credentials: ApnsCredentials;
  readonly environment: 'production' | 'sandbox';
  /** Where the service really is; for stand-ins and relays. */
  readonly endpoint?: { readonly host: string; readonly port: number; readonly ca?: string } | undefined;
  /** This environment has taken pushes before: an unknown device is then its own fault. */
  readonly proven?: boolean;
  readonly connection?: Partial<Http2Options>;
  readonly emit?: (signal: PushSignal) => void;
  readonly now?: () => number;
  readonly makeClient?: (options: Http2Options) => Transport;
};

/** `pushType` default: from the headers, else `alert`. */
export type ApnsPushOptions = PushOptions & { readonly pushType?: ApnsPushType | undefined };
export type ApnsPlan = {
  readonly fields: readonly string[];
  readonly limit: number;
  head: RequestHead | undefined;
  token: string;
};

const topicSuffixes = {
  alert: '',
  background: '',
  mdm: '',
  voip: '.voip',
  complication: '.complication',
  fileprovider: '.pushkit.fileprovider',
  location: '.location-query',
  liveactivity: '.push-type.liveactivity',
  pushtotalk: '.voip-ptt',
  widgets: '.push-type.widgets',
  controls: '.push-type.controls',
} as const;
export type ApnsPushType = keyof typeof topicSuffixes;

const hosts = { production: 'api.push.apple.com', sandbox: 'api.sandbox.push.apple.com' } as const;
const gone = new Set(['Unregistered', 'ExpiredToken', 'DeviceTokenNotForTopic']);
/** Those that a device shows; the others have no use for a collapse id. */
const collapsing: ReadonlySet<string> = new Set(['alert', 'background']);
const tokenPauseMs = 60_000;
const devicePath = Bytes.of('/3/device/');
/** By byte: 1 for what a token may consist of. */
const inTokens = Uint8Array.from({ length: 256 }, (_, byte) => (/[\w+/=-]/.test(String.fromCharCode(byte)) ? 1 : 0));
const none: readonly string[] = [];
const delivered: PushOutcome = { kind: 'delivered' };
const badToken: PushOutcome = { kind: 'gone', cause: 'BadDeviceToken' };
const tooLarge: PushOutcome = { kind: 'refused', cause: 'PayloadTooLarge' };
const passed = ['apns-id', 'apns-expiration', 'apns-priority', 'apns-topic', 'apns-push-type', 'apns-collapse-id'];

export class ApnsDriver implements Driver<ApnsPlan> {
  readonly platform = 'apns';
  readonly #options: ApnsOptions;
  readonly #client: Transport;
  readonly #gate: Gate;
  readonly #token: ProviderToken;
  readonly #emit: (signal: PushSignal) => void;
  readonly #now: () => number;
  readonly #authority: string;
  #proven: boolean;
  #alarmed = false;

  constructor(options: ApnsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#emit = options.emit ?? (() => {});
    this.#gate = new Gate('apns', this.#emit, this.#now);
    this.#token = new ProviderToken(options.credentials, this.#now);
    this.#proven = options.proven ?? false;
    this.#authority = hosts[options.environment];
    const make = options.makeClient ?? ((settings: Http2Options) => new PushClient(settings));
    const endpoint = options.endpoint ?? { host: this.#authority, port: 443 };
    // Apple wants connections kept for hours and pinged now and then.
    this.#client = make({ maxConnections: 4, pingAfterMs: 10 * 60_000, ...endpoint, ...options.connection });
  }

  plan(options: ApnsPushOptions): ApnsPlan {
    const headers = platformHeaders(options);
    const type = pushTypeOf(options.pushType ?? headers.get('apns-push-type') ?? 'alert');
    const fields = [
      'apns-topic',
      headers.get('apns-topic') ?? this.#options.credentials.bundleId + topicSuffixes[type],
    ];
    fields.push(
      'apns-push-type',
      type,
      'apns-priority',
      checkedPriority(type, headers.get('apns-priority') ?? priorityOf(type, options.urgency)),
    );
    const expiration = headers.get('apns-expiration') ?? expirationOf(options.ttlSeconds, this.#now());
    if (expiration !== undefined) fields.push('apns-expiration', checkedExpiration(expiration));
    const collapse = headers.get('apns-collapse-id') ?? (collapsing.has(type) ? options.collapseId : undefined);
    if (collapse !== undefined) fields.push('apns-collapse-id', shortId(collapse, 64));
    for (const [name, value] of headers)
      if (name.startsWith('apns-') && !passed.includes(name)) fields.push(name, value);
    return { fields, limit: type === 'voip' ? 5120 : 4096, head: undefined, token: '' };
  }

  open(plan: ApnsPlan, pushes: Pushes): Outlet {
    let calls: ApnsCalls | undefined;
    const push = (index: number): boolean => {
      const refused = this.#gate.closed() ?? checkPush(pushes.list, index, plan.limit);
      if (refused !== undefined) {
        queueMicrotask(() => pushes.settle(index, refused));
        return true;
      }
      const head = this.#head(plan, this.#token.current());
      if (calls?.head !== head) calls = this.#callsOf(plan, pushes, head, true);
      return this.#client.post(calls, index) && this.#gate.trusted;
    };
    return { push };
  }

  /** To all devices that follow a channel (iOS 18, Live Activities): one call, whatever their number. Throws Refusal('bad_request'). */
  async broadcast(plan: ApnsPlan, channel: string, payload: string): Promise<PushOutcome> {
    const fields = ['apns-channel-id', checkedHeader('apns-channel-id', channel)];
    const path = `/4/broadcasts/apps/${this.#options.credentials.bundleId}`;
    if (Buffer.byteLength(payload) > 5120) return { kind: 'refused', cause: 'PayloadTooLarge' };
    for (let mayRenew = true; ; mayRenew = false) {
      const closed = this.#gate.closed();
      if (closed !== undefined) return closed;
      const head = this.#head(plan, this.#token.current());
      const { token } = plan;
      const outcome = this.#outcome(await ask(this.#client, { head, path, fields, body: payload }), token, mayRenew);
      this.#gate.heard();
      if (outcome !== 'again') return outcome;
    }
  }

  async whenRoom(): Promise<void> {
    await this.#gate.decided();
    await this.#client.whenRoom();
  }

  state(): LaneState {
    return this.#gate.state();
  }

  close(graceMs?: number): Promise<void> {
    return this.#client.close(graceMs);
  }

  #callsOf(plan: ApnsPlan, pushes: Pushes, head: RequestHead, mayRenew: boolean): ApnsCalls {
    const { token } = plan;
    return new ApnsCalls(head, pushes, (index, reply) => {
      const outcome = this.#outcome(reply, token, mayRenew);
      if (outcome === 'again') this.#postAgain(plan, pushes, index);
      else if (outcome.kind === 'delivered') pushes.delivered(index);
      else pushes.settle(index, outcome);
      this.#gate.heard();
    });
  }

  #postAgain(plan: ApnsPlan, pushes: Pushes, index: number): void {
    const head = this.#head(plan, this.#token.current());
    this.#client.post(this.#callsOf(plan, pushes, head, false), index);
  }

  #head(plan: ApnsPlan, token: string): RequestHead {
    if (plan.head !== undefined && plan.token === token) return plan.head;
    plan.token = token;
    plan.head = {
      method: 'POST',
      authority: this.#authority,
      fields: ['authorization', `bearer ${token}`, ...plan.fields],
    };
    return plan.head;
  }

  /** `token`: the one that it was pushed with. 'again': there is a newer one, with which it may be repeated. */
  #outcome(reply: Reply, token: string, mayRenew: boolean): PushOutcome | 'again' {
    if (reply.kind === 'answer' && reply.status === 200) {
      this.#proven = true;
      this.#gate.taken();
      return delivered;
    }
    if (mayRenew && isExpired(reply) && this.#token.renew(token)) return 'again';
    return this.#judge(reply, mayRenew);
  }

  #judge(reply: Reply, mayRenew: boolean): PushOutcome {
    if (reply.kind !== 'answer')
      return {
        kind: 'retry',
        cause: `${reply.kind}:${reply.cause}`,
        retryAfterMs: undefined,
        uncertain: reply.kind === 'lost',
      };
    const { reason, timestamp } = readFailure(reply);
    if (reply.status !== 403) this.#gate.open();
    if (reply.status === 410 || gone.has(reason)) return { kind: 'gone', cause: reason, since: timestamp };
    if (reason === 'BadDeviceToken') return this.#badDevice();
    // A token that we may not renew yet, or that is refused although it is new: our clock is wrong, and that is for a human.
    if (reply.status === 403)
      return this.#gate.stop(mayRenew || reason !== 'ExpiredProviderToken' ? reason : 'ExpiredProviderToken:clock');
    // The token is good, Apple only saw too many of them: ours stays, everything waits.
    if (reason === 'TooManyProviderTokenUpdates')
      return this.#gate.pause(reason, retryAfterMs(field(reply, 'retry-after'), this.#now()) ?? tokenPauseMs);
    return judgeRest(reply, reason, this.#now());
  }

  /** Also Apple's word for a device of the other environment: before the first success, the device keeps its place. */
  #badDevice(): PushOutcome {
    if (this.#proven) return { kind: 'gone', cause: 'BadDeviceToken' };
    if (!this.#alarmed) this.#emit({ name: 'push.wrong-environment', platform: 'apns', cause: 'BadDeviceToken' });
    this.#alarmed = true;
    return { kind: 'refused', cause: 'BadDeviceToken', detail: 'The device may belong to the other APNs environment.' };
  }
}

function judgeRest(answer: Answer, cause: string, now: number): PushOutcome {
  const waitMs = retryAfterMs(field(answer, 'retry-after'), now);
  // 429 is about this one device.
  if (answer.status === 429 || answer.status >= 500) return { kind: 'retry', cause, retryAfterMs: waitMs };
  return { kind: 'refused', cause };
}

function isExpired(reply: Reply): boolean {
  return reply.kind === 'answer' && reply.status === 403 && readFailure(reply).reason === 'ExpiredProviderToken';
}

function readFailure(answer: Answer): { readonly reason: string; readonly timestamp: Date | undefined } {
  try {
    const { reason, timestamp } = JSON.parse(answer.body.toString()) as { reason?: unknown; timestamp?: unknown };
    return {
      reason: String(reason ?? answer.status),
      timestamp: typeof timestamp === 'number' ? new Date(timestamp) : undefined,
    };
  } catch {
    return { reason: String(answer.status), timestamp: undefined };
  }
}

function checkPush(list: PushList, index: number, limit: number): PushOutcome | undefined {
  const { buffer } = list.bytes;
  // An address goes into the path: what is no token must not get there.
  const end = list.addressEnd(index);
  for (let i = list.addressStart(index); i < end; i += 1) if (inTokens[buffer[i]!] === 0) return badToken;
  if (end === list.addressStart(index)) return badToken;
  return list.payloadEnd(index) - list.payloadStart(index) > limit ? tooLarge : undefined;
}

/** A push as a call: its address is the end of the path, its payload the body. */
class ApnsCalls implements Calls {
  readonly head: RequestHead;
  readonly urgent: boolean;
  readonly timeoutMs = undefined;
  readonly whole = false;
  readonly #list: PushList;
  readonly #settle: (index: number, reply: Reply) => void;

  constructor(head: RequestHead, { list, urgent }: Pushes, settle: (index: number, reply: Reply) => void) {
    this.head = head;
    this.urgent = urgent;
    this.#list = list;
    this.#settle = settle;
  }

  fields(index: number): readonly string[] {
    const id = this.#list.id(index);
    const collapseId = this.#list.collapseId(index);
    if (id === undefined && collapseId === undefined) return none;
    const collapse = collapseId === undefined ? none : ['apns-collapse-id', shortId(collapseId, 64)];
    return id === undefined ? collapse : ['apns-id', id, ...collapse];
  }

  pathBytes(index: number): number {
    return devicePath.length + this.#list.addressEnd(index) - this.#list.addressStart(index);
  }

  writePath(index: number, out: Bytes, at: number): void {
    const { bytes } = this.#list;
    copyBytes(devicePath, 0, devicePath.length, out, at);
    copyBytes(bytes, this.#list.addressStart(index), this.#list.addressEnd(index), out, at + devicePath.length);
  }

  bodyBytes(index: number): number {
    return this.#list.payloadEnd(index) - this.#list.payloadStart(index);
  }

  writeBody(index: number, out: Bytes, at: number): void {
    copyBytes(this.#list.bytes, this.#list.payloadStart(index), this.#list.payloadEnd(index), out, at);
  }

  settle(index: number, reply: Reply): void {
    this.#settle(index, reply);
  }
}

function pushTypeOf(text: string): ApnsPushType {
  if (!Object.hasOwn(topicSuffixes, text)) throw new Refusal('bad_request', `There is no APNs push type "${text}".`);
  // Checked in the line before.
  return text as ApnsPushType;
}

/** Background pushes must be 5; an alert of low urgency may wait for a good moment. */
function priorityOf(type: ApnsPushType, urgency: PushOptions['urgency']): string {
  return type === 'background' || urgency === 'low' ? '5' : '10';
}

function checkedPriority(type: ApnsPushType, priority: string): string {
  const possible = type === 'background' ? ['1', '5'] : ['1', '5', '10'];
  if (possible.includes(priority)) return priority;
  throw new Refusal(
    'bad_request',
    `apns-priority of the push type ${type} is ${possible.join(' or ')}, not "${priority}".`,
  );
}

function checkedExpiration(seconds: string): string {
  if (/^\d{1,12}$/.test(seconds)) return seconds;
  throw new Refusal('bad_request', 'apns-expiration is a number of seconds since 1970.');
}

function expirationOf(ttlSeconds: number | undefined, now: number): string | undefined {
  if (ttlSeconds === undefined) return undefined;
  return ttlSeconds <= 0 ? '0' : String(Math.floor(now / 1000) + ttlSeconds);
}

/** An id as it is when it fits and is plain ASCII, else its hash: equal ids stay equal. */
export function shortId(id: string, most: number): string {
  if (id.length <= most && /^[\x21-\x7e]+$/.test(id)) return id;
  return createHash('sha256').update(id).digest('base64url').slice(0, most);
}
