// Every setting of the server: its name, kind, default, and one sentence. The key of an entry gives both of its names:
// `smtpUrl` is CARILLON_SMTP_URL in the environment and --smtp-url on the command line. Secrets have no flag, because
// a command line is visible to every user of the machine; they may lie in a file named by <NAME>_FILE.
import {
  choice,
  databaseUrl,
  integer,
  type Kind,
  mailbox,
  origins,
  port,
  secretKey,
  text,
  url,
} from './setting-kinds.ts';

type Setting<T, Optional extends boolean> = {
  readonly kind: Kind<T>;
  readonly default: string | undefined;
  readonly optional: Optional;
  readonly secret: boolean;
  /** What happens without it, where there is no default value. */
  readonly otherwise: string;
  readonly sentence: string;
};

function given<T>(kind: Kind<T>, value: string, sentence: string): Setting<T, false> {
  return { kind, default: value, optional: false, secret: false, otherwise: '', sentence };
}

function optional<T>(kind: Kind<T>, otherwise: string, sentence: string): Setting<T, true> {
  return { kind, default: undefined, optional: true, secret: false, otherwise, sentence };
}

function secret<T>(kind: Kind<T>, otherwise: string, sentence: string): Setting<T, true> {
  return { kind, default: undefined, optional: true, secret: true, otherwise, sentence };
}

export const settingsTable = {
  host: given(text('address'), '127.0.0.1', 'The address to listen on; 0.0.0.0 lets other machines in.'),
  port: given(port, '8080', 'The port of the HTTP API and the pages; 0 takes a free one.'),
  tlsPort: given(
    port,
    '8443',
    'The port of the same over HTTPS, which clients of notification hubs insist on; 0 takes a free one.',
  ),
  amqpPort: given(
    port,
    '5672',
    'The port of Service Bus clients: AMQP, AMQP over WebSockets and administration, with and without TLS; 0 takes a free one.',
  ),
  amqpHttpPort: given(
    port,
    '5300',
    'A second port for the administration of Service Bus clients and for /health, as emulators have it; 0 takes a free one.',
  ),
  amqpConnections: given(
    integer(1, 1_000_000, 'connections'),
    '5000',
    'How many Service Bus clients may be connected at once.',
  ),
  authorizationRules: given(
    integer(1, 10_000, 'rules'),
    '12',
    'How many authorization rules a topic or queue may have.',
  ),
  topicSubscriptions: given(integer(1, 100_000, 'subscriptions'), '2000', 'How many subscriptions a topic may have.'),
  topicSqlRules: given(
    integer(1, 10_000_000, 'rules'),
    '2000',
    'How many rules with an SQL filter all subscriptions of a topic may have together.',
  ),
  topicCorrelationRules: given(
    integer(1, 10_000_000, 'rules'),
    '100000',
    'How many rules with a correlation filter all subscriptions of a topic may have together.',
  ),
  propertyBytes: given(
    integer(64, 100 * 1024 * 1024, 'bytes'),
    '32768',
    'How large one application property of a message may be, its name included.',
  ),
  propertiesBytes: given(
    integer(64, 100 * 1024 * 1024, 'bytes'),
    '65536',
    'How large all application properties of a message may be together.',
  ),
  publicUrl: optional(
    url('http', 'https'),
    'the address it listens on',
    'Where people and programs reach this server, for links in mails, notices and the sign-in link.',
  ),
  corsOrigins: optional(origins, 'only the own pages', 'Web pages of other origins that may call the API with a key.'),
  dataDir: given(
    text('folder'),
    '.carillon',
    'The folder for the embedded PostgreSQL and for the keys that are made at the first start.',
  ),
  config: given(
    text('file'),
    'carillon.config.ts',
    'The file that defines topics, notifications and mappings; the default may be absent.',
  ),
  databaseUrl: secret(
    databaseUrl,
    'the embedded PostgreSQL',
    'A PostgreSQL of version 15 or newer to use instead of the embedded one.',
  ),
  databasePoolSize: given(
    integer(2, 500, 'connections'),
    '20',
    'How many connections the server keeps at most in its pool.',
  ),
  nodeHost: given(
    text('address'),
    '127.0.0.1',
    'The address at which other nodes on the same PostgreSQL reach this one.',
  ),
  nodePort: given(port, '0', 'The port for other nodes on the same PostgreSQL; 0 takes a free one.'),
  adminKey: secret(
    secretKey(16),
    'made at the first start and kept in the data folder',
    'The key that may do everything.',
  ),
  sasKey: secret(
    secretKey(16),
    'made at the first start and kept in the data folder',
    'The shared access key of RootManageSharedAccessKey for Service Bus clients, and of the two default rules of notification hubs.',
  ),
  hubListenKey: secret(
    secretKey(16),
    'CARILLON_SAS_KEY where that is set, else a key derived from the one that was made',
    'The key of DefaultListenSharedAccessSignature, which apps carry. Set it whenever you set CARILLON_SAS_KEY: everybody can read it out of an app.',
  ),
  hubDeviceTags: given(integer(1, 1_000, 'tags'), '60', 'How many tags a device may have.'),
  hubTagLength: given(integer(1, 1_000, 'characters'), '120', 'How long a tag may be.'),
  hubExpressionTags: given(
    integer(1, 1_000, 'tags'),
    '6',
    'How many tags an expression may name, if it has more than || between them.',
  ),
  hubOrTags: given(integer(1, 1_000, 'tags'), '20', 'How many tags an expression may name that only joins them by ||.'),
  hubNotificationBytes: given(
    integer(1_024, 4 * 1024 * 1024, 'bytes'),
    '65536',
    'How large the body of a send to a hub may be.',
  ),
  hubBatchAddresses: given(integer(1, 10_000, 'addresses'), '1000', 'How many addresses a send to addresses may name.'),
  hubTestDevices: given(integer(1, 100, 'devices'), '10', 'How many devices a test send reaches.'),
  hubDaysAhead: given(integer(1, 366, 'days'), '7', 'How many days ahead a send to a hub may be scheduled.'),
  linkKey: secret(
    secretKey(16),
    'made at the first start and kept in the data folder',
    'Signs the unsubscribe links of mails and seals the credentials of hubs. Nodes that share a database need the same one.',
  ),
  smtpUrl: secret(
    url('smtp', 'smtps'),
    'no mail is sent',
    'The mail server, with user and password if it wants them: smtp://user:password@host:587.',
  ),
  mailFrom: given(mailbox, 'Carillon <carillon@localhost>', 'The sender of mails.'),
  historyDays: given(
    integer(1, 3650, 'days'),
    '30',
    'How long the decision trace and the attempts of deliveries are kept.',
  ),
  conversationDays: given(
    integer(1, 3650, 'days'),
    '365',
    'How long messages and files stay in the conversations of people.',
  ),
  directlineTokenMinutes: given(
    integer(30, 1440, 'minutes'),
    '30',
    'How long the token of a Direct Line client lives; clients refresh it every 15 minutes.',
  ),
  directlinePosts: given(
    integer(1, 10_000, 'messages per minute'),
    '120',
    'How much may be said by people in one conversation; 30 at once.',
  ),
  socketLimit: given(
    integer(1, 1_000_000, 'sockets'),
    '20000',
    'How many WebSockets of conversations one node holds at most.',
  ),
  uploadLimit: given(integer(1, 100, 'MiB'), '4', 'The largest file that may be sent in a conversation.'),
  agentTimeout: given(integer(1, 120, 'seconds'), '15', 'How long an agent may take for one turn.'),
  teamsSecret: secret(
    text('secret'),
    'the config has it',
    'The client secret of the bot in Teams, for the connection named `main`.',
  ),
  slackToken: secret(text('token'), 'the config has it', 'The bot token of Slack, for the connection named `main`.'),
  slackSigningSecret: secret(
    text('secret'),
    'the config has it',
    'Checks what Slack posts here, for the connection named `main`.',
  ),
  agentPort: given(
    port,
    '8089',
    'The port, on this machine only, at which agents in signed mode fetch their tokens; closed if there are none; 0 takes a free one.',
  ),
  inboxDays: given(integer(1, 3650, 'days'), '365', 'How long notices stay in the inboxes of people.'),
  logLevel: given(
    choice('debug', 'info', 'warn', 'error', 'silent'),
    'info',
    'The least important log lines to write.',
  ),
  logFormat: given(
    choice('auto', 'json', 'pretty'),
    'auto',
    'How log lines look; auto is pretty on a terminal and JSON elsewhere.',
  ),
  stopTimeout: given(
    integer(1, 600, 'seconds'),
    '10',
    'How long a stop waits for what is under way before it ends anyway.',
  ),
} as const satisfies Record<string, Setting<unknown, boolean>>;

/** What the client commands (all but `start`) take from the environment. */
export const clientTable = {
  url: optional(url('http', 'https'), 'the server of this data folder', 'The server that client commands talk to.'),
  key: secret(secretKey(16), 'the admin key of this data folder', 'The key that client commands send.'),
} as const satisfies Record<string, Setting<unknown, boolean>>;

export type Table = Readonly<Record<string, Setting<unknown, boolean>>>;

/** The values of a table: optional ones may be undefined. */
export type Values<T extends Table> = {
  readonly [K in keyof T]: T[K] extends Setting<infer V, infer O> ? (O extends true ? V | undefined : V) : never;
};

export type Settings = Values<typeof settingsTable>;
export type ClientSettings = Values<typeof clientTable>;

export function environmentName(key: string): string {
  return `CARILLON_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

export function flagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
