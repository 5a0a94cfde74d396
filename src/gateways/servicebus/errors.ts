// Refusals as AMQP conditions. Which condition an error gets decides whether a client tries again: JavaScript waits
// 30 s before each of three retries, so a lasting condition under a retryable code makes a program hang for minutes.
import { randomUUID } from 'node:crypto';
import { Refusal, type RefusalCode } from '../../kit/refusal.ts';

export type AmqpError = { readonly condition: string; readonly description: string };
/** `toAmqpError` that tells our listeners as well: a fault of ours must stand in the log. */
export type Tell = (error: unknown) => AmqpError;

const conditions: Partial<Readonly<Record<RefusalCode, string>>> = {
  amqp_malformed: 'amqp:decode-error',
  bad_request: 'amqp:not-allowed',
  invalid_name: 'com.microsoft:argument-error',
  invalid_setting: 'com.microsoft:argument-error',
  filter_invalid: 'com.microsoft:argument-error',
  key_missing: 'amqp:unauthorized-access',
  right_missing: 'amqp:unauthorized-access',
  entity_disabled: 'com.microsoft:entity-disabled',
  quota_exceeded: 'amqp:resource-limit-exceeded',
  topic_not_found: 'amqp:not-found',
  subscription_not_found: 'amqp:not-found',
  not_found: 'amqp:not-found',
  message_not_found: 'com.microsoft:message-not-found',
  request_timeout: 'com.microsoft:timeout',
  already_exists: 'com.microsoft:entity-already-exists',
  conflict: 'amqp:not-allowed',
  method_not_allowed: 'amqp:not-implemented',
  session_locked: 'com.microsoft:session-cannot-be-locked',
  session_lock_lost: 'com.microsoft:session-lock-lost',
  lock_lost: 'com.microsoft:message-lock-lost',
  too_large: 'amqp:link:message-size-exceeded',
  busy: 'com.microsoft:server-busy',
  storage_full: 'com.microsoft:server-busy',
  in_doubt: 'com.microsoft:server-busy',
  stopping: 'com.microsoft:server-busy',
};

/** The condition of a management reply that has a status of its own. */
const statuses: Readonly<Record<string, number>> = {
  'com.microsoft:entity-disabled': 400,
  'amqp:link:message-size-exceeded': 403,
  'amqp:not-allowed': 400,
  'com.microsoft:session-cannot-be-locked': 410,
  'amqp:not-implemented': 501,
};

/** The one translation of what went wrong into what the wire says. */
export function toAmqpError(error: unknown): AmqpError {
  if (!(error instanceof Refusal))
    return { condition: 'amqp:internal-error', description: tracked('The server failed at this; its log says why.') };
  const condition = String(error.details.condition ?? conditions[error.code] ?? 'amqp:internal-error');
  return { condition, description: tracked(wordsOf(error)) };
}

/** The HTTP-like status that management replies carry beside the condition. */
export function statusOf(error: unknown): number {
  if (!(error instanceof Refusal)) return 500;
  const { condition } = toAmqpError(error);
  return statuses[condition] ?? statusByCode[error.code] ?? 500;
}

const statusByCode: Partial<Readonly<Record<RefusalCode, number>>> = {
  amqp_malformed: 400,
  bad_request: 400,
  invalid_name: 400,
  invalid_setting: 400,
  filter_invalid: 400,
  key_missing: 401,
  right_missing: 401,
  quota_exceeded: 403,
  topic_not_found: 404,
  subscription_not_found: 404,
  not_found: 404,
  message_not_found: 404,
  request_timeout: 408,
  already_exists: 409,
  session_lock_lost: 410,
  lock_lost: 410,
  busy: 503,
  storage_full: 503,
  in_doubt: 503,
  stopping: 503,
};

function wordsOf({ code, message }: Refusal): string {
  const gone = code === 'topic_not_found' || code === 'subscription_not_found';
  return gone ? `The messaging entity of this link could not be found. ${message}` : message;
}

/** Clients recognise a missing entity by these very words. */
export function missingEntity(path: string, cause?: unknown): Refusal {
  const words = `The messaging entity '${path.slice(0, 300)}' could not be found.`;
  return new Refusal('not_found', words, { condition: 'amqp:not-found' }, cause);
}

/** Support asks for these three; the first stands in our log too. */
function tracked(description: string): string {
  const at = new Date().toISOString().slice(0, 19);
  return `${description} TrackingId:${randomUUID()}, SystemTracker:carillon, Timestamp:${at}`;
}
