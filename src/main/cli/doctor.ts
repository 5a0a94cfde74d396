// `carillon doctor`: looks at what a server needs, and at a running one, and says what to mend.
import { existsSync } from 'node:fs';
import { access, constants, readFile, realpath, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MAJOR } from '../engine/cluster.ts';
import { readPidFile, servesCluster } from '../engine/pidfile.ts';
import { findHolder, type Holder } from '../lock.ts';
import { readSettings } from '../settings.ts';
import type { Settings } from '../settings-table.ts';
import { Client, findServer } from './client.ts';
import { type Call, type Command, stringOption } from './command.ts';
import { examineServer } from './doctor-server.ts';

type State = 'ok' | 'warning' | 'problem';
export type Finding = { readonly what: string; readonly state: State; readonly detail: string };
type Look = {
  readonly settings: Settings;
  readonly folder: string;
  readonly holder: Holder | undefined;
  readonly call: Call;
};

const GIB = 2 ** 30;

export const doctorCommand: Command = {
  words: 'doctor',
  summary:
    'Look for what is wrong: Node, settings, data folder, engine, ports, disk, clock, database, dead letters, push services',
  details:
    'Looks at this machine as a server would start here, and asks the server of the data folder, or that of --url. Exit status 1 if there is a problem.',
  run: async (call) => {
    const findings = await examine(call);
    call.out.result(findings, () => findings.map(line).join('\n'));
    if (findings.some(({ state }) => state === 'problem')) process.exitCode = 1;
  },
};

async function examine(call: Call): Promise<Finding[]> {
  const node = checkNode();
  let settings: Settings;
  try {
    const folderFlag = stringOption(call, 'data-dir');
    await findServer(call); // reads the settings of clients
    settings = readSettings(folderFlag ? ['--data-dir', folderFlag] : [], call.env).values;
  } catch (error) {
    return [node, { what: 'settings', state: 'problem', detail: (error as Error).message }];
  }
  const folder = resolve(settings.dataDir);
  const look: Look = { settings, folder, holder: await findHolder(folder), call };
  const checks = [
    checkServer,
    checkFolder,
    checkEngine,
    checkPorts,
    checkDisk,
    checkClock,
    checkDatabase,
    checkRunning,
  ];
  const found = await Promise.all(checks.map((check) => check(look)));
  return [node, { what: 'settings', state: 'ok', detail: 'valid' }, ...found.flat()];
}

function checkNode(): Finding {
  const right = Number(process.versions.node.split('.')[0]) >= 24;
  return { what: 'node', state: right ? 'ok' : 'problem', detail: `${process.version} at ${process.execPath}` };
}

async function checkServer({ folder, holder }: Look): Promise<Finding> {
  if (!holder) return { what: 'server', state: 'ok', detail: `not running on ${folder}` };
  return {
    what: 'server',
    state: 'ok',
    detail: `process ${holder.pid} at ${holder.url ?? 'an address not known yet'}`,
  };
}

async function checkEngine({ settings, folder, holder }: Look): Promise<Finding> {
  const what = 'engine';
  if (settings.databaseUrl) return { what, state: 'ok', detail: 'not used: CARILLON_DATABASE_URL is set' };
  const cluster = join(folder, 'postgres');
  if (!existsSync(cluster))
    return { what, state: 'ok', detail: `PostgreSQL ${MAJOR}; its data is made at the first start` };
  const version = (await readFile(join(cluster, 'PG_VERSION'), 'utf8').catch(() => undefined))?.trim();
  if (version === undefined) return { what, state: 'warning', detail: `${cluster} cannot be read by this user` };
  if (version !== MAJOR)
    return { what, state: 'problem', detail: `${cluster} is of PostgreSQL ${version}; this version brings ${MAJOR}` };
  const pid = (await readPidFile(cluster))?.pid;
  const runs = pid !== undefined && (await servesCluster(pid, await realpath(cluster)));
  if (runs)
    return {
      what,
      state: 'ok',
      detail: `PostgreSQL ${version} runs as process ${pid}${holder ? '' : '; the next start adopts it'}`,
    };
  return { what, state: holder ? 'problem' : 'ok', detail: `PostgreSQL ${version} does not run` };
}

async function checkPorts({ settings, holder }: Look): Promise<Finding[]> {
  const what = 'ports';
  if (holder) return [{ what, state: 'ok', detail: 'the running server has them' }];
  const { host } = settings;
  const wanted = [
    [host, settings.port, '--port'],
    [host, settings.tlsPort, '--tls-port'],
    [host, settings.amqpPort, '--amqp-port'],
    [host, settings.amqpHttpPort, '--amqp-http-port'],
    ['127.0.0.1', settings.agentPort, '--agent-port'],
  ] as const;
  const found = await Promise.all(
    wanted.map(async ([at, port, flag]) => {
      const code = await tryPort(at, port);
      return code === undefined ? [] : [`${at}:${port} cannot be used (${code}); choose another with ${flag}`];
    }),
  );
  const taken = found.flat();
  if (taken.length > 0) return taken.map((detail) => ({ what, state: 'problem', detail }));
  return [{ what, state: 'ok', detail: `${wanted.map(([, port]) => port).join(', ')} are free` }];
}

function tryPort(host: string, port: number): Promise<string | undefined> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
    server.listen({ host, port }, () => server.close(() => done(undefined)));
  });
}

async function checkFolder({ folder }: Look): Promise<Finding> {
  const what = 'data folder';
  const at = nearest(folder);
  const fault = await access(at, constants.R_OK | constants.W_OK | constants.X_OK).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code,
  );
  if (fault === undefined)
    return { what, state: 'ok', detail: at === folder ? folder : `${folder} is made at the first start` };
  const whose = at === folder ? folder : `${folder} cannot be made: ${at}`;
  const remedy = 'give it to the user that runs the server, or choose another with --data-dir';
  return { what, state: 'problem', detail: `${whose} cannot be written by this user (${fault}); ${remedy}` };
}

/** The folder itself or, where it is not there yet, the one that it would be made in. */
function nearest(folder: string): string {
  return existsSync(folder) ? folder : nearest(dirname(folder));
}

async function checkDisk({ folder }: Look): Promise<Finding> {
  const at = nearest(folder);
  const { bavail, bsize, blocks } = await statfs(at);
  const free = bavail * bsize;
  const state = free < GIB ? 'problem' : free < 5 * GIB || bavail < blocks * 0.05 ? 'warning' : 'ok';
  const full = state === 'ok' ? '' : '; when it is full, senders are refused until there is room';
  return { what: 'disk', state, detail: `${(free / GIB).toFixed(1)} GiB free at ${at}${full}` };
}

// Leases and due times need a clock that runs evenly and is not years off.
async function checkClock(): Promise<Finding> {
  const [wall, steady] = [Date.now(), performance.now()];
  await sleep(200);
  const driftMs = Math.abs(Date.now() - wall - (performance.now() - steady));
  const year = new Date().getUTCFullYear();
  const state = year < 2026 ? 'problem' : driftMs > 50 ? 'warning' : 'ok';
  const words =
    year < 2026
      ? 'years behind: set it'
      : driftMs > 50
        ? `set by ${driftMs.toFixed(0)} ms while it was looked at`
        : 'runs evenly';
  return {
    what: 'clock',
    state,
    detail: `${new Date().toISOString()}, ${words}`,
  };
}

async function checkDatabase({ settings }: Look): Promise<Finding[]> {
  if (!settings.databaseUrl) return [];
  const { Database } = await import('../../kit/database.ts');
  await using database = new Database({ url: settings.databaseUrl, poolSize: 1, connectTimeoutMs: 5_000 });
  try {
    const [row] = await database.query<{ version: string; at: Date }>(
      `select current_setting('server_version') as version, clock_timestamp() as at`,
    );
    const offMs = Math.abs(row!.at.getTime() - Date.now());
    const old = Number.parseInt(row!.version, 10) < 15;
    const state = old ? 'problem' : offMs > 2_000 ? 'warning' : 'ok';
    return [{ what: 'database', state, detail: `PostgreSQL ${row!.version}, its clock ${offMs} ms from ours` }];
  } catch (error) {
    return [{ what: 'database', state: 'problem', detail: `cannot be reached: ${(error as Error).message}` }];
  }
}

/** The server of the data folder, or the one whose address was given. */
async function checkRunning({ holder, call }: Look): Promise<Finding[]> {
  const { url, key, given, keyFrom } = await findServer(call);
  if (!holder && !given) return [];
  return examineServer(new Client(url, key), keyFrom);
}

function line({ what, state, detail }: Finding): string {
  return `${state.padEnd(8)} ${what.padEnd(13)} ${detail}`;
}
