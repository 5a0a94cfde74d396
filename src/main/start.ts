// `carillon start`: reads the settings, starts the server, says where it is, and stops it when asked.
import { Signals } from '../kit/signals.ts';
import { createLog, type Log, logSignals } from './log.ts';
import { giveBackMemory, keepYoung, letHeapDouble } from './memory.ts';
import { CarillonServer } from './server.ts';
import { readSettings } from './settings.ts';
import type { Settings } from './settings-table.ts';

// Ctrl-C reaches us from the terminal and once more from npm, which passes it on: both are one wish.
const SAME_WISH_MS = 1_000;

/** Runs until a signal ends it. The process exits by itself. */
export async function start(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const settings = readSettings(argv, env).values;
  const log = createLog(settings);
  const signals = new Signals();
  signals.listen(logSignals(log));
  const stopping = stopWish();
  const server = await CarillonServer.start(settings, signals);
  await welcome(server);
  letHeapDouble();
  keepYoung();
  giveBackMemory();
  log.info({ reason: await stopping }, 'stopping');
  await stopWithin(server, settings, log);
}

async function welcome(server: CarillonServer): Promise<void> {
  const { token } = await server.access.createLink({ role: 'admin' });
  const lines = [
    '',
    'Carillon is ready.',
    `  pages and API  ${server.url}`,
    `  API reference  ${server.url}/docs`,
    `  data           ${server.folder}`,
    `  Service Bus    ${server.serviceBus.connectionString}`,
    `  push hubs      ${server.hubConnectionString}`,
    `  to trust       ${server.serviceBus.caFile} (for clients that use TLS: NODE_EXTRA_CA_CERTS)`,
    ...server.assistant.describe(),
    '  sign in (works once, within 15 minutes)',
    `    ${server.url}/v1/sign-in/${token}`,
    '',
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** Resolves at the first wish to stop. A later one ends the process at once. */
function stopWish(): Promise<string> {
  return new Promise((resolve) => {
    let first: number | undefined;
    const wish = (reason: string) => {
      first ??= performance.now();
      resolve(reason);
      if (performance.now() - first > SAME_WISH_MS) process.exit(130);
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, wish);
    // Started by an older Node, which holds this channel: when that process is killed we end as well.
    process.once('disconnect', () => wish('the starting process ended'));
    process.channel?.unref();
  });
}

async function stopWithin(server: CarillonServer, settings: Settings, log: Log): Promise<void> {
  const late = setTimeout(() => {
    log.warn({ afterSeconds: settings.stopTimeout }, 'the stop took too long; ending now');
    process.exit(1);
  }, settings.stopTimeout * 1000);
  await server.stop();
  clearTimeout(late);
  log.info('stopped');
  process.exit(0);
}
