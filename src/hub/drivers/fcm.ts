// Firebase Cloud Messaging, HTTP v1: one message per request, a hundred streams per connection, an access token from a service account.
// Sources: Firebase "Send a message using FCM HTTP v1 API", "FCM error codes", "Throttling and quotas"; Google "OAuth 2.0 for server to
// server applications". Above 100 streams the service closes the connection, so our own ceiling is 100 whatever its SETTINGS say.

import type { KeyObject } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Refusal } from '../../kit/refusal.ts';
import { retryAfterMs } from '../../kit/retry-after.ts';
import { Bytes, copyBytes } from '../bytes.ts';
import { PushClient } from '../http2/client.ts';
import {
  type Answer,
  type Calls,
  field,
  type Http2Options,
  type Reply,
  type RequestHead,
  type Transport,
} from '../http2/port.ts';
import { AccessToken, fetchToken, TokenError } from './access-token.ts';
import type { Driver, LaneState, Outlet, Pushes, PushOptions, PushOutcome, PushSignal } from './driver.ts';
import { FcmBodies, type FcmPlan } from './fcm-bodies.ts';
import { Gate } from './gate.ts';
import { readPrivateKey, signToken } from './jwt.ts';
import { Pace } from './pace.ts';

/** The members of Google's service account key file that are used. */
export type FcmCredentials = {
  readonly project_id: string;
  readonly client_email: string;
  readonly private_key: string;
  readonly private_key_id?: string | undefined;
  readonly token_uri?: string | undefined;
  /** The project's quota; Firebase gives 600,000 unless one asks for more. */
  readonly messagesPerMinute?: number | undefined;
};

export type FcmOptions = {
  readonly credentials: FcmCredentials;
  readonly endpoint?: { readonly host: string; readonly port: number; readonly ca?: string } | undefined;
  readonly connection?: Partial<Http2Options>;
  readonly emit?: (signal: PushSignal) => void;
  readonly now?: () => number;
  readonly makeClient?: (options: Http2Options) => Transport;
};

const scope = 'https://www.googleapis.com/auth/firebase.messaging';
const defaultTokenUri = 'https://oauth2.googleapis.com/token';
const authority = 'fcm.googleapis.com';
/** Firebase asks for a pause of a minute after 429 without Retry-After, and of ten seconds at least after 503. */
const quotaPauseMs = 60_000;
const unavailablePauseMs = 10_000;
const maxTtlSeconds = 28 * 86_400;
const defaultMessagesPerMinute = 600_000;
const delivered: PushOutcome = { kind: 'delivered' };
const none: readonly string[] = [];

export class FcmDriver implements Driver<FcmPlan> {
  readonly platform = 'fcmv1';
  readonly #options: FcmOptions;
  readonly #client: Transport;
  readonly #gate: Gate;
  readonly #token: AccessToken;
  readonly #pace: Pace;
  readonly #key: KeyObject;
  readonly #now: () => number;
  readonly #emit: (signal: PushSignal) => void;
  #head: { readonly token: string; readonly head: RequestHead } | undefined;
  readonly #path: Bytes;

  /** Throws when the key cannot be read. */
  constructor(options: FcmOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#emit = options.emit ?? (() => {});
    this.#gate = new Gate('fcmv1', this.#emit, this.#now);
    this.#pace = new Pace((options.credentials.messagesPerMinute ?? defaultMessagesPerMinute) / 60, () =>
      performance.now(),
    );
    this.#key = readPrivateKey(options.credentials.private_key, 'rsa');
    this.#token = new AccessToken(() => this.#fetchToken(), this.#now);
    this.#path = Bytes.of(`/v1/projects/${options.credentials.project_id}/messages:send`);
    const make = options.makeClient ?? ((settings: Http2Options) => new PushClient(settings));
    const endpoint = options.endpoint ?? { host: authority, port: 443 };
    this.#client = make({ maxConnections: 10, maxStreams: 100, ...endpoint, ...options.connection });
  }

  plan(options: PushOptions): FcmPlan {
    const android: Record<string, unknown> = {};
    if (options.urgency !== undefined) android.priority = options.urgency === 'high' ? 'HIGH' : 'NORMAL';
    if (options.ttlSeconds !== undefined) android.ttl = `${ttlOf(options.ttlSeconds)}s`;
    return { android, collapseId: options.collapseId };
  }

  open(plan: FcmPlan, pushes: Pushes): Outlet {
    const bodies = new FcmBodies(plan, pushes.list);
    let calls: FcmCalls | undefined;
    const push = (index: number): boolean => {
      const refused = this.#gate.closed() ?? bodies.prepare(index);
      if (refused !== undefined) {
        queueMicrotask(() => pushes.settle(index, refused));
        return true;
      }
      const token = this.#token.current();
      const inTime = this.#pace.spend();
      if (token === undefined) {
        void this.#postWhenReady(bodies, pushes, index, true);
        return false;
      }
      const head = this.#headOf(token);
      if (calls?.head !== head) calls = this.#callsOf(token, bodies, pushes, true);
      return this.#client.post(calls, index) && this.#gate.trusted && inTime;
    };
    return { push };
  }

  /** Also waits for the access token: what is pushed before it is there is kept, but should be little. */
  async whenRoom(): Promise<void> {
    // Before anything is waited for: the push that asks for room may come to its end together with the access token.
    const decided = this.#gate.decided();
    if (this.#token.current() === undefined) await this.#token.get().catch(() => {});
    await decided;
    const waitMs = this.#pace.waitMs();
    if (waitMs > 0) await pause(waitMs);
    await this.#client.whenRoom();
  }

  state(): LaneState {
    const state = this.#gate.state();
    const perSecond = this.#pace.heldTo();
    return state.kind === 'running' && perSecond !== undefined ? { kind: 'paced', perSecond } : state;
  }

  close(graceMs?: number): Promise<void> {
    return this.#client.close(graceMs);
  }

  async #postWhenReady(bodies: FcmBodies, pushes: Pushes, index: number, mayRenew: boolean): Promise<void> {
    try {
      this.#client.post(this.#callsOf(await this.#token.get(), bodies, pushes, mayRenew), index);
    } catch (error) {
      if (!(error instanceof TokenError)) throw error;
      if (error.denied) pushes.settle(index, this.#gate.stop('credentials'));
      else pushes.settle(index, { kind: 'down', cause: 'no_token', alarm: false, retryAfterMs: unavailablePauseMs });
      this.#gate.heard();
    }
  }

  #callsOf(token: string, bodies: FcmBodies, pushes: Pushes, mayRenew: boolean): FcmCalls {
    return new FcmCalls(this.#headOf(token), this.#path, bodies, pushes.urgent, (index, reply) => {
      const outcome = this.#judge(reply);
      if (mayRenew && outcome.kind === 'down' && outcome.cause === 'UNAUTHENTICATED') {
        this.#token.invalidate(token);
        void this.#postWhenReady(bodies, pushes, index, false);
        return;
      }
      if (outcome.kind === 'delivered') pushes.delivered(index);
      else pushes.settle(index, outcome.kind === 'down' && outcome.alarm ? this.#gate.stop(outcome.cause) : outcome);
      this.#gate.heard();
    });
  }

  #headOf(token: string): RequestHead {
    if (this.#head?.token === token) return this.#head.head;
    const fields = ['authorization', `Bearer ${token}`, 'content-type', 'application/json; charset=UTF-8'];
    this.#head = { token, head: { method: 'POST', authority, fields, sendsLength: true } };
    return this.#head.head;
  }

  #judge(reply: Reply): PushOutcome {
    if (reply.kind !== 'answer')
      return {
        kind: 'retry',
        cause: `${reply.kind}:${reply.cause}`,
        retryAfterMs: undefined,
        uncertain: reply.kind === 'lost',
      };
    if (reply.status === 200) {
      this.#gate.taken();
      return delivered;
    }
    if (reply.status !== 401 && reply.status !== 403) this.#gate.open();
    const failure = readFailure(reply);
    if (reply.status === 429)
      return this.#gate.throttle(failure.code, retryAfterMs(field(reply, 'retry-after'), this.#now()) ?? quotaPauseMs);
    return judgeFailure(reply, failure, this.#now());
  }

  async #fetchToken(): Promise<{ token: string; expiresInSeconds: number }> {
    const { credentials } = this.#options;
    const uri = credentials.token_uri ?? defaultTokenUri;
    const iat = Math.floor(this.#now() / 1000);
    const header = {
      alg: 'RS256',
      typ: 'JWT',
      ...(credentials.private_key_id === undefined ? {} : { kid: credentials.private_key_id }),
    } as const;
    const assertion = signToken(
      header,
      { iss: credentials.client_email, scope, aud: uri, iat, exp: iat + 3600 },
      this.#key,
    );
    const form = { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion };
    const fetched = await fetchToken(uri, form, this.#options.endpoint?.ca);
    this.#emit({ name: 'push.token-renewed', platform: 'fcmv1' });
    return fetched;
  }
}

type Failure = { readonly code: string; readonly message: string; readonly fromFcm: boolean };

/** The FcmError's code decides. A 400 without one is a malformed request: the device is innocent. */
function judgeFailure(answer: Answer, failure: Failure, now: number): PushOutcome {
  const { code: cause, message, fromFcm } = failure;
  const waitMs = retryAfterMs(field(answer, 'retry-after'), now);
  if (cause === 'UNREGISTERED' || cause === 'SENDER_ID_MISMATCH') return { kind: 'gone', cause };
  if (cause === 'INVALID_ARGUMENT' && fromFcm && /registration token/i.test(message))
    return { kind: 'gone', cause: 'INVALID_TOKEN' };
  // Firebase's own credentials for Apple or Web Push are missing: the devices behind them fail, Android goes on.
  if (cause === 'THIRD_PARTY_AUTH_ERROR') return { kind: 'refused', cause, detail: message };
  if (answer.status === 401 || answer.status === 403)
    return { kind: 'down', cause, alarm: true, retryAfterMs: undefined };
  if (answer.status === 503) return { kind: 'retry', cause, retryAfterMs: waitMs ?? unavailablePauseMs };
  if (answer.status >= 500) return { kind: 'retry', cause, retryAfterMs: waitMs };
  return { kind: 'refused', cause, detail: message };
}

function readFailure(answer: Answer): Failure {
  try {
    const { error } = JSON.parse(answer.body.toString()) as {
      error: { status?: string; message?: string; details?: readonly Record<string, unknown>[] };
    };
    const detail = error.details?.find((each) => String(each['@type']).endsWith('fcm.v1.FcmError'));
    const code = String(detail?.errorCode ?? error.status ?? answer.status);
    return { code, message: String(error.message ?? ''), fromFcm: detail !== undefined };
  } catch {
    return { code: answer.status === 401 ? 'UNAUTHENTICATED' : String(answer.status), message: '', fromFcm: false };
  }
}

class FcmCalls implements Calls {
  readonly head: RequestHead;
  readonly urgent: boolean;
  readonly timeoutMs = undefined;
  readonly whole = false;
  readonly #path: Bytes;
  readonly #bodies: FcmBodies;
  readonly settle: (index: number, reply: Reply) => void;

  constructor(
    head: RequestHead,
    path: Bytes,
    bodies: FcmBodies,
    urgent: boolean,
    settle: (index: number, reply: Reply) => void,
  ) {
    this.head = head;
    this.urgent = urgent;
    this.#path = path;
    this.#bodies = bodies;
    this.settle = settle;
  }

  fields(): readonly string[] {
    return none;
  }

  pathBytes(): number {
    return this.#path.length;
  }

  writePath(_: number, out: Bytes, at: number): void {
    copyBytes(this.#path, 0, this.#path.length, out, at);
  }

  bodyBytes(index: number): number {
    return this.#bodies.bytesOf(index);
  }

  writeBody(index: number, out: Bytes, at: number): void {
    this.#bodies.write(index, out, at);
  }
}

function ttlOf(seconds: number): number {
  if (seconds < 0 || seconds > maxTtlSeconds)
    throw new Refusal('bad_request', `FCM keeps a message for at most ${maxTtlSeconds} seconds.`);
  return seconds;
}
