// Access tokens by client credentials, kept until shortly before they end. Who asks while one is being fetched waits for it.
import { isRecord } from '../../kit/record.ts';
import { type Answer, call } from '../call.ts';
import { endpointsOf, type TeamsConnection } from './connection.ts';

type Kept = { readonly token: string; readonly until: number };

/** The token service said no, or nothing. */
export class NoToken extends Error {
  override readonly name = 'NoToken';
  /** `invalid_client` and the like, or why there was no answer. */
  readonly code: string;
  readonly retryAfterMs: number | undefined;

  constructor(code: string, retryAfterMs: number | undefined) {
    super(`The token service gave no token: ${code}`);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

const MARGIN_MS = 5 * 60_000;

export class AccessTokens {
  readonly #connection: TeamsConnection;
  readonly #kept = new Map<string, Kept>();
  readonly #coming = new Map<string, Promise<string>>();

  constructor(connection: TeamsConnection) {
    this.#connection = connection;
  }

  /** Rejects with {@link NoToken}. */
  get(scope: string): Promise<string> {
    const kept = this.#kept.get(scope);
    if (kept && kept.until > Date.now()) return Promise.resolve(kept.token);
    const coming = this.#coming.get(scope) ?? this.#fetch(scope).finally(() => this.#coming.delete(scope));
    this.#coming.set(scope, coming);
    return coming;
  }

  /** The service did not take it: the next one is fetched. */
  drop(token: string): void {
    for (const [scope, kept] of this.#kept) if (kept.token === token) this.#kept.delete(scope);
  }

  async #fetch(scope: string): Promise<string> {
    const { tenantId, appId, secret = '' } = this.#connection;
    const form = { grant_type: 'client_credentials', client_id: appId, client_secret: secret, scope };
    const answer = await call({
      method: 'POST',
      url: `${endpointsOf(this.#connection).login}/${tenantId}/oauth2/v2.0/token`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(form).toString(),
    });
    const { token, seconds } = readToken(answer);
    // A token that lives shortly is kept for half of its life.
    const keepMs = Math.max(seconds * 1000 - MARGIN_MS, seconds * 500);
    this.#kept.set(scope, { token, until: Date.now() + keepMs });
    return token;
  }
}

function readToken({ status, json, cause, retryAfterMs }: Answer): { token: string; seconds: number } {
  const body = isRecord(json) ? json : {};
  if (status === 200 && typeof body.access_token === 'string')
    return { token: body.access_token, seconds: Number(body.expires_in) || 3600 };
  const code = typeof body.error === 'string' ? body.error : (cause ?? `token_${status}`);
  throw new NoToken(code, retryAfterMs);
}
