// Installing the app for a person by Microsoft Graph, so that the assistant can speak to somebody who never opened it.
// Needs the application permission TeamsAppInstallation.ReadWriteSelfForUser.All (with TeamsAppInstallation.ReadForUser.All
// and AppCatalog.Read.All to read) and an app in the organisation's catalogue.
// Source: Microsoft "Proactive installation of apps using Graph API to send messages".
import { isRecord } from '../../kit/record.ts';
import { type Answer, call } from '../call.ts';
import { endpointsOf, type TeamsConnection } from './connection.ts';
import type { Told } from './connector.ts';
import { type AccessTokens, NoToken } from './token.ts';

export class Graph {
  readonly #connection: TeamsConnection;
  readonly #tokens: AccessTokens;
  #appId: string | undefined;

  constructor(connection: TeamsConnection, tokens: AccessTokens) {
    this.#connection = connection;
    this.#tokens = tokens;
  }

  /** Installs the app for them, unless it is; tells the conversation that the bot has with them. */
  async install(userId: string): Promise<Told<string>> {
    try {
      const app = await this.#catalogueId();
      if (app.kind !== 'done') return app;
      const { graph } = endpointsOf(this.#connection);
      const installed = await this.#call('POST', `${this.#apps(userId)}`, {
        'teamsApp@odata.bind': `${graph}/appCatalogs/teamsApps/${app.value}`,
      });
      // 409: it is there already.
      if (installed.status >= 300 && installed.status !== 409) return judgeGraph(installed);
      return await this.#chatOf(userId, app.value);
    } catch (error) {
      if (error instanceof NoToken) return { kind: 'stopped', cause: error.code, retryAfterMs: error.retryAfterMs };
      throw error;
    }
  }

  /** The manifest's id names the app outside; inside the tenant it has another one. */
  async #catalogueId(): Promise<Told<string>> {
    if (this.#appId !== undefined) return { kind: 'done', value: this.#appId };
    const { graph } = endpointsOf(this.#connection);
    const filter = `externalId eq '${this.#connection.installApp ?? ''}'`;
    const answer = await this.#call('GET', `${graph}/appCatalogs/teamsApps?$filter=${encodeURIComponent(filter)}`);
    if (answer.status !== 200) return judgeGraph(answer);
    const id = firstOf(answer.json)?.id;
    if (typeof id !== 'string') return { kind: 'stopped', cause: 'app_not_in_catalogue' };
    this.#appId = id;
    return { kind: 'done', value: id };
  }

  async #chatOf(userId: string, appId: string): Promise<Told<string>> {
    const filter = encodeURIComponent(`teamsApp/id eq '${appId}'`);
    const found = await this.#call('GET', `${this.#apps(userId)}?$expand=teamsApp&$filter=${filter}`);
    if (found.status !== 200) return judgeGraph(found);
    const installation = firstOf(found.json)?.id;
    // Graph is not always at once of one mind with itself.
    if (typeof installation !== 'string') return { kind: 'retry', cause: 'installation_not_visible' };
    const chat = await this.#call('GET', `${this.#apps(userId)}/${encodeURIComponent(installation)}/chat`);
    if (chat.status === 404) return { kind: 'retry', cause: 'chat_not_visible' };
    if (chat.status !== 200) return judgeGraph(chat);
    const id = isRecord(chat.json) ? chat.json.id : undefined;
    return typeof id === 'string' ? { kind: 'done', value: id } : { kind: 'retry', cause: 'chat_not_visible' };
  }

  #apps(userId: string): string {
    return `${endpointsOf(this.#connection).graph}/users/${encodeURIComponent(userId)}/teamwork/installedApps`;
  }

  async #call(method: 'GET' | 'POST', url: string, content?: object): Promise<Answer> {
    const { graph } = endpointsOf(this.#connection);
    const token = await this.#tokens.get(`${new URL(graph).origin}/.default`);
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const answer = await call({ method, url, headers, ...(content && { body: JSON.stringify(content) }) });
    if (answer.status === 401) this.#tokens.drop(token);
    return answer;
  }
}

/** What an answer of Graph means, for one person. */
function judgeGraph({ status, json, cause, retryAfterMs }: Answer): Exclude<Told<never>, { kind: 'done' }> {
  const error = isRecord(json) && isRecord(json.error) ? json.error : {};
  const code = typeof error.code === 'string' ? error.code : (cause ?? `graph_${status}`);
  if (status === 0) return { kind: 'stopped', cause: code };
  if (status === 429 || status >= 500) return { kind: 'retry', cause: code, retryAfterMs };
  if (status === 404) return { kind: 'gone', cause: code };
  // Without the permission nobody can be reached this way: that is about the connection.
  if (status === 401 || (status === 403 && code !== 'Forbidden')) return { kind: 'stopped', cause: code };
  if (status === 403) return { kind: 'blocked', cause: 'installation_forbidden' };
  return { kind: 'refused', cause: code };
}

function firstOf(json: unknown): Record<string, unknown> | undefined {
  const list = isRecord(json) && Array.isArray(json.value) ? (json.value as unknown[]) : [];
  return list.find(isRecord);
}
