// A refusal is an error that its caller can act on. One catalogue of codes; a released code is never reused.
// Each gateway translates a refusal into its protocol's form in one place. docs/errors.md is printed from this table.

/** code -> HTTP status and what to do about it. `retryable` tells clients that the same call may succeed later. */
export const refusals = {
  amqp_malformed: { status: 400, title: 'The bytes are not valid AMQP 1.0', retryable: false },
  bad_request: { status: 400, title: 'The request is not valid', retryable: false },
  invalid_name: { status: 400, title: 'The name is not valid', retryable: false },
  invalid_setting: { status: 400, title: 'A setting is not valid', retryable: false },
  event_invalid: { status: 400, title: 'The event is not a valid CloudEvent', retryable: false },
  filter_invalid: { status: 400, title: 'The filter or action is not valid', retryable: false },
  card_invalid: { status: 400, title: 'The card is not valid', retryable: false },
  notification_invalid: { status: 400, title: 'The definition of a notification is not valid', retryable: false },
  recipient_invalid: { status: 400, title: 'The recipient is not valid', retryable: false },
  preferences_invalid: { status: 400, title: 'The preferences are not valid', retryable: false },
  activity_invalid: { status: 400, title: 'The activity is not valid', retryable: false },
  unsubscribe_link_invalid: { status: 400, title: 'The unsubscribe link is not one of ours', retryable: false },
  answer_link_invalid: { status: 400, title: 'The link to an answer is not one of ours', retryable: false },
  key_missing: { status: 401, title: 'The request carries no valid key', retryable: false },
  origin_refused: { status: 403, title: 'The request comes from another site', retryable: false },
  right_missing: { status: 403, title: 'The key does not have the right that this needs', retryable: false },
  token_invalid: { status: 403, title: 'The token is not valid, or its time is over', retryable: false },
  entity_disabled: { status: 403, title: 'The topic, queue or subscription is disabled', retryable: false },
  quota_exceeded: { status: 403, title: 'A quota is used up', retryable: false },
  not_allowed: { status: 403, title: 'This person may not give this answer', retryable: false },
  topic_not_found: { status: 404, title: 'There is no such topic', retryable: false },
  subscription_not_found: { status: 404, title: 'There is no such subscription', retryable: false },
  message_not_found: { status: 404, title: 'There is no such message', retryable: false },
  recipient_not_found: { status: 404, title: 'There is no such recipient', retryable: false },
  mapping_not_found: { status: 404, title: 'There is no such ingest mapping', retryable: false },
  conversation_not_found: { status: 404, title: 'There is no such conversation', retryable: false },
  activity_not_found: { status: 404, title: 'There is no such activity', retryable: false },
  not_found: { status: 404, title: 'There is no such thing', retryable: false },
  action_not_found: { status: 404, title: 'The card has no such action', retryable: false },
  method_not_allowed: { status: 405, title: 'The path does not have this method', retryable: false },
  request_timeout: { status: 408, title: 'The request did not arrive in time', retryable: true },
  already_exists: { status: 409, title: 'A thing of this name exists already', retryable: false },
  conflict: { status: 409, title: 'The thing is not in a state that allows this', retryable: false },
  already_decided: { status: 409, title: 'Somebody has decided this before', retryable: false },
  stale: { status: 409, title: 'The card is not the one that is to be decided now', retryable: false },
  session_locked: { status: 409, title: 'The session is locked by another receiver', retryable: true },
  lock_lost: { status: 410, title: 'The lock of the message is no longer held', retryable: false },
  session_lock_lost: { status: 410, title: 'The lock of the session is no longer held', retryable: false },
  expired: { status: 410, title: 'The time for the answer is over', retryable: false },
  withdrawn: { status: 410, title: 'The answer is no longer asked for', retryable: false },
  link_spent: { status: 410, title: 'The link was used before or is too old', retryable: false },
  precondition_failed: { status: 412, title: 'The thing was changed in the meantime', retryable: false },
  too_large: { status: 413, title: 'The content is larger than the limit', retryable: false },
  uri_too_long: { status: 414, title: 'The address of the request is too long', retryable: false },
  unsupported_media_type: { status: 415, title: 'The content type is not supported', retryable: false },
  reason_required: { status: 422, title: 'This answer needs a reason', retryable: false },
  inputs_invalid: { status: 422, title: 'What was filled in is not valid', retryable: false },
  too_many_requests: { status: 429, title: 'More requests than the limit allows', retryable: true },
  headers_too_large: { status: 431, title: 'The headers are larger than the limit', retryable: false },
  internal_error: { status: 500, title: 'The server failed at this; its log says why', retryable: true },
  agent_failed: {
    status: 502,
    title: 'The agent behind the conversation did not answer as it should',
    retryable: true,
  },
  busy: { status: 503, title: 'The server cannot take more right now', retryable: true },
  storage_full: { status: 507, title: 'The disk of the database is full', retryable: true },
  in_doubt: { status: 503, title: 'It is not known whether this was carried out', retryable: true },
  stopping: { status: 503, title: 'The server is stopping', retryable: true },
  schema_newer: { status: 500, title: 'The database belongs to a newer version', retryable: false },
  schema_changed: { status: 500, title: 'A migration was changed after it had run', retryable: false },
} as const;

export type RefusalCode = keyof typeof refusals;

/** `message` says what is wrong with this very request, and what to do. `details` go to the caller as they are. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: RefusalCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: RefusalCode, message: string, details: Readonly<Record<string, unknown>> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
  }
}
