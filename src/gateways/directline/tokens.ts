// The tokens of Direct Line clients: a JWT for one person in one conversation. Clients read the claim `user` without
// checking it, and then let nobody say who they are; we check it, and put it on everything they say. A token that is
// refreshed keeps its `sid`: one page, one `sid`, one socket.
import { hkdfSync } from 'node:crypto';
import { jwtVerify, SignJWT } from 'jose';
import { Refusal } from '../../kit/refusal.ts';

export type Claims = {
  readonly conversationId: string;
  /** The recipient. */
  readonly user: string;
  readonly userName?: string;
  readonly sid: string;
  /** Pages that may use it; those of the configuration if left out. */
  readonly origins?: readonly string[];
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
};

export type Issued = { readonly token: string; readonly expires_in: number };

const ISSUER = 'urn:carillon:directline';

export class Tokens {
  readonly #key: Buffer;
  readonly #lifeS: number;

  /** `secret` is the same on all nodes. Clients refresh every 15 minutes, whatever we say: 30 minutes at least. */
  constructor(secret: string, lifeMinutes: number) {
    this.#key = Buffer.from(hkdfSync('sha256', secret, '', 'direct line tokens', 32));
    this.#lifeS = lifeMinutes * 60;
  }

  async issue(claims: Omit<Claims, 'expiresAt'>): Promise<Issued> {
    const { conversationId, user, userName, origins, sid } = claims;
    const token = await new SignJWT({
      conv: conversationId,
      user,
      sid,
      ...(userName && { userName }),
      ...(origins && { origins }),
    })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setIssuer(ISSUER)
      .setIssuedAt()
      .setExpirationTime(`${this.#lifeS}s`)
      .sign(this.#key);
    return { token, expires_in: this.#lifeS };
  }

  /** Refuses (`token_invalid`) what is forged or over. */
  async verify(token: string): Promise<Claims> {
    const { payload } = await jwtVerify(token, this.#key, { issuer: ISSUER, algorithms: ['HS256'] }).catch(
      (error: Error & { code?: string }) => {
        const why = error.code === 'ERR_JWT_EXPIRED' ? 'The token has expired.' : 'The token is not valid.';
        throw new Refusal('token_invalid', `${why} Get a new one with POST /tokens/generate.`, {}, error);
      },
    );
    // We wrote the claims, as the signature shows.
    const { conv, exp, ...rest } = payload as unknown as { conv: string; exp: number } & Omit<Claims, 'conversationId'>;
    return { ...rest, conversationId: conv, expiresAt: exp * 1000 };
  }
}
