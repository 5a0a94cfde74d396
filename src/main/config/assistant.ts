// The section `assistant` of the config: who answers people, and which pages may show conversations.
import { type AgentDefinition, type NamedAgent, readAgents } from '../../assistant/agents/definition.ts';
import {
  CONNECTION_FIELDS,
  type ConnectionsConfig,
  type LoadedConnections,
  noConnections,
  readConnections,
} from './connections.ts';

export type AssistantConfig = ConnectionsConfig & {
  /**
   * Your own agents, written with the Microsoft 365 Agents SDK or the Bot Framework SDK. The one named `assistant` takes
   * the place of the built-in one: people talk to it if they choose nobody else.
   */
  readonly agents?: Readonly<Record<string, AgentDefinition>>;
  /** Pages that may use a token which names none itself; any page that has a token, if left out. */
  readonly trustedOrigins?: readonly string[];
};

export type LoadedAssistant = {
  readonly agents: readonly NamedAgent[];
  readonly trustedOrigins: readonly string[];
  readonly connections: LoadedConnections;
};

const FIELDS = ['agents', 'trustedOrigins', ...CONNECTION_FIELDS];
const nothing: LoadedAssistant = { agents: [], trustedOrigins: [], connections: noConnections };

export function readAssistant(given: unknown, problems: string[]): LoadedAssistant {
  if (given === undefined) return nothing;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    problems.push('assistant: must be an object such as { agents: {} }.');
    return nothing;
  }
  for (const field of Object.keys(given))
    if (!FIELDS.includes(field))
      problems.push(`assistant.${field}: there is no such field; there are ${FIELDS.join(', ')}.`);
  const section = given as Record<string, unknown>; // an object, as was just seen
  return {
    agents: readAgents(section.agents, problems),
    trustedOrigins: readOrigins(section.trustedOrigins, problems),
    connections: readConnections(section, problems),
  };
}

function readOrigins(given: unknown, problems: string[]): readonly string[] {
  if (given === undefined) return [];
  if (Array.isArray(given) && given.every(isOrigin)) return given;
  problems.push('assistant.trustedOrigins: must be a list of origins such as "https://www.example.org".');
  return [];
}

function isOrigin(value: unknown): value is string {
  return typeof value === 'string' && URL.canParse(value) && new URL(value).origin === value;
}
