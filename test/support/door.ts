// What the tests of the door share: the door on a real port, and a stand-in for its agents.
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { afterAll, beforeEach } from 'vitest';
import { appendActivities } from '../../src/assistant/conversations/append.ts';
import { DirectLineNode, type Options, type Token, useDirectLine } from './direct-line.ts';

/** An agent: what it was told, and what it answers. */
type StandIn = {
  readonly told: { readonly headers: IncomingMessage['headers']; readonly body: Record<string, unknown> }[];
  answer: { readonly status: number; readonly body?: unknown; readonly never?: boolean };
};

/** The door with two agents, `assistant` and `other`, for the tests of one file. */
export function useDoor() {
  const agent: StandIn = { told: [], answer: { status: 200 } };
  const server = createServer(async (request, response) => {
    const body = (await json(request)) as Record<string, unknown>;
    agent.told.push({ headers: request.headers, body });
    const { answer } = agent;
    if (answer.never) return;
    response.writeHead(answer.status, { 'content-type': 'application/json' });
    response.end(answer.body === undefined ? '' : JSON.stringify(answer.body));
  });
  const open = async (): Promise<Options> => {
    if (!server.listening) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}/api/messages`;
    return {
      agents: [
        { name: 'assistant', url, auth: 'anonymous' },
        { name: 'other', url, auth: 'anonymous' },
      ],
      settings: { agentTimeout: 1, corsOrigins: ['https://backend.example'] },
    };
  };
  const line = useDirectLine(open);
  afterAll(() => server.close());
  beforeEach(() => {
    agent.told.length = 0;
    agent.answer = { status: 200 };
  });

  async function poll({ conversationId, token }: Token, watermark = '') {
    const path = `/conversations/${conversationId}/activities?watermark=${watermark}`;
    const { status, json } = await line.node.call('GET', path, token);
    return { status, ...json } as { status: number; activities: Record<string, never>[]; watermark: string };
  }

  async function notice(conversationId: string, text: string, id?: string) {
    const { database, assistant } = line.node;
    const activity = { type: 'message', text };
    const [posted] = await database.transaction((tx) =>
      appendActivities(tx, [{ conversationId, activity, ...(id && { id }) }]),
    );
    assistant.streams.wake([conversationId]);
    return posted!;
  }

  /** One more node, with the same agents; whoever starts it stops it. */
  const another = async () => DirectLineNode.start(line.node.database, await open());

  return { line, agent, poll, notice, another };
}

export const texts = (activities: readonly { text?: string }[]) => activities.map(({ text }) => text);
