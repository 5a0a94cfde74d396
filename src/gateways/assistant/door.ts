// Where Teams and Slack post what people do there. Each call is verified by what the service signs, so the routes need no
// key; bodies are taken as bytes, because Slack signs those.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, FastifyReply as Reply, FastifyRequest as Request } from 'fastify';
import type { Activity } from '../../assistant/conversations/activity.ts';
import { type TeamsTurnDeps, takeTeamsActivity } from '../../assistant/teams/turn.ts';
import type { TeamsVerifier } from '../../assistant/teams/verify.ts';
import { Refusal, refusals } from '../../kit/refusal.ts';
import type { Emit } from '../../kit/signals.ts';
import { type SlackParts, slackRoutes } from './slack.ts';

/** What the HTTP gateway lets other doors add their routes to. */
export type App = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>;

export type AssistantDoorSignal = {
  readonly name: 'assistant.door-failed';
  readonly surface: string;
  readonly error: unknown;
};

export type TeamsParts = { readonly verifier: TeamsVerifier; readonly turn: TeamsTurnDeps };

export type AssistantDoorDeps = {
  /** By the names of the connections. */
  readonly teams: ReadonlyMap<string, TeamsParts>;
  readonly slack: ReadonlyMap<string, SlackParts>;
  readonly emit: Emit<AssistantDoorSignal>;
};

export const OPEN = { config: { access: 'open' as const }, schema: { hide: true }, bodyLimit: 512 * 1024 };

/** For `HttpDeps.gateways`. */
export function assistantDoor(deps: AssistantDoorDeps): (app: App) => void {
  return (app) => {
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    app.setErrorHandler((error, request, reply) => answerError(deps, error, request, reply));
    app.post('/v1/assistant/teams/:connection/messages', OPEN, async (request, reply) => {
      const parts = find(deps.teams, request, 'Teams');
      const activity = readActivity(request.body);
      await parts.verifier.verify(request.headers.authorization, activity);
      const { status, body } = await takeTeamsActivity(parts.turn, activity);
      return reply.code(status).send(body);
    });
    slackRoutes(app, deps);
  };
}

export function find<T>(known: ReadonlyMap<string, T>, { params }: Request, what: string): T {
  const { connection } = params as { connection: string }; // the route's pattern has it
  const parts = known.get(connection);
  if (!parts) throw new Refusal('not_found', `There is no ${what} connection ${connection}.`);
  return parts;
}

function readActivity(body: unknown): Activity {
  try {
    const value: unknown = JSON.parse(String(body));
    if (typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string')
      return value as Activity; // its other fields are looked at where they are used
  } catch {
    // Told just below.
  }
  throw new Refusal('activity_invalid', 'The body must be an activity: a JSON object with a type.');
}

/** In the form of the Bot Connector, which Slack does not mind. */
function answerError(deps: AssistantDoorDeps, error: unknown, request: Request, reply: Reply): Reply {
  if (error instanceof Refusal) {
    const { status } = refusals[error.code];
    // To a service whose token is not good everything else is 401's business.
    return reply.code(error.code === 'token_invalid' ? 401 : status).send(shown(error.code, error.message));
  }
  const { statusCode } = error as { statusCode?: number };
  if (statusCode !== undefined && statusCode < 500)
    return reply.code(statusCode).send(shown('bad_request', (error as Error).message));
  deps.emit({ name: 'assistant.door-failed', surface: request.url.split('/')[3] ?? '', error });
  return reply.code(500).send(shown('internal_error', 'The server failed at this; its log says why.'));
}

function shown(code: string, message: string) {
  return { error: { code, message } };
}
