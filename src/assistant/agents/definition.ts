// The agents of the config: programs written with the Microsoft 365 Agents SDK or the Bot Framework SDK that answer
// people. The one named `assistant` is who people talk to if they choose nobody else.
import { isRecord } from '../../kit/record.ts';

/** `anonymous` only for development: no keys in either direction, and both programs on this machine. */
export type AgentAuth = 'anonymous' | { readonly clientId: string };

export type AgentDefinition = {
  /** Where it takes activities, such as http://localhost:3978/api/messages. */
  readonly url: string;
  readonly auth: AgentAuth;
  /** What people see as the sender; the agent's name if left out. */
  readonly displayName?: string;
};

export type NamedAgent = AgentDefinition & { readonly name: string };

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const GUID = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
const FIELDS = ['url', 'auth', 'displayName'];

/** Reads the `agents` of the config; what is wrong goes to `problems`. */
export function readAgents(value: unknown, problems: string[]): NamedAgent[] {
  if (value === undefined) return [];
  if (!isRecord(value)) {
    problems.push('assistant.agents: must be an object of name -> { url, auth }.');
    return [];
  }
  return Object.entries(value).flatMap(([name, given]) => readAgent(name, given, problems));
}

function readAgent(name: string, given: unknown, problems: string[]): NamedAgent[] {
  const at = `assistant.agents.${name}`;
  const before = problems.length;
  const say = (path: string, what: string) => problems.push(`${at}${path}: ${what}`);
  if (!NAME.test(name)) say('', 'a name has 1 to 64 letters, digits, dots, underscores and dashes.');
  if (!isRecord(given)) {
    say('', 'must be { url, auth }.');
    return [];
  }
  for (const field of Object.keys(given))
    if (!FIELDS.includes(field)) say(`.${field}`, `there is no such field; there are ${FIELDS.join(', ')}.`);
  const { url, auth, displayName } = given;
  if (!isHttpUrl(url)) say('.url', 'must be an address such as http://localhost:3978/api/messages.');
  if (!isAuth(auth)) say('.auth', "must be 'anonymous' or { clientId: '<guid>' }.");
  else if (auth === 'anonymous' && isHttpUrl(url) && !isLoopback(new URL(url).hostname))
    say('.auth', 'anonymous is for agents on this machine only; give { clientId } and run the agent in signed mode.');
  if (displayName !== undefined && (typeof displayName !== 'string' || displayName === '' || displayName.length > 100))
    say('.displayName', 'must be a text of 1 to 100 characters.');
  // Checked just above.
  return problems.length === before ? [{ ...(given as AgentDefinition), name }] : [];
}

function isAuth(value: unknown): value is AgentAuth {
  if (value === 'anonymous') return true;
  return isRecord(value) && typeof value.clientId === 'string' && GUID.test(value.clientId);
}

function isHttpUrl(value: unknown): value is string {
  return typeof value === 'string' && URL.canParse(value) && /^https?:$/.test(new URL(value).protocol);
}

/** Whether a host name or an address is this machine and nothing else. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase();
  return /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|::1|::ffff:127(\.\d{1,3}){3})$/.test(bare);
}
