// What is said in a conversation, by the person and by the agent. A person's words are durable first; then the rooms of
// the assistant hear them (a reference is captured, an answer on a card is taken), then the agent.
//
//   person says --> kept, shown on all their pages --> turns --taken--> done
//                                                        `--> agent (told once who takes part) --> 502 if it fails
//
// A client that got no answer says it again; the same words under the same client id are kept once, and the agent may
// hear them twice, under the same activity id.
import { createHash } from 'node:crypto';
import type { Database } from '../../kit/database.ts';
import { derivedId, freshId } from '../../kit/ids.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { Emit } from '../../kit/signals.ts';
import { type Activity, isShown } from '../conversations/activity.ts';
import { appendActivities, replaceActivity } from '../conversations/append.ts';
import { type Conversation, claimGreeting, undoGreeting } from '../conversations/conversation.ts';
import { findActivity } from '../conversations/read.ts';
import type { ConversationStreams } from '../conversations/streams.ts';
import type { Turns } from '../conversations/turns.ts';
import { type NewUpload, storeUploads } from '../conversations/uploads.ts';
import type { Agents } from './agents.ts';
import type { Agent, AgentAnswer, AgentSignal } from './remote.ts';

export type ExchangeDeps = {
  readonly database: Database;
  readonly streams: ConversationStreams;
  readonly turns: Turns;
  readonly agents: Agents;
  readonly emit: Emit<AgentSignal>;
  /** Makes what an agent says fit for the pages. */
  readonly polish: (activity: Activity) => Activity;
};

export type Said = { readonly id: string; readonly answer?: AgentAnswer };

/**
 * A person says something; `activity.from` is verified, and files that belong to it come along. Refuses `agent_failed`
 * when the agent did not take it; it is kept nevertheless.
 */
export async function userSays(
  deps: ExchangeDeps,
  conversation: Conversation,
  activity: Activity,
  files: readonly NewUpload[] = [],
): Promise<Said> {
  const said = await keep(deps, conversation, activity, files);
  if (await deps.turns.tell({ conversation, activity: said })) return { id: said.id };
  const agent = deps.agents.find(conversation.agent);
  if (!agent) return { id: said.id };
  await greet(deps, conversation);
  const answer = await agent.receive({ ...said, ...addressOf(conversation, agent) });
  if (activity.deliveryMode === 'expectReplies') await takeReplies(deps, agent, conversation, answer);
  return { id: said.id, answer };
}

async function keep(
  { database, streams }: ExchangeDeps,
  { id: conversationId }: Conversation,
  activity: Activity,
  files: readonly NewUpload[],
): Promise<Activity & { readonly id: string }> {
  if (!isShown(activity.type)) {
    const now = new Date();
    return { ...activity, id: freshId('act', now.getTime()), timestamp: now.toISOString(), channelId: 'directline' };
  }
  const id = idOf(conversationId, activity);
  const posted = await database.transaction(async (tx) => {
    await storeUploads(tx, conversationId, files);
    const [one] = await appendActivities(tx, [{ conversationId, activity, author: 'user', ...(id && { id }) }]);
    return one!;
  });
  streams.wake([conversationId]);
  return { ...activity, id: posted.id, timestamp: posted.timestamp.toISOString(), channelId: 'directline' };
}

/** The same words under the same id of the client are the same activity; others under that id are not lost. */
function idOf(conversationId: string, activity: Activity): string | undefined {
  const clientId = activity.channelData?.clientActivityID;
  if (typeof clientId !== 'string' || clientId === '') return undefined;
  const { timestamp: _, localTimestamp: __, ...words } = activity;
  const hash = createHash('sha256').update(JSON.stringify(words)).digest('base64');
  return derivedId('act', conversationId, clientId, hash);
}

function addressOf({ id }: Conversation, { name, displayName }: Agent): Partial<Activity> {
  const recipient = { id: name, name: displayName ?? name, role: 'bot' };
  return { recipient, conversation: { id, isGroup: false } as { id: string } };
}

async function takeReplies(
  deps: ExchangeDeps,
  agent: Agent,
  conversation: Conversation,
  answer: AgentAnswer,
): Promise<void> {
  const { activities } = (answer.body ?? {}) as { activities?: unknown };
  if (!Array.isArray(activities)) return;
  for (const each of activities) {
    if (typeof each === 'object' && each !== null && typeof each.type === 'string')
      await agentSays(deps, agent, conversation.id, each as Activity);
  }
}

/**
 * Tells the agent once who takes part, so that it can say hello; the person comes with their role, because agents look
 * for it. A failure is told to the signals only, and the next turn tries again.
 */
export async function greet({ database, agents }: ExchangeDeps, conversation: Conversation): Promise<void> {
  const agent = agents.find(conversation.agent);
  if (!agent || !(await claimGreeting(database, conversation.id))) return;
  const now = new Date();
  const person = { id: conversation.recipientId, role: 'user' };
  const address = addressOf(conversation, agent);
  try {
    await agent.receive({
      type: 'conversationUpdate',
      id: freshId('act', now.getTime()),
      timestamp: now.toISOString(),
      channelId: 'directline',
      from: person,
      membersAdded: [address.recipient, person],
      ...(conversation.locale && { locale: conversation.locale }),
      ...address,
    });
  } catch (error) {
    await undoGreeting(database, conversation.id);
    // The agent's failure is told by `receive`; whatever else went wrong is ours.
    if (!(error instanceof Refusal)) throw error;
  }
}

/** An agent says something. What people have no use for (traces, answers to invokes) is taken and dropped. */
export async function agentSays(
  deps: ExchangeDeps,
  agent: Pick<Agent, 'name' | 'displayName'>,
  conversationId: string,
  activity: Activity,
): Promise<{ readonly id: string }> {
  const { database, streams } = deps;
  if (activity.type === 'typing') streams.typing(conversationId, agent.name);
  if (!isShown(activity.type)) return { id: freshId('act') };
  const replyToId = await knownReply(deps, conversationId, activity.replyToId);
  const shown = fromAgent(deps, agent, { ...activity, replyToId });
  const [posted] = await database.transaction((tx) =>
    appendActivities(tx, [{ conversationId, activity: shown, author: 'agent' }]),
  );
  streams.wake([conversationId]);
  return { id: posted!.id };
}

// The SDKs make up an id for what replies to nothing; Web Chat would wait five seconds for that one to appear.
async function knownReply(deps: ExchangeDeps, conversationId: string, id: unknown): Promise<string | undefined> {
  if (typeof id !== 'string' || id === '') return undefined;
  return (await findActivity(deps.database, conversationId, id)) ? id : undefined;
}

function fromAgent(
  { polish }: ExchangeDeps,
  { name, displayName }: Pick<Agent, 'name' | 'displayName'>,
  activity: Activity,
): Activity {
  const from = { id: name, name: displayName ?? name, role: 'bot' };
  return polish({ ...activity, from });
}

/** An agent changes what it said: the same id, at the same place. Refuses `activity_not_found`. */
export async function agentChanges(
  deps: ExchangeDeps,
  agent: Pick<Agent, 'name' | 'displayName'>,
  conversationId: string,
  id: string,
  activity: Activity,
): Promise<void> {
  const shown = fromAgent(deps, agent, { ...activity, type: 'message' });
  await deps.database.transaction((tx) =>
    replaceActivity(tx, { conversationId, id, activity: shown, author: 'agent' }),
  );
  deps.streams.wake([conversationId]);
}

/** An agent takes back what it said. Pages know no deletion, so a short text stands in its place. */
export function agentDeletes(
  deps: ExchangeDeps,
  agent: Pick<Agent, 'name' | 'displayName'>,
  conversationId: string,
  id: string,
): Promise<void> {
  return agentChanges(deps, agent, conversationId, id, { type: 'message', text: 'This message was removed.' });
}
