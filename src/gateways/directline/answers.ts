// Every error of this gateway leaves here, as the protocols want it: { error: { code, message } }. The codes are those of
// the Bot Framework, so that a client or an agent needs one handler for us and for its cloud.
import { Refusal, type RefusalCode, refusals } from '../../kit/refusal.ts';
import { isOutage } from '../../topics/log/connection.ts';
import type { Reply, Request } from './routing.ts';

const codes: Partial<Record<RefusalCode, string>> = {
  key_missing: 'Unauthorized',
  token_invalid: 'TokenExpired',
  right_missing: 'Forbidden',
  origin_refused: 'OriginNotTrusted',
  conversation_not_found: 'ConversationNotFound',
  activity_not_found: 'ActivityNotFoundInConversation',
  recipient_not_found: 'MemberNotFoundInConversation',
  too_large: 'MessageSizeTooBig',
  unsupported_media_type: 'UnsupportedMediaType',
  too_many_requests: 'TooManyRequests',
  agent_failed: 'BotError',
};

/** What Fastify itself refuses. */
const frameworkCodes: Readonly<Record<number, RefusalCode>> = {
  400: 'bad_request',
  408: 'request_timeout',
  413: 'too_large',
  415: 'unsupported_media_type',
};

/** The refusal that `error` amounts to; undefined when it is a bug of ours. */
export function toRefusal(error: unknown): Refusal | undefined {
  if (error instanceof Refusal) return error;
  if (isOutage(error)) return new Refusal('busy', 'The database does not answer; try again in a moment.', {}, error);
  const { code, statusCode, message } = error as Error & { code?: string; statusCode?: number };
  const known = statusCode === undefined ? undefined : frameworkCodes[statusCode];
  return known && code?.startsWith('FST_') ? new Refusal(known, `${message}.`, {}, error) : undefined;
}

export type DoorSignal = { readonly name: 'directline.failed'; readonly route: string; readonly error: unknown };

export function answerError(emit: (signal: DoorSignal) => void, error: unknown, request: Request, reply: Reply): Reply {
  const refusal = toRefusal(error);
  if (!refusal) emit({ name: 'directline.failed', route: request.routeOptions.url ?? '(none)', error });
  const { code, message, details } = refusal ?? new Refusal('internal_error', 'The server failed; its log says why.');
  const { status } = refusals[code];
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  const retryAfter = details.retryAfterSeconds ?? (status === 503 ? 1 : undefined);
  if (retryAfter !== undefined) reply.header('retry-after', String(retryAfter));
  const body = { error: { code: codes[code] ?? byStatus(status), message } };
  return reply.code(status).type('application/json; charset=utf-8').serializer(JSON.stringify).send(body);
}

function byStatus(status: number): string {
  if (status >= 500) return status === 503 ? 'ServiceUnavailable' : 'ServiceError';
  return status === 404 ? 'NotFound' : 'BadArgument';
}
