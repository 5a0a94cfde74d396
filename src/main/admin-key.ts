// The admin key of a database with several nodes: it is one, and the start of a node says so when it has another.
import { Access } from '../access/access.ts';
import { otherPresets } from '../access/keys.ts';
import type { Database } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import type { Emit, Signals } from '../kit/signals.ts';
import { isNodeBeside } from '../topics/owner/nodes.ts';
import type { OwnKeys } from './keys.ts';
import type { Settings } from './settings-table.ts';

/** `remedy`: what to do, in words. */
export type NodesSignal = { readonly name: 'server.admin-key-replaced'; readonly remedy: string };

type Deps = {
  readonly settings: Pick<Settings, 'adminKey'>;
  readonly keys: Pick<OwnKeys, 'adminKey' | 'nodeId'>;
  readonly database: Database;
  readonly signals: Signals;
};

const ONE_KEY =
  'Give all nodes of the database the same CARILLON_ADMIN_KEY, CARILLON_SAS_KEY and CARILLON_LINK_KEY: one that is not set is made anew for each data folder.';

/** A key that was made for this folder alone must not end that of the nodes which are there; one that was set is meant to. */
export async function startAccess({ settings, keys, database, signals }: Deps): Promise<Access> {
  const emit: Emit<NodesSignal> = signals.emit;
  const presets = [{ name: 'admin', secret: keys.adminKey, grants: [{ right: 'manage', entity: '*' }] as const }];
  const beside = await isNodeBeside(database, keys.nodeId);
  if (beside && settings.adminKey === undefined && (await otherPresets(database, presets)).length > 0)
    throw new Refusal('conflict', `Another node of this database has another admin key. ${ONE_KEY}`);
  const access = await Access.start({ database, presets });
  if (beside && access.replaced.length > 0) emit({ name: 'server.admin-key-replaced', remedy: ONE_KEY });
  return access;
}
