// Whether an activity really comes from Teams: the token is signed by a key that the issuer publishes, was made for this
// bot, names the service that the activity names, and the key is endorsed for the channel. Source: Microsoft
// "Authenticate requests with the Bot Connector API", "Connector to Bot".
import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify } from 'jose';
import { isRecord } from '../../kit/record.ts';
import { Refusal } from '../../kit/refusal.ts';
import { call } from '../call.ts';
import { endpointsOf, isTrustedService, type TeamsConnection } from './connection.ts';

/** Clocks may differ by this much. */
const TOLERANCE_SECONDS = 300;
const METADATA_FOR_MS = 24 * 60 * 60_000;

type KeySet = ReturnType<typeof createRemoteJWKSet>;

export class TeamsVerifier {
  readonly #connection: TeamsConnection;
  #keys: { readonly set: Promise<KeySet>; readonly until: number } | undefined;

  constructor(connection: TeamsConnection) {
    this.#connection = connection;
  }

  /** Refuses `token_invalid`, or `bad_request` for a service address that is not of Teams. */
  async verify(authorization: string | undefined, activity: Readonly<Record<string, unknown>>): Promise<void> {
    const [, token] = /^bearer +(\S+)$/i.exec(authorization ?? '') ?? [];
    if (token === undefined) throw new Refusal('key_missing', 'The activity carries no token.');
    const { payload, kid } = await this.#check(token);
    const { serviceUrl, channelId } = activity;
    if (typeof serviceUrl !== 'string' || !isTrustedService(this.#connection, serviceUrl))
      throw new Refusal('bad_request', 'The service address of the activity is not one of this connection.');
    const claimed = payload.serviceurl ?? payload.serviceUrl;
    if (claimed !== undefined && trimmed(String(claimed)) !== trimmed(serviceUrl))
      throw new Refusal('bad_request', 'The token is for another service address than the activity names.');
    await this.#checkEndorsement(kid, channelId);
  }

  async #check(token: string): Promise<{ payload: JWTPayload; kid: string | undefined }> {
    const { appId } = this.#connection;
    const keys = await this.#keySet();
    try {
      const { payload, protectedHeader } = await jwtVerify(token, keys, {
        algorithms: ['RS256'],
        issuer: endpointsOf(this.#connection).issuer,
        audience: appId,
        clockTolerance: TOLERANCE_SECONDS,
        requiredClaims: ['exp'],
      });
      return { payload, kid: protectedHeader.kid };
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error;
      // Nothing was read from the issuer: that is no fault of the token.
      if (error instanceof errors.JWKSTimeout)
        throw new Refusal('busy', 'The keys of the token service cannot be read right now.', {}, error);
      throw new Refusal('token_invalid', 'The token of the activity is not valid.', {}, error);
    }
  }

  async #checkEndorsement(kid: string | undefined, channelId: unknown): Promise<void> {
    const keys = (await this.#keySet()).jwks()?.keys ?? [];
    const key = keys.find((each) => each.kid === kid) as { endorsements?: unknown } | undefined;
    const endorsements = key?.endorsements;
    if (Array.isArray(endorsements) && !endorsements.includes(channelId))
      throw new Refusal('token_invalid', `The key of the token is not endorsed for the channel ${String(channelId)}.`);
  }

  #keySet(): Promise<KeySet> {
    if (this.#keys && this.#keys.until > Date.now()) return this.#keys.set;
    const set = this.#fetchMetadata();
    this.#keys = { set, until: Date.now() + METADATA_FOR_MS };
    set.catch(() => {
      this.#keys = undefined; // asked again with the next activity
    });
    return set;
  }

  async #fetchMetadata(): Promise<KeySet> {
    const { metadata } = endpointsOf(this.#connection);
    const { status, json } = await call({ method: 'GET', url: metadata });
    const uri = isRecord(json) ? json.jwks_uri : undefined;
    if (status !== 200 || typeof uri !== 'string')
      throw new Refusal('busy', 'The metadata of the token service cannot be read right now.');
    return createRemoteJWKSet(new URL(uri), { timeoutDuration: 10_000, cooldownDuration: 5_000 });
  }
}

function trimmed(url: string): string {
  return url.replace(/\/+$/, '').toLowerCase();
}
