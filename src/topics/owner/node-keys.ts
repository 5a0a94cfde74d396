// A node enters the company of those alive, with marks of the keys that it should share with them. One at a time: of two
// that start together, the second sees the first.
import { type Database, type Sql, statement } from '../../kit/database.ts';
import { ALIVE, LEASE_MS, LEAVE } from './owners.ts';

/** By the name of the key. Says whether two keys are the same, and not what they are. */
export type KeyMarks = Readonly<Record<string, string>>;

export type NodeBeside = { readonly id: string; readonly address: string | null; readonly keys: KeyMarks };

const LOCK = statement('topics.node-keys.lock', 'select pg_advisory_xact_lock($1)');
const LOCK_KEY = 0x0ca211ae;
const BESIDE = statement(
  'topics.node-keys.beside',
  `select n.id, n.address, n.keys from node n where n.id <> $1 and ${ALIVE} and n.keys is not null order by n.id`,
);
// The lease that the broker renews from its start on. Its address, if there is one, is that of the run before.
const ENTER = statement(
  'topics.node-keys.enter',
  `insert into node (id, lease_until, keys) values ($1, now() + $2 * interval '1 millisecond', $3)
   on conflict (id) do update set lease_until = excluded.lease_until, keys = excluded.keys`,
);

/** `judge` hears of the others that are alive; when it throws, the node has not entered. */
export function enter(
  database: Database,
  node: { readonly id: string; readonly keys: KeyMarks },
  judge: (others: readonly NodeBeside[]) => void,
): Promise<void> {
  return database.transaction(async (tx) => {
    await tx.query(LOCK, [LOCK_KEY]);
    judge(await tx.query<NodeBeside>(BESIDE, [node.id]));
    await tx.query(ENTER, [node.id, LEASE_MS, JSON.stringify(node.keys)]);
  });
}

/** For a node that entered, and then could not start its broker. */
export async function leave(sql: Sql, id: string): Promise<void> {
  await sql.query(LEAVE, [id]);
}
