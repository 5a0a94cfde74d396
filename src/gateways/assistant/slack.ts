// The two addresses that Slack posts to: interactivity (a form with `payload`) and the Events API (JSON).

import { type SlackTurnDeps, takeSlackAction, takeSlackEvent } from '../../assistant/slack/turn.ts';
import { verifySlack } from '../../assistant/slack/verify.ts';
import { Refusal } from '../../kit/refusal.ts';
import { type App, type AssistantDoorDeps, find, OPEN } from './door.ts';

export type SlackParts = { readonly turn: SlackTurnDeps };

export function slackRoutes(app: App, { slack }: AssistantDoorDeps): void {
  app.post('/v1/assistant/slack/:connection/actions', OPEN, async (request, reply) => {
    const { turn } = find(slack, request, 'Slack');
    const body = verified(turn, request);
    const payload = new URLSearchParams(body.toString('utf8')).get('payload');
    return reply.code(200).send(await takeSlackAction(turn, parse(payload ?? '')));
  });
  app.post('/v1/assistant/slack/:connection/events', OPEN, async (request, reply) => {
    const { turn } = find(slack, request, 'Slack');
    const body = verified(turn, request);
    return reply.code(200).send(await takeSlackEvent(turn, parse(body.toString('utf8'))));
  });
}

type Given = { readonly headers: NodeJS.Dict<string | string[]>; readonly body: unknown };

function verified({ line }: SlackTurnDeps, { headers, body }: Given): Buffer {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0);
  const text = (name: string) => (typeof headers[name] === 'string' ? headers[name] : undefined);
  const signed = { signature: text('x-slack-signature'), timestamp: text('x-slack-request-timestamp'), body: bytes };
  verifySlack(line.connection.signingSecret ?? '', signed, new Date());
  return bytes;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Refusal('bad_request', 'The body is not what Slack sends.', {}, cause);
  }
}
