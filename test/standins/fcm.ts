// Firebase Cloud Messaging HTTP v1 with its OAuth token service, as far as a sender can see them.
// Source: Firebase "REST Resource: projects.messages", "FCM error codes"; Google "Using OAuth 2.0 for server to server applications".
//
// Registration tokens tell how they will be answered: dead-... 404 UNREGISTERED, bad-... 400 INVALID_ARGUMENT (the token),
// other-... 403 SENDER_ID_MISMATCH, apns-... 401 THIRD_PARTY_AUTH_ERROR, quota-... 429 QUOTA_EXCEEDED with Retry-After,
// 500-... INTERNAL, 503-... UNAVAILABLE with Retry-After, anything else 200.

import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import type { LocalCertificate } from '../../src/kit/certificate.ts';
import { readToken, signedBy } from './jwt.ts';
import { json, Service, Shelf, type StandinAnswer, type StandinRequest } from './service.ts';

export type FcmMessage = Readonly<Record<string, unknown>>;

/** The members of Google's key file that a sender needs. */
export type ServiceAccount = {
  readonly type: 'service_account';
  readonly project_id: string;
  readonly private_key_id: string;
  readonly private_key: string;
  readonly client_email: string;
  readonly token_uri: string;
};

const scripts: Readonly<Record<string, readonly [status: number, code: string, message: string, retryAfter?: number]>> =
  {
    dead: [404, 'UNREGISTERED', 'Requested entity was not found.'],
    bad: [400, 'INVALID_ARGUMENT', 'The registration token is not a valid FCM registration token'],
    other: [403, 'SENDER_ID_MISMATCH', 'SenderId mismatch'],
    apns: [401, 'THIRD_PARTY_AUTH_ERROR', 'Auth error from APNS or Web Push Service'],
    quota: [429, 'QUOTA_EXCEEDED', 'Quota exceeded for quota metric', 7],
    500: [500, 'INTERNAL', 'Internal error encountered.'],
    503: [503, 'UNAVAILABLE', 'The service is currently unavailable.', 11],
  };
const statusNames: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  503: 'UNAVAILABLE',
};

export class FcmStandin {
  readonly messages = new Shelf<FcmMessage>();
  readonly certificate: LocalCertificate;
  /** Access tokens given out so far. */
  tokensIssued = 0;
  account!: ServiceAccount;
  service!: Service;
  readonly #publicKey: KeyObject;
  readonly #privateKey: string;
  readonly #now: () => number;
  readonly #tokens = new Map<string, number>();

  private constructor(certificate: LocalCertificate, now: () => number) {
    this.certificate = certificate;
    const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.#publicKey = pair.publicKey;
    this.#privateKey = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    this.#now = now;
  }

  static async start(options: {
    certificate: LocalCertificate;
    port?: number;
    now?: () => number;
  }): Promise<FcmStandin> {
    const standin = new FcmStandin(options.certificate, options.now ?? Date.now);
    const answer = (request: StandinRequest): StandinAnswer => standin.answer(request);
    standin.service = await Service.start({
      certificate: options.certificate,
      port: options.port ?? 0,
      maxStreams: 100,
      http1: 'too',
      answer,
    });
    standin.account = {
      type: 'service_account',
      project_id: 'example-project',
      private_key_id: 'key-1',
      private_key: standin.#privateKey,
      client_email: 'push@example-project.iam.gserviceaccount.com',
      token_uri: `${standin.service.url}/token`,
    };
    return standin;
  }

  stop(): Promise<void> {
    return this.service.stop();
  }

  /** All access tokens given out so far stop working. */
  revokeTokens(): void {
    this.#tokens.clear();
  }

  answer(request: StandinRequest): StandinAnswer {
    if (request.path === '/token') return this.#token(request);
    if (request.path !== `/v1/projects/${this.account.project_id}/messages:send`)
      return failure(404, 'NOT_FOUND', 'Not found.');
    const bearer = (request.headers.authorization ?? '').replace(/^Bearer /, '');
    if ((this.#tokens.get(bearer) ?? 0) < this.#now())
      return failure(401, 'UNAUTHENTICATED', 'Request had invalid authentication credentials.');
    return this.#send(request.body);
  }

  #token(request: StandinRequest): StandinAnswer {
    const form = new URLSearchParams(request.body.toString());
    const token = readToken(form.get('assertion') ?? '');
    const claims = token?.claims;
    const now = this.#now() / 1000;
    const right =
      form.get('grant_type') === 'urn:ietf:params:oauth:grant-type:jwt-bearer' &&
      token !== undefined &&
      signedBy(token, this.#publicKey) &&
      claims?.iss === this.account.client_email &&
      claims.aud === this.account.token_uri &&
      claims.scope === 'https://www.googleapis.com/auth/firebase.messaging' &&
      Number(claims.exp) > now &&
      Number(claims.exp) - Number(claims.iat) <= 3600;
    if (!right) return json(400, { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' });
    const issued = `ya29.${randomUUID()}`;
    this.tokensIssued += 1;
    this.#tokens.set(issued, this.#now() + 3599_000);
    return json(200, { access_token: issued, expires_in: 3599, token_type: 'Bearer' });
  }

  #send(body: Buffer): StandinAnswer {
    let message: FcmMessage | undefined;
    try {
      message = (JSON.parse(body.toString()) as { message?: FcmMessage }).message;
    } catch {
      return badRequest('Invalid JSON payload received.');
    }
    const wrong = checkMessage(message, body.length);
    if (wrong !== undefined) return badRequest(wrong);
    const token = String(message?.token ?? '');
    const script = scripts[token.split('-')[0] ?? ''];
    if (script !== undefined) return scripted(script);
    this.messages.add(message!);
    return json(200, {
      name: `projects/${this.account.project_id}/messages/0:${this.messages.total}%${randomUUID().slice(0, 8)}`,
    });
  }
}

function checkMessage(message: FcmMessage | undefined, bytes: number): string | undefined {
  if (message === undefined || typeof message !== 'object') return 'Request contains an invalid argument: message.';
  if (['token', 'topic', 'condition'].filter((target) => message[target] !== undefined).length !== 1)
    return 'Recipient of the message is not set.';
  const data = (message.data ?? {}) as Record<string, unknown>;
  if (Object.values(data).some((value) => typeof value !== 'string'))
    return "Invalid value at 'message.data[0].value' (TYPE_STRING)";
  // The real limit counts the payload; the envelope is a few hundred bytes.
  return bytes > 4096 + 512 ? 'Android message is too big' : undefined;
}

function scripted([status, code, message, retryAfter]: readonly [number, string, string, number?]): StandinAnswer {
  return failure(status, code, message, retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) });
}

function failure(
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): StandinAnswer {
  const details = [{ '@type': 'type.googleapis.com/google.firebase.fcm.v1.FcmError', errorCode: code }];
  return json(status, { error: { code: status, message, status: statusNames[status], details } }, headers);
}

function badRequest(description: string): StandinAnswer {
  const details = [
    { '@type': 'type.googleapis.com/google.rpc.BadRequest', fieldViolations: [{ field: 'message', description }] },
  ];
  return json(400, { error: { code: 400, message: description, status: 'INVALID_ARGUMENT', details } });
}
