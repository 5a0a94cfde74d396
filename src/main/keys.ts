// The keys that a server has from the start. A key that the settings do not give is made once and kept in the data
// folder, in a file that only its owner reads; the database holds hashes.
import { createHmac, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freshId } from '../kit/ids.ts';
import type { Settings } from './settings-table.ts';

export const ADMIN_KEY_FILE = 'admin-key';
export const SAS_KEY_FILE = 'sas-key';

/** The Listen key is derived under this name; another one would end the keys that apps carry. */
const LISTEN_RULE = 'DefaultListenSharedAccessSignature';

/** What all nodes of a database must have the same of, by the settings. What one made, the others could not check or open. */
export const SHARED_KEYS = ['adminKey', 'sasKey', 'hubListenKey', 'linkKey'] as const;
export type SharedKey = (typeof SHARED_KEYS)[number];

export type OwnKeys = Readonly<Record<SharedKey, string>> & {
  /** Those that no setting gave: nodes on other data folders have others. */
  readonly made: readonly SharedKey[];
  /** Names this node among those that share a database. */
  readonly nodeId: string;
};

export async function ownKeys(settings: Pick<Settings, SharedKey>, folder: string): Promise<OwnKeys> {
  const kept = (name: string, make: () => string) => keptKey(join(folder, name), make);
  // Service Bus clients expect the form of the original: 32 bytes in base 64.
  const sasKey = settings.sasKey ?? (await kept(SAS_KEY_FILE, () => random('base64')));
  // Apps carry it. Where the operator set one key for all, it is that one, as `CARILLON_SAS_KEY` promises.
  const givenListenKey = settings.hubListenKey ?? settings.sasKey;
  const given = { ...settings, hubListenKey: givenListenKey };
  return {
    adminKey: settings.adminKey ?? (await kept(ADMIN_KEY_FILE, () => `crl_admin_${random('base64url')}`)),
    sasKey,
    hubListenKey: givenListenKey ?? createHmac('sha256', sasKey).update(LISTEN_RULE).digest('base64'),
    linkKey: settings.linkKey ?? (await kept('link-key', () => random('base64url'))),
    made: SHARED_KEYS.filter((key) => given[key] === undefined),
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
