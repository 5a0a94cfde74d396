// A queue of a running server, as a program sees it over HTTP. Calls that fail because the server is away say so by
// their result; what the server refuses throws.
import { setTimeout as pause } from 'node:timers/promises';
import type { ServerProcess } from './server-process.ts';

export type Got = {
  readonly sequence: number;
  readonly messageId: string;
  readonly deliveryCount: number;
  readonly lockToken: string;
  readonly body: unknown;
};

export class QueueClient {
  readonly #server: ServerProcess;
  readonly #path: string;

  constructor(server: ServerProcess, queue: string) {
    this.#server = server;
    this.#path = `/v1/queues/${queue}`;
  }

  async create(settings: Record<string, unknown> = {}): Promise<void> {
    await this.#server.call('PUT', this.#path, settings);
  }

  /** Whether the messages were acknowledged; false leaves it open whether they are there. */
  async send(messages: readonly Record<string, unknown>[]): Promise<boolean> {
    return (await this.#post('messages', { messages }))?.status === 202;
  }

  /** Nothing when the server is away. */
  async receive(options: Record<string, unknown>): Promise<Got[]> {
    const answer = await this.#post('receive', options);
    return answer?.status === 200 ? ((answer.json as { messages: Got[] }).messages as Got[]) : [];
  }

  /** The messages that are settled for certain. */
  async complete(messages: readonly Got[], session?: string): Promise<Got[]> {
    const lockTokens = messages.map((message) => message.lockToken);
    const answer = await this.#post('settle', { as: 'complete', lockTokens, ...(session ? { session } : {}) });
    if (answer?.status === 200) return [...messages];
    if (answer?.status !== 410) return [];
    const lost = new Set((answer.json as { lost?: string[] }).lost ?? lockTokens);
    return messages.filter((message) => !lost.has(message.lockToken));
  }

  /** A session's token, or undefined when there is none to have (now). */
  async acceptSession(id?: string, waitMs = 0): Promise<{ session: string; id: string } | undefined> {
    const answer = await this.#post('sessions', { ...(id ? { id } : {}), waitMs });
    return answer?.status === 201 ? (answer.json as { session: string; id: string }) : undefined;
  }

  async closeSession(session: string): Promise<void> {
    await this.#server.fetch('DELETE', `${this.#path}/sessions/${session}`).catch(() => undefined);
  }

  async counts(): Promise<Record<string, number>> {
    return this.#server.call('GET', this.#path);
  }

  async #post(path: string, body: unknown): Promise<{ status: number; json: unknown } | undefined> {
    try {
      const answer = await this.#server.fetch('POST', `${this.#path}/${path}`, body);
      const json: unknown = await answer.json();
      if (answer.status === 400 || answer.status === 401 || answer.status === 403) {
        throw new Refused(`${path}: ${answer.status} ${JSON.stringify(json)}`);
      }
      if (answer.status >= 500) await pause(20);
      return { status: answer.status, json };
    } catch (error) {
      if (error instanceof Refused) throw error;
      await pause(20);
      return undefined;
    }
  }
}

class Refused extends Error {}
