// For tests over HTTP: a listening server on a real database, and a client that says what it got. Every answer is
// held against the OpenAPI document that the server itself gives out.
import { afterAll, beforeAll } from 'vitest';
import { Access } from '../../src/access/access.ts';
import { directLinePoster } from '../../src/assistant/directline-poster.ts';
import type { UnsubscribeKeys } from '../../src/email/unsubscribe.ts';
import { enterpriseNotification } from '../../src/events/ingest.ts';
import { deviceLine } from '../../src/gateways/http/device-line.ts';
import { HttpServer, type HttpSettings } from '../../src/gateways/http/server.ts';
import { notificationHubDoor } from '../../src/gateways/notificationhub/door.ts';
import { registrationLine } from '../../src/gateways/notificationhub/registration-line.ts';
import { Handler } from '../../src/handler/handler.ts';
import { compileDefinitions, type Notification } from '../../src/handler/notification.ts';
import { HubWatch } from '../../src/hub/hub-status.ts';
import { ensureHub } from '../../src/hub/hubs.ts';
import { HubJobs } from '../../src/hub/job-worker.ts';
import { HubLanes } from '../../src/hub/lanes.ts';
import { defaultRules } from '../../src/hub/rules.ts';
import { HubSender } from '../../src/hub/sender.ts';
import { azureSendLimits } from '../../src/hub/sends.ts';
import { azureTagLimits } from '../../src/hub/tags.ts';
import { InboxStream } from '../../src/inbox/stream.ts';
import type { Database } from '../../src/kit/database.ts';
import { sealingKey } from '../../src/kit/sealing.ts';
import { type Signal, Signals } from '../../src/kit/signals.ts';
import { openDecisions } from '../../src/main/answers.ts';
import { Broker } from '../../src/topics/broker.ts';
import { useDatabase } from './database.ts';
import { type OpenApi, OpenApiCheck } from './openapi-check.ts';

export const ADMIN_KEY = 'admin-key-of-the-tests';
const HUB_KEY = sealingKey('hub-key-of-the-tests');
export const UNSUBSCRIBE_KEYS: UnsubscribeKeys = [Buffer.from('unsubscribe-key-of-the-tests')];

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
  broker: Broker;
  readonly database: Database;
  readonly signals: Signal[];
  call(path: string, call?: Call): Promise<Answer>;
};

export function useServer(
  settings: Partial<HttpSettings> = {},
  notifications: readonly Notification[] = [],
): TestServer {
  let stopAll: () => Promise<void> = async () => undefined;
  const { database } = useDatabase();
  const test = { database, signals: [], call } as unknown as TestServer; // the rest comes before the first test
  let documented: OpenApiCheck | undefined;
  beforeAll(async () => {
    const signals = new Signals();
    signals.listen((signal) => test.signals.push(signal));
    const { emit } = signals;
    const broker = await Broker.start({ database, emit, node: { id: 'test' } });
    for (const topic of ['hr', 'enterprise'])
      await broker.createTopic(topic, { settings: { duplicateDetection: true } });
    const inbox = await InboxStream.start({ database, emit });
    const definitions = compileDefinitions(notifications);
    const decisions = openDecisions({ database, broker, inbox, emit });
    decisions.start();
    const handler = await Handler.start({
      database,
      broker,
      definitions,
      finders: {},
      inbox,
      wake: () => undefined,
      emit,
    });
    const grants = [{ right: 'manage', entity: '*' }] as const;
    const access = await Access.start({ database, presets: [{ name: 'admin', secret: ADMIN_KEY, grants }] });
    const subject = 'mailto:ops@example.com';
    await ensureHub(database, HUB_KEY, { name: 'main', credentials: {}, subject }, new Date());
    const now = () => new Date();
    const lanes = new HubLanes({ database, key: HUB_KEY, emit });
    const watch = new HubWatch({ database, key: HUB_KEY, now }, lanes);
    signals.listen(watch.listener);
    const hubSender = HubSender.start({ database, lanes, emit, now });
    const jobs = HubJobs.start({
      database,
      emit,
      now,
      forms: { device: deviceLine(azureTagLimits), registration: registrationLine(azureTagLimits) },
    });
    const hubs = {
      admin: { database, key: HUB_KEY, subject, tagLimits: azureTagLimits, sendLimits: azureSendLimits, now },
      defaultRules: defaultRules({ fullKey: 'full-key-of-the-tests', listenKey: 'listen-key-of-the-tests' }),
      watch,
      push: { database, lanes, now },
      wake: () => hubSender.wake(),
      wakeJobs: () => jobs.wake(),
    };
    const server = await HttpServer.start(
      {
        access,
        database,
        broker,
        inbox,
        decisions,
        definitions,
        signals,
        dispatcher: { wake: () => undefined },
        edit: () => undefined,
        conversations: { posters: [directLinePoster({ database, wake: () => undefined })], wake: () => undefined },
        mappings: [enterpriseNotification('enterprise')],
        notReady: async () => [],
        unsubscribeKeys: UNSUBSCRIBE_KEYS,
        answerKeys: UNSUBSCRIBE_KEYS,
        hubs,
        gateways: [notificationHubDoor({ ...hubs, database, lanes, emit, now })],
      },
      { host: '127.0.0.1', port: 0, version: '0.0.0', ...settings },
    );
    Object.assign(test, { server, access, inbox, broker });
    stopAll = async () => {
      for (const part of [server, jobs, hubSender, lanes, handler, decisions, inbox, broker]) await part.stop();
    };
  });
  afterAll(() => stopAll());

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
