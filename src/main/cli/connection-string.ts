// `carillon key connection-string` and `key regenerate`: what Service Bus clients put into their configuration, and new keys
// for it. Keys are shown by the door to whoever may do everything; without it the key comes from the settings or from the
// data folder.
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Refusal } from '../../kit/refusal.ts';
import { SAS_KEY_FILE } from '../keys.ts';
import { readEnvironment } from '../settings.ts';
import { settingsTable } from '../settings-table.ts';
import { Client, type Found, findServer, Unreachable } from './client.ts';
import { type Call, type Command, stringOption, UsageError } from './command.ts';

type Keys = { readonly primary: string; readonly secondary?: string };

const { sasKey, dataDir, amqpPort } = settingsTable;

export const connectionStringCommand: Command = {
  words: 'key connection-string',
  summary: 'Print the connection string of RootManageSharedAccessKey, for Service Bus clients',
  options: { secondary: { type: 'boolean', sentence: 'With the secondary key instead of the primary one.' } },
  run: async (call) => {
    const keys = await askDoor(call, 'GET', '').catch((error: unknown) => {
      if (error instanceof Unreachable && !call.options.secondary) return keptKeys(call, error);
      throw error;
    });
    await print(call, call.options.secondary ? keys.secondary : keys.primary);
  },
};

export const regenerateCommand: Command = {
  words: 'key regenerate',
  summary: 'Make a new primary or secondary key of RootManageSharedAccessKey; the one before is refused from now on',
  details: 'Programs move to the other key first: then nothing stops. All nodes take the new key without a restart.',
  args: [{ name: 'which', sentence: 'primary or secondary.' }],
  examples: ['carillon key regenerate secondary', 'carillon key connection-string --secondary'],
  run: async (call) => {
    const { which } = call.args;
    if (which !== 'primary' && which !== 'secondary') throw new UsageError('<which> is primary or secondary.');
    await print(call, (await askDoor(call, 'PUT', `/${which}`))[which]);
  },
};

async function print(call: Call, key: string | undefined): Promise<void> {
  if (key === undefined) throw new Refusal('not_found', 'There is no secondary key: carillon key regenerate secondary');
  const { connectionString } = await import('../../gateways/servicebus/connection-string.ts');
  const { hostname, port } = doorOf(call, await findServer(call));
  const text = connectionString(['127.0.0.1', '[::1]'].includes(hostname) ? 'localhost' : hostname, port, key);
  call.out.result({ connectionString: text }, () => text);
}

/** Where Service Bus clients are served. Of a server that does not run here only the settings tell the port. */
function doorOf(call: Call, { url, amqpPort: told }: Found): { readonly hostname: string; readonly port: number } {
  return { hostname: new URL(url).hostname, port: told ?? readEnvironment({ amqpPort }, call.env).amqpPort };
}

/** The administration of Service Bus clients answers on their port, in plain HTTP too. */
async function askDoor(call: Call, method: string, path: string): Promise<Keys> {
  const server = await findServer(call);
  const { hostname, port } = doorOf(call, server);
  return new Client(`http://${hostname}:${port}`, server.key).call<Keys>(method, `/$keys${path}`);
}

async function keptKeys(call: Call, unreachable: Unreachable): Promise<Keys> {
  const given = readEnvironment({ sasKey, dataDir }, call.env);
  if (given.sasKey !== undefined) return { primary: given.sasKey };
  if ((await findServer(call)).given) throw unreachable; // The folder here is that of another server.
  return { primary: await keptKey(call, given.dataDir) };
}

async function keptKey(call: Call, dataDir: string): Promise<string> {
  const file = join(resolve(stringOption(call, 'data-dir') ?? dataDir), SAS_KEY_FILE);
  const kept = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    const remedy = 'Run this where the server runs, or set CARILLON_SAS_KEY.';
    throw new Refusal('not_found', `There is no key in ${file} (${error.code}). ${remedy}`, {}, error);
  });
  return kept.trim();
}
