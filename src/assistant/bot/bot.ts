// The built-in assistant: hears turns of any surface and answers them. On Direct Line it is an agent like any other, but
// in this process.
import type { Emit } from '../../kit/signals.ts';
import { agentSays, type ExchangeDeps } from '../agents/exchange.ts';
import type { Agent } from '../agents/remote.ts';
import type { Activity } from '../conversations/activity.ts';
import { DEFAULT_AGENT, findConversation } from '../conversations/conversation.ts';
import type { BotDeps } from './answers.ts';
import type { Hear } from './hear.ts';
import type { Shower } from './show.ts';

export type BotSignal = { readonly name: 'assistant.answered'; readonly surface: string; readonly tookMs: number };

/** The SDK is loaded with the first turn. */
export function openBot(deps: BotDeps, emit: Emit<BotSignal>): Hear {
  let app: Promise<Hear> | undefined;
  return async (heard) => {
    const began = performance.now();
    app ??= import('./app.ts').then(({ openApp }) => openApp(deps));
    await (await app)(heard);
    emit({ name: 'assistant.answered', surface: heard.surface, tookMs: performance.now() - began });
  };
}

/** For Direct Line: what it says is kept like the words of any agent. */
export function builtInAgent(exchange: ExchangeDeps, hear: Hear, show: Shower, displayName: string): Agent {
  const agent = { name: DEFAULT_AGENT, displayName };
  const receive = async (activity: Activity) => {
    const conversationId = activity.conversation!.id; // the exchange addresses what it hands over
    const { recipientId, agent: connection } = await findConversation(exchange.database, conversationId);
    const say = async (reply: Activity) => (await agentSays(exchange, agent, conversationId, reply)).id;
    const place = { recipientId, channel: 'directline', connection, place: conversationId } as const;
    await hear({ recipientId, surface: 'directline', activity, say, show: (content) => show(place, content) });
    return { status: 200 };
  };
  return { ...agent, receive };
}
