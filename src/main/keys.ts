// The keys that a server has from the start. A key that the settings do not give is made once and kept in the data
// folder, in a file that only its owner reads; the database holds hashes.
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freshId } from '../kit/ids.ts';
import type { Settings } from './settings-table.ts';

export const ADMIN_KEY_FILE = 'admin-key';
export const SAS_KEY_FILE = 'sas-key';

export type OwnKeys = {
  readonly adminKey: string;
  readonly sasKey: string;
  readonly linkKey: string;
  /** Names this node among those that share a database. */
  readonly nodeId: string;
};

export async function ownKeys(
  settings: Pick<Settings, 'adminKey' | 'sasKey' | 'linkKey'>,
  folder: string,
): Promise<OwnKeys> {
  const kept = (name: string, make: () => string) => keptKey(join(folder, name), make);
  return {
    adminKey: settings.adminKey ?? (await kept(ADMIN_KEY_FILE, () => `crl_admin_${random('base64url')}`)),
    // Service Bus clients expect the form of the original: 32 bytes in base 64.
    sasKey: settings.sasKey ?? (await kept(SAS_KEY_FILE, () => random('base64'))),
    linkKey: settings.linkKey ?? (await kept('link-key', () => random('base64url'))),
    nodeId: await kept('node-id', () => freshId('node')),
  };
}

function random(encoding: BufferEncoding): string {
  return randomBytes(32).toString(encoding);
}

async function keptKey(path: string, make: () => string): Promise<string> {
  try {
    await writeFile(path, `${make()}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const key = (await readFile(path, 'utf8')).trim();
  if (key.length >= 16) return key;
  throw new Error(`${path} holds no key. Remove the file, and a new one is made.`);
}
