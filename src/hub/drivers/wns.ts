// Windows Push Notification Services: toast, tile, badge and raw over HTTP/1.1, an access token from client credentials.
// Sources: Microsoft "Push notification service request and response headers", "Windows Push Notification Services (WNS) overview",
// "Push notifications overview (Windows App SDK)". The channel's address comes from the device, so its host is checked.

import { Refusal } from '../../kit/refusal.ts';
import { retryAfterMs } from '../../kit/retry-after.ts';
import {
  type Answer,
  field,
  type Http2Options,
  postOne,
  type Reply,
  type RequestHead,
  type Transport,
} from '../http2/port.ts';
import { AccessToken, fetchToken, TokenError } from './access-token.ts';
import { shortId } from './apns.ts';
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
import { Gate } from './gate.ts';
import { Http1Client } from './http1-client.ts';

export type WnsCredentials =
  /** UWP: package SID and secret from the Partner Center. */
  | { readonly packageSid: string; readonly secret: string }
  /** Windows App SDK: an app registration. */
  | { readonly tenantId: string; readonly appId: string; readonly secret: string };

export type WnsOptions = {
  readonly credentials: WnsCredentials;
  readonly tokenUrl?: string | undefined;
  /** Hosts beside `*.notify.windows.com`; for stand-ins. */
  readonly allowedHosts?: readonly string[] | undefined;
  readonly ca?: string | undefined;
  readonly connection?: Partial<Http2Options>;
  readonly emit?: (signal: PushSignal) => void;
  readonly now?: () => number;
};

export type WnsPlan = {
  readonly fields: readonly string[];
  readonly heads: Map<string, { readonly token: string; readonly head: RequestHead }>;
};

const liveTokenUrl = 'https://login.live.com/accesstoken.srf';
const maxBytes = 5000;
const throttlePauseMs = 30_000;
const maxHosts = 32;

export class WnsDriver implements Driver<WnsPlan> {
  readonly platform = 'wns';
  readonly #options: WnsOptions;
  readonly #gate: Gate;
  readonly #token: AccessToken;
  readonly #clients = new Map<string, Transport>();
  readonly #emit: (signal: PushSignal) => void;
  readonly #now: () => number;
  #crowded: Transport | undefined;

  constructor(options: WnsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#emit = options.emit ?? (() => {});
    this.#gate = new Gate('wns', this.#emit, this.#now);
    this.#token = new AccessToken(() => this.#fetchToken(), this.#now);
  }

  /** Needs `X-WNS-Type`, e.g. `wns/toast`. */
  plan(options: PushOptions): WnsPlan {
    const headers = platformHeaders(options);
    const type = headers.get('x-wns-type');
    if (type === undefined || !/^wns\/(toast|tile|badge|raw)$/.test(type))
      throw new Refusal(
        'bad_request',
        'A push to Windows needs X-WNS-Type: wns/toast, wns/tile, wns/badge or wns/raw.',
      );
    const fields = ['content-type', type === 'wns/raw' ? 'application/octet-stream' : 'text/xml'];
    if (options.ttlSeconds !== undefined && !headers.has('x-wns-ttl'))
      fields.push('x-wns-ttl', String(options.ttlSeconds));
    // A tag names at most 16 characters; only a toast can be replaced by it.
    if (options.collapseId !== undefined && type === 'wns/toast' && !headers.has('x-wns-tag'))
      fields.push('x-wns-tag', shortId(options.collapseId, 16));
    for (const [name, value] of headers) if (name.startsWith('x-wns-')) fields.push(name, value);
    return { fields, heads: new Map() };
  }

  open(plan: WnsPlan, pushes: Pushes): Outlet {
    return { push: (index) => this.#push(plan, pushOf(pushes, index)) };
  }

  async whenRoom(): Promise<void> {
    // Before anything is waited for: the push that asks for room may come to its end together with the access token.
    const decided = this.#gate.decided();
    if (this.#token.current() === undefined) await this.#token.get().catch(() => {});
    await decided;
    await this.#crowded?.whenRoom();
  }

  state(): LaneState {
    return this.#gate.state();
  }

  async close(graceMs?: number): Promise<void> {
    await Promise.all([...this.#clients.values()].map((client) => client.close(graceMs)));
  }

  #push(plan: WnsPlan, push: Push): boolean {
    const url = this.#channel(push.address);
    const refused =
      this.#gate.closed() ?? (url === undefined ? ({ kind: 'gone', cause: 'bad_channel' } as const) : tooLarge(push));
    if (url === undefined || refused !== undefined) {
      queueMicrotask(() => push.settle(refused ?? { kind: 'gone', cause: 'bad_channel' }));
      return true;
    }
    const token = this.#token.current();
    if (token !== undefined) return this.#post(plan, push, url, token, true);
    void this.#postWhenReady(plan, push, url, true);
    return false;
  }

  #channel(address: string): URL | undefined {
    const url = URL.parse(address);
    if (url === null || url.protocol !== 'https:' || url.username !== '') return undefined;
    const known = url.hostname.endsWith('.notify.windows.com') && url.port === '';
    return known || this.#options.allowedHosts?.includes(url.host) ? url : undefined;
  }

  async #postWhenReady(plan: WnsPlan, push: Push, url: URL, mayRenew: boolean): Promise<void> {
    try {
      this.#post(plan, push, url, await this.#token.get(), mayRenew);
    } catch (error) {
      if (!(error instanceof TokenError)) throw error;
      if (error.denied) push.settle(this.#gate.stop('credentials'));
      else push.settle({ kind: 'down', cause: 'no_token', alarm: false, retryAfterMs: 10_000 });
      this.#gate.heard();
    }
  }

  #post(plan: WnsPlan, push: Push, url: URL, token: string, mayRenew: boolean): boolean {
    const client = this.#client(url);
    const settle = (reply: Reply): void => {
      if (reply.kind === 'answer' && reply.status === 401 && mayRenew) {
        this.#token.invalidate(token);
        void this.#postWhenReady(plan, push, url, false);
        return;
      }
      push.settle(this.#judge(reply));
      this.#gate.heard();
    };
    const head = headOf(plan, url.host, token);
    const path = url.pathname + url.search;
    const room = postOne(client, { head, path, fields: [], body: push.payload, urgent: push.urgent, settle });
    if (!room) this.#crowded = client;
    return room && this.#gate.trusted;
  }

  #judge(reply: Reply): PushOutcome {
    if (reply.kind !== 'answer')
      return {
        kind: 'retry',
        cause: `${reply.kind}:${reply.cause}`,
        retryAfterMs: undefined,
        uncertain: reply.kind === 'lost',
      };
    if (reply.status === 401) return this.#gate.stop('401');
    this.#gate.open();
    // Too many from this service, whatever the channel.
    if (reply.status === 406 || reply.status === 429) {
      const asked = continueAfterMs(reply) ?? retryAfterMs(field(reply, 'retry-after'), this.#now());
      return this.#gate.throttle(String(reply.status), asked ?? throttlePauseMs);
    }
    if (reply.status !== 200) return judgeFailure(reply, this.#now());
    this.#gate.taken();
    return judgeTaken(reply);
  }

  #client(url: URL): Transport {
    const known = this.#clients.get(url.host);
    if (known !== undefined) return known;
    if (this.#clients.size >= maxHosts) this.#dropOldest();
    const { ca, connection } = this.#options;
    const port = url.port === '' ? 443 : Number(url.port);
    const client = new Http1Client({ host: url.hostname, port, ...(ca === undefined ? {} : { ca }), ...connection });
    this.#clients.set(url.host, client);
    return client;
  }

  #dropOldest(): void {
    const [host, client] = this.#clients.entries().next().value!;
    this.#clients.delete(host);
    void client.close();
  }

  async #fetchToken(): Promise<{ token: string; expiresInSeconds: number }> {
    const { credentials, ca } = this.#options;
    const own = 'tenantId' in credentials;
    const defaultUrl = own
      ? `https://login.microsoftonline.com/${encodeURIComponent(credentials.tenantId)}/oauth2/v2.0/token`
      : liveTokenUrl;
    const form = {
      grant_type: 'client_credentials',
      client_id: own ? credentials.appId : credentials.packageSid,
      client_secret: credentials.secret,
      scope: own ? 'https://wns.windows.com/.default' : 'notify.windows.com',
    };
    const fetched = await fetchToken(this.#options.tokenUrl ?? defaultUrl, form, ca);
    this.#emit({ name: 'push.token-renewed', platform: 'wns' });
    return fetched;
  }
}

function headOf(plan: WnsPlan, host: string, token: string): RequestHead {
  const known = plan.heads.get(host);
  if (known?.token === token) return known.head;
  const head: RequestHead = {
    method: 'POST',
    authority: host,
    fields: ['authorization', `Bearer ${token}`, ...plan.fields],
  };
  plan.heads.set(host, { token, head });
  return head;
}

/** 200 alone says little: WNS also answers it for what it threw away. */
function judgeTaken(answer: Answer): PushOutcome {
  const status = field(answer, 'x-wns-status')?.toLowerCase();
  if (status === 'dropped')
    return {
      kind: 'refused',
      cause: 'dropped',
      detail: 'WNS took it and dropped it: the user or the app switched it off.',
    };
  if (status === 'channelthrottled')
    return { kind: 'retry', cause: 'channelthrottled', retryAfterMs: continueAfterMs(answer) };
  return { kind: 'delivered' };
}

function judgeFailure(answer: Answer, now: number): PushOutcome {
  const { status } = answer;
  const detail = field(answer, 'x-wns-error-description');
  if (status === 404 || status === 410) return { kind: 'gone', cause: String(status) };
  // The channel belongs to another app: for this hub it is as good as gone.
  if (status === 403) return { kind: 'gone', cause: '403' };
  if (status >= 500)
    return { kind: 'retry', cause: String(status), retryAfterMs: retryAfterMs(field(answer, 'retry-after'), now) };
  return { kind: 'refused', cause: status === 413 ? 'PayloadTooLarge' : String(status), detail };
}

function continueAfterMs(answer: Answer): number | undefined {
  const seconds = Number(field(answer, 'x-wns-continue-after'));
  return Number.isNaN(seconds) ? undefined : seconds * 1000;
}

function tooLarge(push: Push): PushOutcome | undefined {
  return Buffer.byteLength(push.payload) > maxBytes ? { kind: 'refused', cause: 'PayloadTooLarge' } : undefined;
}
