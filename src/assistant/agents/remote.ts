// Hands an activity to an agent over HTTP, as the Bot Framework's channels do: POST to its address, 200 or 202 when it
// was taken; the body matters for invokes and expected replies only.
import { Refusal } from '../../kit/refusal.ts';
import type { Emit } from '../../kit/signals.ts';
import type { Activity } from '../conversations/activity.ts';
import type { NamedAgent } from './definition.ts';
import { type SigningDeps, tokenForAgent } from './signing.ts';

export type AgentAnswer = { readonly status: number; readonly body?: unknown };

/** What takes the turns of people: a program behind an address, or one in this process. */
export type Agent = {
  readonly name: string;
  readonly displayName?: string;
  /** Refuses `agent_failed` when the agent does not take it. */
  readonly receive: (activity: Activity) => Promise<AgentAnswer>;
};

export type AgentSignal =
  | { readonly name: 'agent.answered'; readonly agent: string; readonly status: number; readonly tookMs: number }
  | { readonly name: 'agent.failed'; readonly agent: string; readonly cause: string; readonly tookMs: number };

export type RemoteDeps = SigningDeps & {
  readonly emit: Emit<AgentSignal>;
  /** How long an agent may take for one turn. */
  readonly timeoutMs: number;
};

const MAX_ANSWER_BYTES = 1024 * 1024;

export function remoteAgent(deps: RemoteDeps, agent: NamedAgent): Agent {
  const { name, displayName } = agent;
  return { name, ...(displayName && { displayName }), receive: (activity) => receive(deps, agent, activity) };
}

async function receive(deps: RemoteDeps, agent: NamedAgent, activity: Activity): Promise<AgentAnswer> {
  const began = performance.now();
  const took = () => performance.now() - began;
  const fail = (cause: string, error?: unknown): never => {
    deps.emit({ name: 'agent.failed', agent: agent.name, cause, tookMs: took() });
    throw new Refusal('agent_failed', `The agent ${agent.name} ${cause}.`, {}, error);
  };
  const answer = await post(deps, agent, activity).catch((error: Error) => fail(causeOf(error, deps.timeoutMs), error));
  const isInvoke = activity.type === 'invoke';
  // The result of an invoke may well be an error for the caller; everything else is taken or not.
  if (!isInvoke && (answer.status < 200 || answer.status > 299)) fail(`answered ${answer.status}`);
  if (isInvoke && answer.status >= 500) fail(`answered ${answer.status}`);
  deps.emit({ name: 'agent.answered', agent: agent.name, status: answer.status, tookMs: took() });
  return answer;
}

async function post(deps: RemoteDeps, agent: NamedAgent, activity: Activity): Promise<AgentAnswer> {
  const token = await tokenForAgent(deps, agent);
  const answer = await fetch(agent.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify(withoutBlanks({ ...activity, serviceUrl: deps.serviceUrl() })),
    // A redirect would carry the token elsewhere.
    redirect: 'error',
    signal: AbortSignal.timeout(deps.timeoutMs),
  });
  const text = await textOf(answer);
  return { status: answer.status, ...(text !== '' && { body: parsed(text) }) };
}

async function textOf(answer: Response): Promise<string> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of answer.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_ANSWER_BYTES) throw new Error('its answer is too large');
  }
  return text;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function causeOf(error: Error, timeoutMs: number): string {
  if (error.name === 'TimeoutError') return `did not answer within ${timeoutMs / 1000} s`;
  const code = ((error.cause ?? error) as NodeJS.ErrnoException).code;
  return code === 'ECONNREFUSED' ? 'is not running (ECONNREFUSED)' : `could not be reached (${code ?? error.message})`;
}

// What the author filled in by hand stays as it is: there an empty string is an answer.
const UNTOUCHED = new Set(['value', 'channelData', 'content', 'entities']);

/** Without nulls and empty strings, which the SDKs' validation refuses in most places. */
export function withoutBlanks(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutBlanks);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, each]) => {
      if (each === null || each === undefined || each === '') return [];
      return [[key, UNTOUCHED.has(key) ? each : withoutBlanks(each)]];
    }),
  );
}
