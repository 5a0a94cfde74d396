// A Slack connection at work: the official client, loaded when it is first needed, told neither to wait nor to repeat by
// itself: our queue does both, and knows more about when. What Slack answers becomes a value.
import type { WebClient } from '@slack/web-api';
import { isRecord } from '../../kit/record.ts';
import { Pace } from '../pace.ts';
import type { Failure, Told } from '../teams/connector.ts';
import type { SlackConnection } from './connection.ts';

export type SlackMessage = { readonly text: string; readonly blocks?: readonly unknown[] | undefined };
export type SlackPlace = { readonly channelId: string; readonly ts: string };

/** One message a second and conversation, with short bursts; some hundred a minute in a workspace (docs.slack.dev). */
const slackLimits = {
  place: [
    { count: 3, withinMs: 2_000 },
    { count: 60, withinMs: 60_000 },
  ],
  connection: [{ count: 300, withinMs: 60_000 }],
} as const;

const TIMEOUT_MS = 15_000;
const NOT_SET = 'not-set';

export class SlackLine {
  readonly connection: SlackConnection;
  /** Of everything that goes over it, notices and answers. */
  readonly pace = new Pace(slackLimits);
  #client: Promise<WebClient> | undefined;

  constructor(connection: SlackConnection) {
    this.connection = connection;
  }

  /** `channel`: a conversation, or a person, whose direct messages are opened then. */
  async post(channel: string, message: SlackMessage): Promise<Told<SlackPlace>> {
    const told = await this.#call('chat.postMessage', {
      channel,
      ...message,
      unfurl_links: false,
      unfurl_media: false,
    });
    if (told.kind !== 'done') return told;
    return { kind: 'done', value: { channelId: String(told.value.channel), ts: String(told.value.ts) } };
  }

  update({ channelId: channel, ts }: SlackPlace, message: SlackMessage): Promise<Told<unknown>> {
    // Without blocks of its own the old ones would stay.
    return this.#call('chat.update', { channel, ts, blocks: [], ...message });
  }

  /** The person with this mail address in the workspace. */
  async userIdOf(email: string): Promise<Told<string>> {
    const told = await this.#call('users.lookupByEmail', { email });
    if (told.kind !== 'done') return told;
    const { user } = told.value;
    return { kind: 'done', value: String(isRecord(user) ? user.id : '') };
  }

  async emailOf(user: string): Promise<string | undefined> {
    const told = await this.#call('users.info', { user });
    if (told.kind !== 'done' || !isRecord(told.value.user)) return undefined;
    const { profile, is_bot: isBot, deleted } = told.value.user;
    const email = isRecord(profile) ? profile.email : undefined;
    return typeof email === 'string' && !isBot && !deleted ? email : undefined;
  }

  openModal(triggerId: string, view: object): Promise<Told<unknown>> {
    return this.#call('views.open', { trigger_id: triggerId, view });
  }

  async #call(method: string, values: Record<string, unknown>): Promise<Told<Record<string, unknown>>> {
    try {
      this.#client ??= open(this.connection);
      const answer = await (await this.#client).apiCall(method, values);
      return { kind: 'done', value: { ...answer } };
    } catch (error) {
      return failureOf(error);
    }
  }
}

async function open({ botToken = NOT_SET, apiUrl }: SlackConnection): Promise<WebClient> {
  const { LogLevel, WebClient } = await import('@slack/web-api');
  return new WebClient(botToken, {
    ...(apiUrl !== undefined && { slackApiUrl: apiUrl }),
    rejectRateLimitedCalls: true,
    retryConfig: { retries: 0 },
    timeout: TIMEOUT_MS,
    // It would write to the console what becomes an outcome.
    logLevel: LogLevel.ERROR,
    logger: silent,
  });
}

const nothing = () => {};
const silent = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  setLevel: nothing,
  setName: nothing,
  getLevel: () => 'error',
} as never; // the client's own type of the levels is not worth loading it for

// Source: docs.slack.dev, "Errors" of chat.postMessage, chat.update, users.lookupByEmail.
const GONE = new Set([
  'user_not_found',
  'users_not_found',
  'user_disabled',
  'channel_not_found',
  'is_archived',
  'message_not_found',
  'cannot_dm_bot',
]);
const BLOCKED = new Set([
  'restricted_action',
  'user_is_restricted',
  'not_in_channel',
  'messages_tab_disabled',
  'is_inactive',
]);
const STOPPED = new Set([
  'account_inactive',
  'token_revoked',
  'token_expired',
  'invalid_auth',
  'not_authed',
  'missing_scope',
  'no_permission',
  'org_login_required',
  'ekm_access_denied',
  'not_allowed_token_type',
  'access_denied',
]);
const RETRIED = new Set([
  'ratelimited',
  'rate_limited',
  'internal_error',
  'fatal_error',
  'service_unavailable',
  'request_timeout',
]);

/** What an error of the client means. Its kinds are told apart by their codes. */
export function failureOf(error: unknown): Failure {
  const { code, retryAfter, statusCode, data, original } = error as Record<string, unknown>;
  if (code === 'slack_webapi_rate_limited_error')
    return { kind: 'retry', cause: 'ratelimited', retryAfterMs: Number(retryAfter) * 1000 };
  if (code === 'slack_webapi_request_error') {
    const { code: system } = (original ?? {}) as { code?: unknown };
    return { kind: 'stopped', cause: typeof system === 'string' ? system : 'unreachable' };
  }
  if (code === 'slack_webapi_http_error') {
    const kind = Number(statusCode) >= 500 ? 'retry' : 'stopped';
    return { kind, cause: `http_${String(statusCode)}` };
  }
  if (code !== 'slack_webapi_platform_error') throw error;
  const cause = isRecord(data) && typeof data.error === 'string' ? data.error : 'unknown_error';
  if (GONE.has(cause)) return { kind: 'gone', cause };
  if (BLOCKED.has(cause)) return { kind: 'blocked', cause };
  if (STOPPED.has(cause)) return { kind: 'stopped', cause };
  if (RETRIED.has(cause)) return { kind: 'retry', cause };
  return { kind: 'refused', cause, detail: detailOf(data) };
}

/** Slack says which block it did not like. */
function detailOf(data: unknown): string | undefined {
  const metadata = isRecord(data) && isRecord(data.response_metadata) ? data.response_metadata : {};
  return Array.isArray(metadata.messages) ? metadata.messages.join('; ').slice(0, 300) : undefined;
}
