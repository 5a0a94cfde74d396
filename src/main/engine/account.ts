// PostgreSQL refuses to run as root. When we are root, its programs run as the owner of an existing cluster, else as
// `postgres`, else as `nobody`. That account may be unable to walk to the files: a clone in /root or in a folder made
// by mktemp lies behind a 0700 door. Then `setpriv` (util-linux) starts the program as that account with one
// capability, to walk through folders and read; `no_setuid_fixup` is there because PostgreSQL asks access(2), which
// otherwise ignores capabilities of whoever is not root.
import { type ChildProcess, execFile, type SpawnOptions, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chown, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { Refusal } from '../../kit/refusal.ts';

const run = promisify(execFile);

type Identity = { readonly name: string; readonly uid: number; readonly gid: number };

/** Who runs PostgreSQL's programs, and how they are started so. */
export type Account = {
  /** Absent when the programs run as we do. */
  readonly identity: Identity | undefined;
  /** What stands before the program on its command line. */
  readonly prefix: readonly string[];
};

const CAPABILITIES = [
  { name: 'dac_read_search', bit: 2n },
  { name: 'dac_override', bit: 1n },
];

/** `cluster` may not exist yet; the account must be able to walk into `folder`, which does. */
export async function chooseAccount(cluster: string, folder: string): Promise<Account> {
  if (process.getuid?.() !== 0) return { identity: undefined, prefix: [] };
  const identity = await chooseIdentity(cluster);
  const closed = await firstClosed(identity, folder);
  if (!closed) return { identity, prefix: [] };
  return { identity, prefix: await walkingPrefix(identity, closed) };
}

async function chooseIdentity(cluster: string): Promise<Identity> {
  const known = parsePasswd(await readFile('/etc/passwd', 'utf8').catch(() => ''));
  if (existsSync(cluster)) {
    const { uid, gid } = await stat(cluster);
    if (uid !== 0) return known.find((entry) => entry.uid === uid) ?? { name: String(uid), uid, gid };
  }
  const found = ['postgres', 'nobody'].map((name) => known.find((entry) => entry.name === name)).find(Boolean);
  return found ?? { name: 'nobody', uid: 65534, gid: 65534 };
}

export function parsePasswd(text: string): Identity[] {
  return text.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':');
    return name && uid && gid ? [{ name, uid: Number(uid), gid: Number(gid) }] : [];
  });
}

/** Whether the account can walk into `folder`. */
export async function reaches(account: Account, folder: string): Promise<boolean> {
  if (!account.identity || account.prefix.length > 0) return true;
  return (await firstClosed(account.identity, folder)) === undefined;
}

async function firstClosed(identity: Identity, folder: string): Promise<string | undefined> {
  for (let at = folder; ; at = dirname(at)) {
    if (!mayEnter(identity, await stat(at))) return at;
    if (at === dirname(at)) return undefined;
  }
}

function mayEnter(identity: Identity, folder: { uid: number; gid: number; mode: number }): boolean {
  if (folder.uid === identity.uid) return (folder.mode & 0o100) !== 0;
  if (folder.gid === identity.gid) return (folder.mode & 0o010) !== 0;
  return (folder.mode & 0o001) !== 0;
}

async function walkingPrefix(identity: Identity, closed: string): Promise<string[]> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
  const held = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  const capability = CAPABILITIES.find(({ bit }) => (held >> bit) & 1n);
  if (capability) {
    const prefix = [
      'setpriv',
      `--reuid=${identity.uid}`,
      `--regid=${identity.gid}`,
      '--clear-groups',
      `--inh-caps=+${capability.name}`,
      `--ambient-caps=+${capability.name}`,
      '--securebits=+no_setuid_fixup',
      '--no-new-privs',
      '--',
    ];
    const works = await run(prefix[0]!, [...prefix.slice(1), 'true']).then(
      () => true,
      () => false,
    );
    if (works) return prefix;
  }
  throw new Refusal(
    'invalid_setting',
    `PostgreSQL does not run as root; it would run as "${identity.name}", who cannot enter ${closed}. ` +
      `Start as an ordinary user, or let others pass (chmod o+x ${closed}), or move the data folder ` +
      '(CARILLON_DATA_DIR=/var/lib/carillon), or set CARILLON_DATABASE_URL.',
  );
}

/** Starts `program` as the account, in a process group of its own so that Ctrl-C does not reach it. */
export function spawnAs(
  account: Account,
  program: string,
  args: readonly string[],
  options: SpawnOptions,
): ChildProcess {
  const [file, ...rest] = [...account.prefix, program, ...args];
  // With a prefix, setpriv changes the user after Node has walked to the program as root.
  const who = account.prefix.length === 0 && account.identity ? idsOf(account.identity) : {};
  return spawn(file!, rest, { ...options, ...who, detached: true });
}

function idsOf(identity: Identity): { uid: number; gid: number } {
  return { uid: identity.uid, gid: identity.gid };
}

/** Gives a file or folder to the account. */
export async function giveTo(account: Account, path: string): Promise<void> {
  if (account.identity) await chown(path, account.identity.uid, account.identity.gid);
}
