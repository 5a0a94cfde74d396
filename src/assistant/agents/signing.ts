// The tokens between us and agents in signed mode. We are the issuer of both: one goes with every activity to the agent,
// which checks it with our published keys; the other one the agent fetches from the sidecar port and sends back with what
// it says. Claims as the Agents SDK 1.8 checks them; `appid` and `azp` must not be in what the agent gets, because it would
// take them for the scope of its own token.
import { jwtVerify, SignJWT } from 'jose';
import { Refusal } from '../../kit/refusal.ts';
import type { NamedAgent } from './definition.ts';
import type { AgentKeys } from './keys.ts';

const CONNECTOR = 'urn:carillon:connector';
const LIVES_S = 60 * 60;
const CLOCK_TOLERANCE_S = 60;

export type SigningDeps = {
  readonly keys: AgentKeys;
  readonly agents: readonly NamedAgent[];
  /** Where agents reach us, without a slash at the end. */
  readonly serviceUrl: () => string;
};

/** What an agent in signed mode is configured with: keys are at `{authority}/discovery/v2.0/keys`. */
export function authorityOf(serviceUrl: string): string {
  return `${serviceUrl}/v3/auth/local`;
}

export function issuerOf(serviceUrl: string): string {
  return `${authorityOf(serviceUrl)}/v2.0`;
}

/** The token that goes to an agent; undefined for an anonymous one. */
export async function tokenForAgent({ keys, serviceUrl }: SigningDeps, agent: NamedAgent): Promise<string | undefined> {
  if (agent.auth === 'anonymous') return undefined;
  const { kid, privateKey } = await keys.current();
  return new SignJWT({ serviceurl: serviceUrl() })
    .setProtectedHeader({ alg: 'RS256', kid, typ: 'JWT' })
    .setIssuer(issuerOf(serviceUrl()))
    .setAudience(agent.auth.clientId)
    .setIssuedAt()
    .setNotBefore('0s')
    .setExpirationTime(`${LIVES_S}s`)
    .sign(privateKey);
}

/** The token that an agent sends to the connector. */
export async function tokenOfAgent({ keys }: SigningDeps, clientId: string): Promise<string> {
  const { kid, privateKey } = await keys.current();
  return new SignJWT({ appid: clientId })
    .setProtectedHeader({ alg: 'RS256', kid, typ: 'JWT' })
    .setIssuer(CONNECTOR)
    .setAudience(CONNECTOR)
    .setIssuedAt()
    .setExpirationTime(`${LIVES_S}s`)
    .sign(privateKey);
}

/** Which agent sends this token. Refuses (`token_invalid`) what we did not sign, what is over, and unknown agents. */
export async function verifyAgent({ keys, agents }: SigningDeps, token: string): Promise<NamedAgent> {
  const keyOf = async ({ kid }: { kid?: string }) => {
    const key = kid === undefined ? undefined : await keys.find(kid);
    if (!key) throw new Refusal('token_invalid', 'The token is not signed with a key of this server.');
    return key;
  };
  const options = { issuer: CONNECTOR, audience: CONNECTOR, algorithms: ['RS256'], clockTolerance: CLOCK_TOLERANCE_S };
  const { payload } = await jwtVerify(token, keyOf, options).catch((error: Error & { code?: string }) => {
    if (error instanceof Refusal) throw error;
    // jose marks its own findings; anything else (the database) is not the token's fault.
    if (!error.code?.startsWith('ERR_J')) throw error;
    throw new Refusal('token_invalid', 'The token is forged, for somebody else, or its time is over.', {}, error);
  });
  const agent = agents.find(({ auth }) => auth !== 'anonymous' && auth.clientId === payload.appid);
  if (!agent) throw new Refusal('token_invalid', 'The agent of this token is not in the configuration.');
  return agent;
}
