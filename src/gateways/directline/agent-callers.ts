// Which agent calls the connector. In signed mode its token says so. An anonymous agent has none, so it must be on this
// machine, come without a proxy in between, and be no web page (a page that a developer has open could else speak for it).
import type { NamedAgent } from '../../assistant/agents/definition.ts';
import { isLoopback } from '../../assistant/agents/definition.ts';
import { verifyAgent } from '../../assistant/agents/signing.ts';
import { type Conversation, findConversation, noConversation } from '../../assistant/conversations/conversation.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { Door } from './door.ts';
import type { Request } from './routing.ts';

/** Undefined: an anonymous one. Refuses `key_missing` (401) and `token_invalid` (403). */
export async function agentOf(door: Door, request: Request): Promise<NamedAgent | undefined> {
  const [, token] = /^bearer +(\S+) *$/i.exec(request.headers.authorization ?? '') ?? [];
  if (token !== undefined) return verifyAgent(door.signing, token);
  if (door.signing.agents.some(({ auth }) => auth === 'anonymous') && isFromHere(request)) return undefined;
  throw new Refusal('key_missing', 'Agents send the token that the sidecar port gives them.');
}

function isFromHere({ headers, socket }: Request): boolean {
  const passedOn = ['x-forwarded-for', 'x-forwarded-host', 'forwarded', 'via', 'origin'].some((name) => headers[name]);
  const host = URL.parse(`http://${headers.host}`)?.hostname ?? '';
  return !passedOn && isLoopback(socket.remoteAddress ?? '') && isLoopback(host);
}

/** The conversation, if it is that agent's. To others it is not there. */
export async function agentsConversation(
  door: Door,
  agent: NamedAgent | undefined,
  id: string,
): Promise<{ agent: NamedAgent; conversation: Conversation }> {
  const conversation = await findConversation(door.exchange.database, id);
  const owner = door.signing.agents.find(({ name }) => name === conversation.agent);
  const mayCall = agent ? owner?.name === agent.name : owner?.auth === 'anonymous';
  if (!owner || !mayCall) throw noConversation(id);
  return { agent: owner, conversation };
}
