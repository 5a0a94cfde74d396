// The Bot Connector as Teams speaks it, in the few calls that posting needs. Our own thin client and not the SDK's: pacing
// needs `Retry-After`, the sub-codes of errors and a size that is counted before sending, and none of that should load an
// SDK of 36 MB at the start. Source: Microsoft "Bot Connector API reference", "Send proactive messages", "Rate limiting".
import { isRecord } from '../../kit/record.ts';
import { type Answer, call } from '../call.ts';
import { botId, endpointsOf, type TeamsConnection } from './connection.ts';
import { type AccessTokens, NoToken } from './token.ts';

/** Where a conversation is. */
export type TeamsPlace = { readonly serviceUrl: string; readonly conversationId: string };

export type Failure = {
  readonly kind: 'blocked' | 'gone' | 'refused' | 'retry' | 'stopped';
  readonly cause: string;
  readonly detail?: string | undefined;
  readonly retryAfterMs?: number | undefined;
};
export type Told<T> = { readonly kind: 'done'; readonly value: T } | Failure;

/** Of the whole message, in UTF-16 as the service counts; images that are inlined do not count there, but are none of ours. */
export const MOST_BYTES = 100 * 1024;

export class Connector {
  readonly #connection: TeamsConnection;
  readonly #tokens: AccessTokens;

  constructor(connection: TeamsConnection, tokens: AccessTokens) {
    this.#connection = connection;
    this.#tokens = tokens;
  }

  /** The conversation with one person: a new one, or the one that is there. `userId`: their id in Entra, or `29:...`. */
  async createConversation(serviceUrl: string, userId: string): Promise<Told<string>> {
    const { tenantId } = this.#connection;
    const told = await this.#send('POST', `${trimmed(serviceUrl)}/v3/conversations`, {
      bot: { id: botId(this.#connection) },
      members: [{ id: userId }],
      isGroup: false,
      tenantId,
      channelData: { tenant: { id: tenantId } },
    });
    return idOf(told) ?? { kind: 'retry', cause: 'no_conversation_id' };
  }

  /** The id may be undefined: some services tell none, and the message cannot be edited then. */
  async post(place: TeamsPlace, activity: object): Promise<Told<string | undefined>> {
    const told = await this.#send('POST', activitiesUrl(place), this.#from(activity, place));
    return idOf(told) ?? { kind: 'done', value: undefined };
  }

  async update(place: TeamsPlace, id: string, activity: object): Promise<Told<unknown>> {
    return this.#send('PUT', `${activitiesUrl(place)}/${encodeURIComponent(id)}`, {
      ...this.#from(activity, place),
      id,
    });
  }

  /** What Teams knows of somebody in a conversation: `email`, `userPrincipalName`, `aadObjectId`, `name`. */
  async member(place: TeamsPlace, id: string): Promise<Told<Record<string, unknown>>> {
    const told = await this.#send('GET', `${conversationUrl(place)}/members/${encodeURIComponent(id)}`);
    return told.kind === 'done' ? { kind: 'done', value: isRecord(told.value) ? told.value : {} } : told;
  }

  #from(activity: object, { conversationId }: TeamsPlace): object {
    return { ...activity, from: { id: botId(this.#connection) }, conversation: { id: conversationId } };
  }

  async #send(method: 'GET' | 'POST' | 'PUT', url: string, content?: object): Promise<Told<unknown>> {
    const body = content && JSON.stringify(content);
    const tooLarge = body === undefined ? undefined : checkSize(body);
    if (tooLarge) return tooLarge;
    try {
      return judge(await this.#call(method, url, body));
    } catch (error) {
      if (error instanceof NoToken) return { kind: 'stopped', cause: error.code, retryAfterMs: error.retryAfterMs };
      throw error;
    }
  }

  /** A token that was revoked before its time is fetched anew, once. */
  async #call(method: 'GET' | 'POST' | 'PUT', url: string, body: string | undefined): Promise<Answer> {
    const { scope } = endpointsOf(this.#connection);
    const send = (token: string) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json; charset=utf-8' };
      return call({ method, url, headers, ...(body !== undefined && { body }) });
    };
    const token = await this.#tokens.get(scope);
    const answer = await send(token);
    if (answer.status !== 401) return answer;
    this.#tokens.drop(token);
    return send(await this.#tokens.get(scope));
  }
}

/** `refused` where the message is larger than Teams takes. */
export function checkSize(body: string): Failure | undefined {
  const bytes = Buffer.byteLength(body, 'utf16le');
  if (bytes <= MOST_BYTES) return undefined;
  const detail = `The message has ${bytes} bytes in UTF-16; Teams takes ${MOST_BYTES}. Make the card smaller.`;
  return { kind: 'refused', cause: 'MessageSizeTooBig', detail };
}

// The app was removed, or was never there.
const NOT_INSTALLED = new Set(['BotNotInConversationRoster', 'ForbiddenOperationException', 'BotNotInstalled']);
const RETRIED = new Set([408, 412, 429, 500, 502, 503, 504]);

/** What an answer of the connector means. */
export function judge(answer: Answer): Told<unknown> {
  const { status, json, retryAfterMs } = answer;
  if (status >= 200 && status < 300) return { kind: 'done', value: json };
  const { code, subCode, message } = errorIn(json);
  const cause = subCode ?? code ?? answer.cause ?? `http_${status}`;
  const detail = message?.slice(0, 300);
  if (status === 0) return { kind: 'stopped', cause };
  if (RETRIED.has(status)) return { kind: 'retry', cause: code ?? `http_${status}`, detail, retryAfterMs };
  if (status === 401) return { kind: 'stopped', cause, detail };
  if (status === 403) return { kind: NOT_INSTALLED.has(cause) ? 'gone' : 'blocked', cause, detail };
  if (status === 404 || status === 410) return { kind: 'gone', cause, detail };
  if (status === 413) return { kind: 'refused', cause: 'MessageSizeTooBig', detail };
  return { kind: 'refused', cause, detail };
}

/** `{ error: { code, message, innerHttpError | subCode } }`, and the same without the envelope, as older services have it. */
function errorIn(json: unknown): {
  code?: string | undefined;
  subCode?: string | undefined;
  message?: string | undefined;
} {
  const outer = isRecord(json) ? json : {};
  const error = isRecord(outer.error) ? outer.error : outer;
  const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);
  const inner = isRecord(error.innererror) ? error.innererror : {};
  return {
    code: text(error.code) ?? text(error.errorCode),
    subCode: text(error.subCode) ?? text(outer.subCode) ?? text(inner.code),
    message: text(error.message),
  };
}

function idOf(told: Told<unknown>): Told<string> | undefined {
  if (told.kind !== 'done') return told;
  const id = isRecord(told.value) ? told.value.id : undefined;
  return typeof id === 'string' && id !== '' ? { kind: 'done', value: id } : undefined;
}

function activitiesUrl(place: TeamsPlace): string {
  return `${conversationUrl(place)}/activities`;
}

function conversationUrl({ serviceUrl, conversationId }: TeamsPlace): string {
  return `${trimmed(serviceUrl)}/v3/conversations/${encodeURIComponent(conversationId)}`;
}

function trimmed(url: string): string {
  return url.replace(/\/+$/, '');
}
