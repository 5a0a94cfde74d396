// `carillon key connection-string`: what Service Bus clients put into their configuration. The key is not to be had over
// the API; it comes from the settings or from the data folder, so that this works where the server runs.
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Refusal } from '../../kit/refusal.ts';
import { SAS_KEY_FILE } from '../keys.ts';
import { readEnvironment } from '../settings.ts';
import { settingsTable } from '../settings-table.ts';
import { findServer } from './client.ts';
import { type Call, type Command, stringOption } from './command.ts';

export const connectionStringCommand: Command = {
  words: 'key connection-string',
  summary: 'Print the connection string of RootManageSharedAccessKey, for Service Bus clients',
  run: async (call) => {
    const { sasKey, dataDir, amqpPort } = settingsTable;
    const given = readEnvironment({ sasKey, dataDir, amqpPort }, call.env);
    const key = given.sasKey ?? (await keptKey(call, given.dataDir));
    const { hostname } = new URL((await findServer(call)).url);
    const { connectionString } = await import('../../gateways/servicebus/connection-string.ts');
    const host = ['127.0.0.1', '[::1]'].includes(hostname) ? 'localhost' : hostname;
    const text = connectionString(host, given.amqpPort, key);
    call.out.result({ connectionString: text }, () => text);
  },
};

async function keptKey(call: Call, dataDir: string): Promise<string> {
  const file = join(resolve(stringOption(call, 'data-dir') ?? dataDir), SAS_KEY_FILE);
  const kept = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    const remedy = 'Run this where the server runs, or set CARILLON_SAS_KEY.';
    throw new Refusal('not_found', `There is no key in ${file} (${error.code}). ${remedy}`, {}, error);
  });
  return kept.trim();
}
