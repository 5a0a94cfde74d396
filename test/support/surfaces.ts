// A whole server with stand-ins of Teams and Slack, and what tests do with it: publish, read inboxes, talk in the web chat.
import { afterAll, beforeAll, expect } from 'vitest';
import { SlackStandin } from '../standins/slack.ts';
import { TeamsStandin } from '../standins/teams.ts';
import type { ServerProcess } from './server-process.ts';
import { startWithSurfaces } from './teams-server.ts';

export type InboxPage = { items: { id: string; card: { title: string }; decision?: { state: string } }[] };
export type Said = { id: string; summary?: string; text?: string; timestamp: string };

/** Call at the top of a test file; the server and the stand-ins are handed over before the first test. */
export function useSurfaces(opened: (server: ServerProcess, teams: TeamsStandin, slack: SlackStandin) => unknown) {
  const stack = new AsyncDisposableStack();
  let server: ServerProcess;
  beforeAll(async () => {
    const teams = await TeamsStandin.start();
    stack.defer(() => teams.stop());
    const slack = await SlackStandin.start();
    stack.defer(() => slack.stop());
    server = stack.use(await startWithSurfaces({ teams, slack }));
    opened(server, teams, slack);
  });
  afterAll(() => stack.disposeAsync());

  const put = (id: string, body: object) => server.call('PUT', `/v1/recipients/${id}`, body);
  let events = 0;
  /** Returns the id of the event. */
  async function publish(topic: string, type: string, data: object): Promise<string> {
    const event = { specversion: '1.0', id: `e${++events}`, source: '/test', type, data };
    await server.call('POST', `/v1/topics/${topic}/events`, event, { 'content-type': 'application/cloudevents+json' });
    return event.id;
  }
  /** Ada asks for chairs; of one person, or of several. */
  const budget = (approvers: string | readonly string[], request: string) =>
    publish('finance', 'finance.budget.requested', {
      request,
      requester: { id: 'ada', name: 'Ada' },
      approvers: [approvers].flat(),
      amount: 1200,
      currency: 'EUR',
      purpose: `Chairs ${request}`,
    });
  const inboxOf = (id: string) => server.call<InboxPage>('GET', `/v1/recipients/${id}/inbox`);

  const tokenOf = (user: string): Promise<{ token: string; conversationId: string }> =>
    server.call('POST', '/v3/directline/tokens/generate', { user: { id: user } });
  async function openConversation(user: string): Promise<void> {
    const { token } = await tokenOf(user);
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${server.url}/v3/directline/conversations`, { method: 'POST', headers });
    expect(answer.ok).toBe(true);
  }
  async function speak(user: string, activity: object): Promise<void> {
    const { token, conversationId } = await tokenOf(user);
    const path = `/v3/directline/conversations/${conversationId}/activities`;
    const answer = await server.fetch('POST', path, activity, { authorization: `Bearer ${token}` });
    expect(answer.status).toBe(200);
  }
  /** What stands in the web chat of a person. */
  async function directLine(user: string): Promise<Said[]> {
    const { token, conversationId } = await tokenOf(user);
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${server.url}/v3/directline/conversations/${conversationId}/activities`, { headers });
    return ((await answer.json()) as { activities: Said[] }).activities;
  }
  return { put, publish, budget, inboxOf, tokenOf, openConversation, speak, directLine };
}

export const lastIn = <T>(list: readonly T[]) => list.at(-1)!;

export const summaryOf = (message: { activity: Record<string, unknown> }) =>
  String(message.activity.summary ?? message.activity.text);
