// The keys that all nodes of a database share. A node that starts beside others with another key than theirs says so, with
// the remedy: what is signed with the one is refused by whoever has the other, and what is sealed cannot be opened. A key
// that was set may differ, since that is how a new one comes in, node by node; one that was made for a data folder may not.
import { scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import type { Database } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import type { Emit, Signals } from '../kit/signals.ts';
import { enter, type KeyMarks, leave, type NodeBeside } from '../topics/owner/node-keys.ts';
import { linkSecret } from '../topics/owner/nodes.ts';
import { type OwnKeys, SHARED_KEYS, type SharedKey } from './keys.ts';
import { environmentName } from './settings-table.ts';

/** `settings`: the names of the keys that differ; `nodes`: who has others; `remedy`: what to do, in words. */
export type NodesSignal = {
  readonly name: 'server.keys-differ';
  readonly settings: readonly string[];
  readonly nodes: readonly string[];
  readonly remedy: string;
};

type Deps = {
  readonly keys: OwnKeys;
  readonly database: Database;
  readonly signals: Signals;
  readonly stack: AsyncDisposableStack;
};

/** Comes before anything is written under a key. Refuses (`conflict`) when a key that differs was made by chance. */
export async function joinNodes({ keys, database, signals, stack }: Deps): Promise<void> {
  const emit: Emit<NodesSignal> = signals.emit;
  const marks = await keyMarks(keys, await linkSecret(database));
  let found: Differences = { keys: [], nodes: [] };
  await enter(database, { id: keys.nodeId, keys: marks }, (others) => {
    found = differences(marks, others);
    refuseMade(found, keys.made);
  });
  // The broker leaves by itself, if it comes that far.
  stack.defer(() => leave(database, keys.nodeId).catch(() => {}));
  if (found.keys.length === 0) return;
  const settings = found.keys.map(environmentName);
  emit({ name: 'server.keys-differ', settings, nodes: found.nodes, remedy: remedyFor(settings) });
}

type Differences = { readonly keys: readonly SharedKey[]; readonly nodes: readonly string[] };

/** A mark that another version does not write is not compared. */
function differences(marks: KeyMarks, others: readonly NodeBeside[]): Differences {
  const differ = (key: SharedKey, other: NodeBeside) => key in other.keys && other.keys[key] !== marks[key];
  const odd = others.filter((other) => SHARED_KEYS.some((key) => differ(key, other)));
  return {
    keys: SHARED_KEYS.filter((key) => odd.some((other) => differ(key, other))),
    nodes: odd.map(({ id, address }) => (address === null ? id : `${id} at ${address}`)),
  };
}

function refuseMade(found: Differences, made: readonly SharedKey[]): void {
  if (!found.keys.some((key) => made.includes(key))) return;
  const settings = found.keys.map(environmentName);
  const who = `${found.nodes.length === 1 ? 'Another node' : 'Other nodes'} of this database (${found.nodes.join(', ')})`;
  const what = `${found.nodes.length === 1 ? 'has' : 'have'} another ${inWords(settings)}`;
  throw new Refusal('conflict', `${who} ${what}. ${remedyFor(settings)}`);
}

function remedyFor(settings: readonly string[]): string {
  return `Give all nodes of the database the same ${inWords(settings)}: a key that is not set is made anew for each data folder.`;
}

function inWords(names: readonly string[]): string {
  return names.length < 2 ? names.join() : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

const slowHash = promisify(scrypt) as (key: string, salt: Buffer, bytes: number, cost: object) => Promise<Buffer>;
/** 4 MB and some 10-20 ms for each guess, and 16 bits: of every 65,536 guesses at a weak key one fits. */
const COST = { N: 4096, r: 8, p: 1 };
const MARK_BYTES = 2;

async function keyMarks(keys: OwnKeys, salt: Buffer): Promise<KeyMarks> {
  const mark = async (key: SharedKey) => {
    const own = Buffer.concat([Buffer.from(`${key} `), salt]);
    return [key, (await slowHash(keys[key], own, MARK_BYTES, COST)).toString('hex')] as const;
  };
  return Object.fromEntries(await Promise.all(SHARED_KEYS.map(mark)));
}
