// The Windows Push Notification Services with their token service, over HTTP/1.1 as the real ones.
// Source: Microsoft "Push notification service request and response headers", "Request and receive an access token".
//
// Channel names (`/w/?token=...`) tell how they will be answered: dead-... 410, gone-... 404, other-... 403, full-... 406 with
// X-WNS-CONTINUE-AFTER, drop-... 200 but dropped, throttled-... 200 but channelthrottled, 500-... 500, 503-... 503, else 200 received.

import { randomUUID } from 'node:crypto';
import type { LocalCertificate } from '../../src/kit/certificate.ts';
import { json, Service, Shelf, type StandinAnswer, type StandinRequest } from './service.ts';

export type WnsPush = {
  readonly channel: string;
  readonly type: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

const scripts: Readonly<Record<string, StandinAnswer>> = {
  dead: wns(410, { 'x-wns-error-description': 'The channel has expired' }),
  gone: wns(404, { 'x-wns-error-description': 'The channel URI is not valid' }),
  other: wns(403, { 'x-wns-error-description': 'The app is not authorized for this channel' }),
  full: wns(406, { 'x-wns-error-description': 'Throttled', 'x-wns-continue-after': '9' }),
  drop: wns(200, { 'x-wns-status': 'dropped' }),
  throttled: wns(200, { 'x-wns-status': 'channelthrottled' }),
  500: wns(500),
  503: wns(503, { 'retry-after': '3' }),
};

export class WnsStandin {
  readonly pushes = new Shelf<WnsPush>();
  readonly certificate: LocalCertificate;
  readonly credentials = { packageSid: 'ms-app://s-1-15-2-example', secret: 'wns-secret' };
  tokensIssued = 0;
  service!: Service;
  readonly #tokens = new Map<string, number>();
  readonly #now: () => number;

  private constructor(certificate: LocalCertificate, now: () => number) {
    this.certificate = certificate;
    this.#now = now;
  }

  static async start(options: {
    certificate: LocalCertificate;
    port?: number;
    now?: () => number;
  }): Promise<WnsStandin> {
    const standin = new WnsStandin(options.certificate, options.now ?? Date.now);
    const answer = (request: StandinRequest): StandinAnswer => standin.answer(request);
    standin.service = await Service.start({
      certificate: options.certificate,
      port: options.port ?? 0,
      http1: 'only',
      answer,
    });
    return standin;
  }

  get tokenUrl(): string {
    return `${this.service.url}/accesstoken.srf`;
  }

  channel(name: string): string {
    return `${this.service.url}/w/?token=${name}`;
  }

  stop(): Promise<void> {
    return this.service.stop();
  }

  revokeTokens(): void {
    this.#tokens.clear();
  }

  answer(request: StandinRequest): StandinAnswer {
    const url = new URL(request.path, this.service.url);
    if (url.pathname === '/accesstoken.srf') return this.#token(new URLSearchParams(request.body.toString()));
    if (url.pathname !== '/w/') return wns(404);
    if (request.method !== 'POST') return wns(405);
    return this.#push(request, url.searchParams.get('token') ?? '');
  }

  #token(form: URLSearchParams): StandinAnswer {
    const { packageSid, secret } = this.credentials;
    const right = form.get('client_id') === packageSid && form.get('client_secret') === secret;
    if (!right || form.get('grant_type') !== 'client_credentials' || form.get('scope') !== 'notify.windows.com')
      return json(400, { error: 'invalid_client', error_description: 'The client credentials are not valid.' });
    const token = randomUUID();
    this.tokensIssued += 1;
    this.#tokens.set(token, this.#now() + 86_400_000);
    return json(200, { access_token: token, token_type: 'bearer', expires_in: 86_400 });
  }

  #push(request: StandinRequest, channel: string): StandinAnswer {
    const bearer = (request.headers.authorization ?? '').replace(/^Bearer /, '');
    if ((this.#tokens.get(bearer) ?? 0) < this.#now())
      return wns(401, { 'www-authenticate': 'Bearer error="invalid_token"' });
    const wrong = check(request);
    if (wrong !== undefined) return wrong;
    const script = scripts[channel.split('-')[0] ?? ''];
    if (script !== undefined) return script;
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    this.pushes.add({ channel, type: headers['x-wns-type']!, headers, body: request.body.toString() });
    return wns(200, { 'x-wns-status': 'received', 'x-wns-deviceconnectionstatus': 'connected' });
  }
}

function check(request: StandinRequest): StandinAnswer | undefined {
  const type = request.headers['x-wns-type'];
  const { headers, body } = request;
  if (headers['transfer-encoding'] !== undefined || headers['content-length'] === undefined)
    return wns(400, { 'x-wns-error-description': 'Content-Length is required' });
  if (typeof type !== 'string' || !/^wns\/(toast|tile|badge|raw)$/.test(type))
    return wns(400, { 'x-wns-error-description': 'X-WNS-Type is missing or wrong' });
  const expected = type === 'wns/raw' ? 'application/octet-stream' : 'text/xml';
  if (headers['content-type']?.split(';')[0] !== expected)
    return wns(400, { 'x-wns-error-description': 'Content-Type is wrong' });
  return body.length > 5000 ? wns(413) : undefined;
}

function wns(status: number, headers: Readonly<Record<string, string>> = {}): StandinAnswer {
  return {
    status,
    headers: { 'x-wns-msg-id': randomUUID().slice(0, 16).toUpperCase(), 'x-wns-debug-trace': 'STANDIN', ...headers },
  };
}
