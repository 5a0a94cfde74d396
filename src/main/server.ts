// The wiring: every room built once, in the order in which they need each other, and stopped in the reverse order.
import { chmod, mkdir, realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Access } from '../access/access.ts';
import { conversationPolicy } from '../assistant/channel.ts';
import type { Decisions } from '../assistant/decisions/decisions.ts';
import type { AnswerKeys } from '../assistant/decisions/link.ts';
import { takeBackWork } from '../assistant/decisions/work.ts';
import { takeBackEdits } from '../assistant/posted.ts';
import { takeBackDeliveries } from '../deliveries/claim.ts';
import { Dispatcher } from '../deliveries/dispatcher.ts';
import { markGone } from '../deliveries/gone.ts';
import { emailChannel, emailPolicy } from '../email/channel.ts';
import { defaultBrand } from '../email/letter.ts';
import type { UnsubscribeKeys } from '../email/unsubscribe.ts';
import { registerBodyFormat } from '../events/body-formats.ts';
import { HttpServer } from '../gateways/http/server.ts';
import { contentOfAmqp } from '../gateways/servicebus/amqp/content.ts';
import { ServiceBusDoor } from '../gateways/servicebus/door.ts';
import { keptCertificate } from '../gateways/servicebus/kept-certificate.ts';
import { emailEndpoints, notSetUp } from '../handler/endpoints.ts';
import { Handler, subscribeHandler } from '../handler/handler.ts';
import { concealedText } from '../handler/notification.ts';
import { mobileChannel, mobileEndpoints, mobilePolicy } from '../hub/channel.ts';
import { takeBackJobs } from '../hub/jobs.ts';
import type { HubLanes } from '../hub/lanes.ts';
import { InboxStream } from '../inbox/stream.ts';
import type { Database } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import { beginRun, endRun, type Run, takeBack } from '../kit/run.ts';
import type { Emit, Signals } from '../kit/signals.ts';
import { Broker } from '../topics/broker.ts';
import { openDecisions } from './answers.ts';
import { Assistant } from './assistant.ts';
import { type LoadedConfig, loadConfig } from './config/load.ts';
import { Housekeeping } from './housekeeping.ts';
import { type Hubs, hubConnectionString, hubParts, startHubs } from './hubs.ts';
import { type OwnKeys, ownKeys } from './keys.ts';
import { letterFinder } from './letters.ts';
import { FolderLock } from './lock.ts';
import { Metrics } from './metrics.ts';
import { ensurePages, pagesFolder } from './pages.ts';
import { openBroadcasts, openProactive, type Proactive } from './proactive.ts';
import type { Settings } from './settings-table.ts';
import { joinNodes } from './shared-keys.ts';
import { openDatabase } from './storage.ts';
import { version } from './version.ts';

/** What the parts of the wiring pass on to each other. */
type Wiring = {
  readonly settings: Settings;
  readonly config: LoadedConfig;
  readonly keys: OwnKeys;
  readonly database: Database;
  readonly signals: Signals;
  readonly stack: AsyncDisposableStack;
  readonly folder: string;
  readonly run: Run;
};

type Rooms = Pick<CarillonServer, 'access' | 'url' | 'serviceBus' | 'hubConnectionString' | 'assistant'>;

/** Its leases have to end first. */
export type TakeBackSignal = { readonly name: 'server.take-back-failed'; readonly error: unknown };

export type PagesSignal =
  | { readonly name: 'pages.built'; readonly tookMs: number }
  | { readonly name: 'pages.failed'; readonly error: unknown };

export class CarillonServer {
  readonly #stack: AsyncDisposableStack;
  readonly access: Access;
  readonly url: string;
  readonly folder: string;

  /** Where Service Bus clients come in. */
  readonly serviceBus: ServiceBusDoor;
  /** Conversations and agents. */
  readonly assistant: Assistant;
  /** What clients of notification hubs are configured with; the hub's name goes beside it. */
  readonly hubConnectionString: string;

  private constructor(stack: AsyncDisposableStack, parts: Rooms & { readonly folder: string }) {
    this.#stack = stack;
    this.access = parts.access;
    this.serviceBus = parts.serviceBus;
    this.assistant = parts.assistant;
    this.hubConnectionString = parts.hubConnectionString;
    this.url = parts.url;
    this.folder = parts.folder;
  }

  /** Ready when it returns. If it throws, nothing keeps running. */
  static async start(settings: Settings, signals: Signals): Promise<CarillonServer> {
    await using stack = new AsyncDisposableStack();
    const config = await loadConfig(settings.config);
    const folder = await makeFolder(settings.dataDir);
    const lock = stack.use(await FolderLock.take(folder));
    const keys = await ownKeys(settings, folder);
    const pages = preparePages(signals.emit);
    const database = await openDatabase(settings, folder, { emit: signals.emit, stack });
    await pages;
    const run = await beginRun(database, keys.nodeId);
    // Last but the database and the lock: nothing is claimed any more. If it fails, the next run finds nothing to take back.
    stack.defer(() => endRun(database, run).catch(() => {}));
    const rooms = await startRooms({ settings, config, keys, database, signals, stack, folder, run });
    lock.announce(rooms.url, rooms.serviceBus.port);
    return new CarillonServer(stack.move(), { ...rooms, folder });
  }

  /** Ends what is under way, then everything else. A second call waits for the first. */
  async stop(): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

async function startRooms(wiring: Wiring): Promise<Rooms> {
  const { settings, config, database, signals, stack, run } = wiring;
  const { emit } = signals;
  stack.use(new Housekeeping(database, settings, emit));
  await joinNodes(wiring);
  const access = await startAccess(wiring);
  registerBodyFormat('amqp', contentOfAmqp);
  const broker = await startBroker(wiring);
  const inbox = await InboxStream.start({ database, emit });
  stack.defer(() => inbox.stop());
  const decisions = stack.use(openDecisions({ database, broker, inbox, emit, run: run.number }));
  // Mails hold the address that HTTP listens on, so the dispatcher comes after it; until then nobody needs waking.
  let dispatcher: Dispatcher | undefined;
  let ready = false;
  const wake = () => dispatcher?.wake();
  const hubs = await startHubs(wiring);
  let url = '';
  const assistant = await startAssistant(wiring, broker, () => url);
  const proactive = startProactive(wiring, assistant, decisions, wake);
  const http = stack.use(
    await startHttp(wiring, { access, broker, inbox, decisions, assistant, proactive, wake, hubs, ready: () => ready }),
  );
  url = http.url;
  const places = { mobile: mobileEndpoints, conversation: proactive.endpoints };
  const noMail = notSetUp('CARILLON_SMTP_URL names the mail server');
  const finders = { ...places, email: settings.smtpUrl ? emailEndpoints : noMail };
  const { definitions } = config;
  dispatcher = startDispatcher(wiring, http.url, hubs.lanes, proactive);
  const settled = () => decisions.wake();
  stack.use(await Handler.start({ database, broker, definitions, finders, inbox, wake, settled, emit }));
  const serviceBus = stack.use(await startServiceBus(wiring, access, broker));
  decisions.start();
  proactive.editor.start();
  takeBackAll(wiring, () => {
    wake();
    decisions.wake();
    proactive.editor.wake();
    hubs.jobs.wake();
  });
  ready = true;
  const connection = hubConnectionString(settings.host, http.tlsPort!, hubs.rules[0]!);
  return { access, url: http.url, serviceBus, assistant, hubConnectionString: connection };
}

function startAccess({ keys, database }: Wiring): Promise<Access> {
  const grants = [{ right: 'manage', entity: '*' }] as const;
  return Access.start({ database, presets: [{ name: 'admin', secret: keys.adminKey, grants }] });
}

/** What an earlier run of this node held when it died is due again. A long outbox takes a while: nobody waits for it. */
function takeBackAll({ database, run, signals, stack }: Wiring, wake: () => void): void {
  const emit: Emit<TakeBackSignal> = signals.emit;
  const taking = takeBack(database, run, [takeBackDeliveries, takeBackWork, takeBackEdits, takeBackJobs]).then(
    (any) => any && wake(),
    (error: unknown) => emit({ name: 'server.take-back-failed', error }),
  );
  stack.defer(async () => void (await taking));
}

async function startAssistant(wiring: Wiring, broker: Broker, serviceUrl: () => string): Promise<Assistant> {
  const { settings, config, keys, database, signals, stack } = wiring;
  const about = {
    settings,
    config: config.assistant,
    linkKey: keys.linkKey,
    broadcasts: openBroadcasts(config, broker),
  };
  const assistant = await Assistant.start({ ...about, database, emit: signals.emit, serviceUrl }).catch(
    (error: NodeJS.ErrnoException) =>
      explainListen(error, '--agent-port', 'CARILLON_AGENT_PORT', '127.0.0.1', settings.agentPort),
  );
  return stack.use(assistant);
}

function startProactive(wiring: Wiring, assistant: Assistant, decisions: Decisions, planned: () => void): Proactive {
  const { settings, config, database, signals, stack, run } = wiring;
  const proactive = openProactive({
    database,
    emit: signals.emit,
    settings,
    connections: config.assistant.connections,
    definitions: config.definitions,
    assistant,
    decisions,
    displayName: config.branding.name ?? defaultBrand.name,
    planned,
    run: run.number,
  });
  stack.use(proactive.editor);
  stack.use(proactive.newcomers);
  return proactive;
}

async function startServiceBus(wiring: Wiring, access: Access, broker: Broker): Promise<ServiceBusDoor> {
  const { settings, keys, database, signals } = wiring;
  const { host, amqpPort, amqpHttpPort } = settings;
  const open = (options: { port: number; httpPort?: number }) =>
    ServiceBusDoor.start({
      broker,
      database,
      access,
      emit: signals.emit,
      rootKey: keys.sasKey,
      maxConnections: settings.amqpConnections,
      maxRules: settings.authorizationRules,
      secret: keys.linkKey,
      folder: join(wiring.folder, 'servicebus'),
      host,
      ...options,
    });
  return open({ port: amqpPort, httpPort: amqpHttpPort }).catch((error: NodeJS.ErrnoException & { port?: number }) =>
    error.port === amqpHttpPort && amqpHttpPort !== amqpPort
      ? explainListen(error, '--amqp-http-port', 'CARILLON_AMQP_HTTP_PORT', host, amqpHttpPort)
      : explainListen(error, '--amqp-port', 'CARILLON_AMQP_PORT', host, amqpPort),
  );
}

/** The API is of use without its pages, so that a build that fails is told and not fatal. */
async function preparePages(emit: Emit<PagesSignal>): Promise<void> {
  const began = performance.now();
  try {
    if (await ensurePages()) emit({ name: 'pages.built', tookMs: performance.now() - began });
  } catch (error) {
    emit({ name: 'pages.failed', error });
  }
}

async function startBroker({ settings, config, keys, database, signals, stack }: Wiring): Promise<Broker> {
  // Also on an embedded PostgreSQL: another node that found its way there would see topics and get nothing of them.
  const link = { host: settings.nodeHost, port: settings.nodePort };
  const broker = await Broker.start({
    database,
    emit: signals.emit,
    node: { id: keys.nodeId },
    settings: { limits: topicLimits(settings), link },
  });
  stack.defer(() => broker.stop());
  for (const { name, settings } of config.topics) await broker.ensureTopic(name, { settings });
  await subscribeHandler(broker, config.definitions);
  return broker;
}

function topicLimits(settings: Wiring['settings']) {
  return {
    subscriptions: settings.topicSubscriptions,
    sqlRules: settings.topicSqlRules,
    correlationRules: settings.topicCorrelationRules,
    propertyBytes: settings.propertyBytes,
    propertiesBytes: settings.propertiesBytes,
  };
}

function startDispatcher(
  { settings, config, keys, database, signals, stack, run }: Wiring,
  publicUrl: string,
  lanes: HubLanes,
  proactive: Proactive,
): Dispatcher {
  const { smtpUrl, mailFrom } = settings;
  const email =
    smtpUrl &&
    emailChannel({
      smtpUrl,
      from: mailFrom,
      publicUrl,
      unsubscribeKeys: linkKeys(keys),
      letters: letterFinder(database, config.definitions, linkKeys(keys)),
      brand: { ...defaultBrand, ...config.branding },
    });
  // Stopped after the dispatcher, which lets the mails under way end.
  if (email) stack.defer(() => email.stop());
  const channels = [
    mobileChannel({ database, lanes, concealed: (name) => concealedText(config.definitions, name) }),
    proactive.channel,
    ...(email ? [email] : []),
  ];
  const policy = { email: emailPolicy, mobile: mobilePolicy, conversation: conversationPolicy };
  return stack.use(Dispatcher.start({ database, channels, policy, markGone, emit: signals.emit, run: run.number }));
}

function linkKeys({ linkKey }: OwnKeys): UnsubscribeKeys & AnswerKeys {
  return [Buffer.from(linkKey)];
}

type HttpParts = {
  readonly access: Access;
  readonly broker: Broker;
  readonly inbox: InboxStream;
  readonly decisions: Decisions;
  readonly assistant: Assistant;
  readonly proactive: Proactive;
  readonly wake: () => void;
  readonly hubs: Hubs;
  readonly ready: () => boolean;
};

async function startHttp(wiring: Wiring, parts: HttpParts): Promise<HttpServer> {
  const { settings, config, database, signals, stack } = wiring;
  const metrics = stack.use(new Metrics());
  stack.defer(signals.listen(metrics.listener));
  const { host, port, tlsPort, publicUrl, corsOrigins } = settings;
  const { cert, key } = await keptCertificate(join(wiring.folder, 'servicebus'), host, new Date());
  const { access, broker, inbox, decisions, wake } = parts;
  const { hubs, door } = hubParts(parts.hubs, signals);
  const deps = {
    access,
    broker,
    inbox,
    decisions,
    database,
    dispatcher: { wake },
    edit: () => parts.proactive.editor.wake(),
    conversations: {
      posters: parts.proactive.posters,
      wake: (ids: readonly string[]) => parts.assistant.streams.wake(ids),
    },
    mappings: config.mappings,
    definitions: config.definitions,
    unsubscribeKeys: linkKeys(wiring.keys),
    answerKeys: linkKeys(wiring.keys),
    hubs,
    gateways: [door, parts.assistant.door(access), parts.proactive.door],
    signals,
    notReady: async () => (parts.ready() ? missing(database) : ['the rooms, which are starting']),
    metrics: () => metrics.text(),
  };
  const stopWithinMs = (settings.stopTimeout * 1000) / 2;
  return HttpServer.start(deps, {
    host,
    port,
    publicUrl,
    corsOrigins,
    version,
    webFolder: pagesFolder,
    tls: { port: tlsPort, cert, key },
    stopWithinMs,
  }).catch((error: NodeJS.ErrnoException & { port?: number }) =>
    error.port === tlsPort && tlsPort !== port
      ? explainListen(error, '--tls-port', 'CARILLON_TLS_PORT', host, tlsPort)
      : explainListen(error, '--port', 'CARILLON_PORT', host, port),
  );
}

async function missing(database: Database): Promise<string[]> {
  const answers = await database.query('select 1').then(
    () => true,
    () => false,
  );
  return answers ? [] : ['the database, which does not answer'];
}

async function makeFolder(dataDir: string): Promise<string> {
  const path = resolve(dataDir);
  try {
    const made = await mkdir(path, { recursive: true });
    if (made) await chmod(path, 0o700);
    return await realpath(path);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code;
    const remedy = 'Choose another: --data-dir <folder> (CARILLON_DATA_DIR).';
    throw new Refusal('invalid_setting', `The data folder ${path} cannot be made (${why}). ${remedy}`, {}, error);
  }
}

function explainListen(error: NodeJS.ErrnoException, flag: string, name: string, host: string, port: number): never {
  const other = `Choose another: ${flag} <port> (${name})`;
  if (error.code === 'EADDRINUSE')
    throw new Refusal('conflict', `Port ${port} is taken. ${other}; 0 takes a free one.`);
  if (error.code === 'EACCES')
    throw new Refusal('conflict', `This user may not listen on port ${port}. ${other} above 1023.`);
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND')
    throw new Refusal('invalid_setting', `This machine has no address "${host}": see --host (CARILLON_HOST).`);
  throw error;
}
