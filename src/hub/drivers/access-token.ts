// An OAuth access token that is fetched when first needed, shared by every push, renewed before it ends and at once when the service says
// no to it. One fetch at a time, whoever asks; a failed fetch is not repeated before a pause.

import { request } from 'node:https';

export type FetchedToken = { readonly token: string; readonly expiresInSeconds: number };

/** `denied`: the token service answered and said no: the credentials are wrong. Otherwise it could not be reached. */
export class TokenError extends Error {
  override readonly name = 'TokenError';
  readonly denied: boolean;
  constructor(message: string, denied: boolean) {
    super(message);
    this.denied = denied;
  }
}

const renewBeforeMs = 5 * 60_000;
const pauseAfterFailureMs = 10_000;

export class AccessToken {
  readonly #fetch: () => Promise<FetchedToken>;
  readonly #now: () => number;
  #token: string | undefined;
  #goodUntil = 0;
  #fetching: Promise<string> | undefined;
  #failure: TokenError | undefined;
  #notBefore = 0;

  constructor(fetch: () => Promise<FetchedToken>, now: () => number = Date.now) {
    this.#fetch = fetch;
    this.#now = now;
  }

  /** The token if it is good right now; starts a renewal in the background when it is nearly over. */
  current(): string | undefined {
    const left = this.#goodUntil - this.#now();
    if (left < renewBeforeMs && this.#token !== undefined) this.get().catch(() => {});
    return left > 0 ? this.#token : undefined;
  }

  /** A fresh enough token. Rejects with TokenError. */
  get(): Promise<string> {
    if (this.#token !== undefined && this.#goodUntil - this.#now() > renewBeforeMs) return Promise.resolve(this.#token);
    if (this.#fetching !== undefined) return this.#fetching;
    if (this.#failure !== undefined && this.#now() < this.#notBefore) return Promise.reject(this.#failure);
    this.#fetching = this.#renew().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  /** The service refused this token. Ignored when it has been replaced meanwhile. */
  invalidate(token: string): void {
    if (token !== this.#token) return;
    this.#token = undefined;
    this.#goodUntil = 0;
  }

  async #renew(): Promise<string> {
    try {
      const { token, expiresInSeconds } = await this.#fetch();
      this.#token = token;
      this.#goodUntil = this.#now() + expiresInSeconds * 1000;
      this.#failure = undefined;
      return token;
    } catch (error) {
      this.#failure = error instanceof TokenError ? error : new TokenError(String(error), false);
      this.#notBefore = this.#now() + pauseAfterFailureMs;
      throw this.#failure;
    }
  }
}

/** Posts a form to a token service and reads `access_token` and `expires_in`. Rejects with TokenError. */
export function fetchToken(
  url: string,
  form: Readonly<Record<string, string>>,
  ca?: string | readonly string[],
): Promise<FetchedToken> {
  const body = new URLSearchParams(form).toString();
  const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const trust = ca === undefined ? {} : { ca: ca as string | string[] };
    const asked = request(url, { method: 'POST', headers, timeout: 15_000, ...trust }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', (error) => reject(new TokenError(`token service: ${error.message}`, false)));
      response.on('end', () => {
        try {
          resolve(readAnswer(response.statusCode ?? 0, Buffer.concat(chunks).toString()));
        } catch (error) {
          reject(error);
        }
      });
    });
    asked.on('timeout', () => asked.destroy(new Error('time-out')));
    asked.on('error', (error: NodeJS.ErrnoException) =>
      reject(new TokenError(`token service: ${error.code ?? error.message}`, false)),
    );
    asked.end(body);
  });
}

function readAnswer(status: number, text: string): FetchedToken {
  const answer = parsed(text);
  const { access_token: token, expires_in: seconds } = answer;
  if (status === 200 && typeof token === 'string') return { token, expiresInSeconds: Number(seconds) || 3600 };
  // 4xx is a verdict on the credentials, except for "too many" and "took too long".
  const denied = status >= 400 && status < 500 && status !== 429 && status !== 408;
  throw new TokenError(`token service: ${status} ${String(answer.error ?? '')}`.trim(), denied);
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    return (JSON.parse(text) ?? {}) as Record<string, unknown>;
  } catch {
    return {};
  }
}
