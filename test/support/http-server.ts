// For tests over HTTP: a listening server on a real database, and a client that says what it got. Every answer is
// held against the OpenAPI document that the server itself gives out.
import { afterAll, beforeAll } from 'vitest';
import { Access } from '../../src/access/access.ts';
import { enterpriseNotification, type IngestMapping } from '../../src/events/ingest.ts';
import { HttpServer, type HttpSettings } from '../../src/gateways/http/server.ts';
import { InboxStream } from '../../src/inbox/stream.ts';
import type { Database } from '../../src/kit/database.ts';
import type { Signal } from '../../src/kit/signals.ts';
import type { OutgoingMessage } from '../../src/topics/message.ts';
import { useDatabase } from './database.ts';
import { type OpenApi, OpenApiCheck } from './openapi-check.ts';

export const ADMIN_KEY = 'admin-key-of-the-tests';

export type Answer = {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape; a wrong path fails the test.
  readonly json: any;
};

export type Call = RequestInit & { readonly key?: string | undefined; readonly json?: unknown };

export type TestServer = {
  server: HttpServer;
  access: Access;
  inbox: InboxStream;
  readonly database: Database;
  readonly published: OutgoingMessage[];
  readonly signals: Signal[];
  call(path: string, call?: Call): Promise<Answer>;
};

export function useServer(settings: Partial<HttpSettings> = {}, mappings: readonly IngestMapping[] = []): TestServer {
  const { database } = useDatabase();
  const test = { database, published: [], signals: [], call } as unknown as TestServer; // the rest comes before the first test
  let documented: OpenApiCheck | undefined;
  beforeAll(async () => {
    const emit = (signal: Signal) => void test.signals.push(signal);
    test.access = await Access.start({
      database,
      presets: [{ name: 'admin', secret: ADMIN_KEY, grants: [{ right: 'manage', entity: '*' }] }],
    });
    test.inbox = await InboxStream.start({ database, emit });
    test.server = await HttpServer.start(
      {
        access: test.access,
        database,
        broker: {
          publish: async (_topic, messages) => {
            test.published.push(...messages);
            return messages.map((_, i) => ({
              sequence: i + 1,
              partition: 0,
              duplicate: false,
              enqueuedAt: new Date(),
            }));
          },
        },
        inbox: test.inbox,
        dispatcher: { wake: () => undefined },
        mappings: [enterpriseNotification('enterprise'), ...mappings],
        notReady: async () => [],
        emit,
      },
      { host: '127.0.0.1', port: 0, version: '0.0.0', ...settings },
    );
  });
  afterAll(async () => {
    await test.server.stop();
    await test.inbox.stop();
  });

  async function call(path: string, { key = ADMIN_KEY, json, ...init }: Call = {}): Promise<Answer> {
    const headers = new Headers(init.headers);
    if (key !== '') headers.set('authorization', `Bearer ${key}`);
    if (json !== undefined && !headers.has('content-type')) headers.set('content-type', 'application/json');
    const body = json === undefined ? init.body : JSON.stringify(json);
    const method = init.method ?? (json === undefined ? 'GET' : 'POST');
    const answer = await fetch(test.server.url + path, {
      redirect: 'manual',
      ...init,
      method,
      headers,
      ...(body === undefined ? {} : { body }),
    });
    const text = await answer.text();
    const isJson = /json/.test(answer.headers.get('content-type') ?? '');
    const parsed = isJson && text !== '' ? JSON.parse(text) : undefined;
    documented ??= new OpenApiCheck(await description());
    documented.check(method, path.split('?')[0]!, answer.status, answer.headers.get('content-type') ?? '', parsed);
    return { status: answer.status, headers: answer.headers, text, json: parsed };
  }
  async function description(): Promise<OpenApi> {
    const answer = await fetch(`${test.server.url}/v1/openapi.json`);
    return (await answer.json()) as OpenApi; // what it says of itself is what is checked
  }
  return test;
}
