// The door of conversations on a real port and a real database, with agents of the test's choice.
import type { Socket } from 'node:net';
import { afterAll, beforeAll } from 'vitest';
import { Access } from '../../src/access/access.ts';
import type { NamedAgent } from '../../src/assistant/agents/definition.ts';
import { type AgentKey, AgentKeys } from '../../src/assistant/agents/keys.ts';
import type { Activity } from '../../src/assistant/conversations/activity.ts';
import { Tokens } from '../../src/gateways/directline/tokens.ts';
import { type App, createApp } from '../../src/gateways/http/app.ts';
import { tellBrowsers } from '../../src/gateways/http/browser.ts';
import { guardRoutes } from '../../src/gateways/http/identity.ts';
import type { Database } from '../../src/kit/database.ts';
import { sealingKey } from '../../src/kit/sealing.ts';
import type { Signal } from '../../src/kit/signals.ts';
import { Assistant, type AssistantSettings } from '../../src/main/assistant.ts';
import { useDatabase } from './database.ts';

export const KEY = 'admin-key-of-the-tests';
export const LINK_KEY = 'link-key-of-the-tests';

export type Options = {
  readonly agents?: readonly NamedAgent[];
  readonly trustedOrigins?: readonly string[];
  readonly settings?: Partial<AssistantSettings>;
};

export type Token = { conversationId: string; token: string; expires_in: number };

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape; a wrong path fails the test.
type Json = any;
export type Answer = { readonly status: number; readonly headers: Headers; readonly json: Json };

const defaults: AssistantSettings = {
  agentPort: 0,
  agentTimeout: 15,
  corsOrigins: undefined,
  directlinePosts: 6000,
  directlineTokenMinutes: 30,
  publicUrl: undefined,
  socketLimit: 1000,
  uploadLimit: 1,
};

/** One node. `url` is there once it has started. */
export class DirectLineNode {
  readonly database: Database;
  readonly assistant: Assistant;
  readonly access: Access;
  readonly app: App;
  readonly signals: Signal[];
  readonly url: string;
  readonly #sockets = new Set<Socket>();

  private constructor(
    parts: Omit<
      DirectLineNode,
      'domain' | 'opened' | 'cut' | 'rotateKeys' | 'signingKey' | 'stop' | 'generate' | 'tokenFor' | 'call' | 'say'
    >,
  ) {
    this.database = parts.database;
    this.assistant = parts.assistant;
    this.access = parts.access;
    this.app = parts.app;
    this.signals = parts.signals;
    this.url = parts.url;
    this.app.server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(
    database: Database,
    { agents = [], trustedOrigins = [], settings = {} }: Options,
  ): Promise<DirectLineNode> {
    const signals: Signal[] = [];
    const emit = (signal: Signal) => void signals.push(signal);
    const grants = [{ right: 'manage', entity: '*' }] as const;
    const access = await Access.start({ database, presets: [{ name: 'admin', secret: KEY, grants }] });
    let url = '';
    const all = { ...defaults, ...settings };
    const deps = { settings: all, config: { agents, trustedOrigins }, linkKey: LINK_KEY, database, emit };
    const assistant = await Assistant.start({ ...deps, serviceUrl: () => url });
    const app = createApp({ emit });
    tellBrowsers(app, all.corsOrigins ?? []);
    guardRoutes(app, access, []);
    await app.register(async (own) => assistant.door(access)(own as App)); // the same type
    url = await app.listen({ host: '127.0.0.1', port: 0 });
    return new DirectLineNode({ database, assistant, access, app, signals, url });
  }

  /** The keys of the database, as another node would read them. */
  private get keys(): AgentKeys {
    return new AgentKeys(this.database, sealingKey(LINK_KEY, 'agent keys'));
  }

  async rotateKeys(): Promise<void> {
    await this.keys.rotate({ olderThanMs: -1 });
    // The node has read its keys lately; it does so again within a minute.
    await this.assistant.rotateKeys();
  }

  signingKey(): Promise<AgentKey> {
    return this.keys.current();
  }

  /** Cuts every connection, as a network or a proxy does. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    await this.app.close();
    await this.assistant.stop();
  }

  get domain(): string {
    return `${this.url}/v3/directline`;
  }

  /** How many sockets were opened so far. */
  get opened(): number {
    return this.signals.filter(({ name }) => name === 'directline.opened').length;
  }

  /** A token for a conversation that is there, as its page would have refreshed it in time. */
  async tokenFor(conversationId: string, user: string): Promise<Token> {
    return {
      conversationId,
      ...(await new Tokens(LINK_KEY, 30).issue({ conversationId, user, sid: crypto.randomUUID() })),
    };
  }

  /** A token for a person, by the key. */
  async generate(id: string, more: Record<string, unknown> = {}): Promise<Token> {
    const { status, json } = await this.call('POST', '/tokens/generate', KEY, { user: { id }, ...more });
    if (status !== 200) throw new Error(`tokens/generate: ${status} ${JSON.stringify(json)}`);
    return json;
  }

  async call(
    method: string,
    path: string,
    secret: string | undefined,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const all = { ...(secret && { authorization: `Bearer ${secret}` }), ...headers };
    const json = body === undefined ? {} : { body: JSON.stringify(body), type: 'application/json' };
    const answer = await fetch(path.startsWith('/v3/') ? this.url + path : this.domain + path, {
      method,
      headers: json.type ? { 'content-type': json.type, ...all } : all,
      ...(json.body === undefined ? {} : { body: json.body }),
    });
    const text = await answer.text();
    const isJson = /json/.test(answer.headers.get('content-type') ?? '') && text !== '';
    return { status: answer.status, headers: answer.headers, json: isJson ? JSON.parse(text) : text };
  }

  /** Says something as the person of the token. */
  say({ conversationId, token }: Token, text: string, more: Partial<Activity> = {}): Promise<Answer> {
    const activity = { type: 'message', text, from: { id: 'somebody-else' }, ...more };
    return this.call('POST', `/conversations/${conversationId}/activities`, token, activity);
  }
}

/** A node for the tests of a file. */
export function useDirectLine(options: Options | (() => Promise<Options>) = {}): { node: DirectLineNode } {
  const { database } = useDatabase();
  const test = {} as { node: DirectLineNode }; // filled before the first test
  beforeAll(async () => {
    test.node = await DirectLineNode.start(database, typeof options === 'function' ? await options() : options);
  });
  afterAll(() => test.node?.stop());
  return test;
}
