// The other nodes on the same database: who owns which partition, how to reach them, what they should hear of. A node
// alone pays one small statement per tick for it.
import { randomBytes } from 'node:crypto';
import { steadyNow } from '../../kit/clock.ts';
import { type Database, type Sql, statement } from '../../kit/database.ts';
import type { Catalogue, TopicEntry } from '../entities/catalogue.ts';
import type { Entity } from '../entities/path.ts';
import { Links, RemoteSeat } from '../link/client.ts';
import { LinkServer } from '../link/server.ts';
import { headKey } from '../log/plan.ts';
import type { Seat } from '../receive/seat.ts';
import { localSeats } from '../receive/seats.ts';
import { shareOf } from './balance.ts';
import { ALIVE, type Owners } from './owners.ts';

const SECRET = statement(
  'topics.link.secret',
  `with made as (
     insert into link_secret (secret) values ($1) on conflict (only_row) do nothing returning secret
   )
   select secret from made union all select secret from link_secret limit 1`,
);
const OWNERS = statement(
  'topics.nodes.owners',
  `select o.part, o.node, o.epoch, n.address from partition_owner o join node n on n.id = o.node and ${ALIVE}
    where o.topic = $1`,
);
const OTHERS = statement(
  'topics.nodes.others',
  `select n.id, n.address from node n where n.id <> $1 and ${ALIVE} and n.address is not null`,
);
/** Moves with every change of any topic. */
const FINGERPRINT = statement(
  'topics.nodes.fingerprint',
  'select count(*) as count, coalesce(sum(version), 0) as versions, coalesce(max(id), 0) as last from topic',
);

/** The random bytes of this database that its nodes prove to each other that they know. Made by whoever asks first. */
export async function linkSecret(sql: Sql): Promise<Buffer> {
  let [row] = await sql.query<{ secret: Buffer }>(SECRET, [randomBytes(32)]);
  // Two nodes made it at once: the one that lost reads the other's.
  if (!row) [row] = await sql.query<{ secret: Buffer }>(SECRET, [randomBytes(32)]);
  return row!.secret;
}

type OwnerRow = { part: number; node: string; epoch: number; address: string | null };
type Known = { readonly at: number; readonly rows: OwnerRow[] };

/** How long an answer to "who owns it" is believed. */
const BELIEVE_MS = 1_000;

type Deps = {
  readonly database: Database;
  readonly catalogue: Catalogue;
  readonly owners: Owners;
  readonly nodeId: string;
};

export type LinkPlace = { readonly host: string; readonly port: number };

export class Nodes {
  readonly #deps: Deps;
  readonly #links: Links;
  readonly #server: LinkServer | undefined;
  readonly #known = new Map<number, Known>();
  readonly #grown = new Set<string>();
  #others: { id: string; address: string }[] = [];
  #fingerprint = '';
  #hinting = false;

  private constructor(deps: Deps, links: Links, server: LinkServer | undefined) {
    this.#deps = deps;
    this.#links = links;
    this.#server = server;
  }

  static async start(deps: Deps, place: LinkPlace | undefined): Promise<Nodes> {
    const { database, catalogue, owners } = deps;
    const secret = await linkSecret(database);
    const grown = (topic: number, part: number) =>
      void owners
        .find(topic, part)
        ?.catchUp()
        .catch(() => {});
    const changed = (topic: number) => void catalogue.refresh([topic]).catch(() => {});
    const released = () => void nodes.#balance().catch(() => {});
    const server = place && (await LinkServer.start({ owners, secret, grown, changed, released }, place));
    const nodes: Nodes = new Nodes(deps, new Links(secret), server);
    return nodes;
  }

  /** Where other nodes reach this one. */
  get address(): string | undefined {
    return this.#server?.address;
  }

  /** Seats at every partition that has an owner alive, here or elsewhere. `fresh`: asks the database who that is. */
  async seats(entity: Entity, fresh = false): Promise<Seat[]> {
    const { owners } = this.#deps;
    await owners.updated();
    const local = localSeats(owners, entity);
    if (local.length === entity.topic.partitions) return local;
    const here = new Set(local.map((seat) => seat.part));
    if (fresh) this.#known.delete(entity.topic.id);
    const remote = (await this.#ownersOf(entity.topic)).filter((row) => !here.has(row.part));
    return local.concat(remote.flatMap((row) => this.#remoteSeat(entity, row)));
  }

  #remoteSeat({ topic, subscription, kind }: Entity, { part, epoch, address, node }: OwnerRow): Seat[] {
    if (address === null || node === this.#deps.nodeId) return [];
    const target = { topic: topic.id, subscription: subscription.id, entity: kind, part, epoch, address };
    return [new RemoteSeat(this.#links, target, () => this.#known.delete(topic.id))];
  }

  async #ownersOf(topic: TopicEntry): Promise<OwnerRow[]> {
    const known = this.#known.get(topic.id);
    if (known && steadyNow() - known.at < BELIEVE_MS) return known.rows;
    const at = steadyNow();
    const rows = await this.#deps.database.query<OwnerRow>(OWNERS, [topic.id]);
    const newer = this.#known.get(topic.id);
    if (!newer || newer.at < at) this.#known.set(topic.id, { at, rows });
    return rows;
  }

  /** Whether no other node was there at the last tick. */
  get alone(): boolean {
    return this.#others.length === 0;
  }

  /** This node appended to a partition that it does not own: its owner is told, soon and once for many. */
  hintGrown(topic: number, part: number): void {
    if (this.#others.length === 0) return;
    this.#grown.add(headKey(topic, part));
    if (this.#hinting) return;
    this.#hinting = true;
    setImmediate(() => void this.#sendHints().catch(() => {}));
  }

  async #sendHints(): Promise<void> {
    this.#hinting = false;
    const keys = [...this.#grown].map((key) => key.split('/').map(Number) as [number, number]);
    this.#grown.clear();
    for (const [id, part] of keys) {
      const topic = this.#deps.catalogue.byId(id);
      const owner = topic && (await this.#ownersOf(topic)).find((row) => row.part === part);
      if (owner?.address) this.#links.to(owner.address).hint({ kind: 'grown', topic: id, part });
    }
  }

  /** This node changed a topic: everybody reads it again. */
  hintChanged(topic: number): void {
    for (const { address } of this.#others) this.#links.to(address).hint({ kind: 'changed', topic });
  }

  /** Runs with every renewal of the lease: takes over what is orphaned, and catches up with what no hint told. */
  async tick(): Promise<void> {
    const { database, catalogue, owners, nodeId } = this.#deps;
    const alone = this.#others.length === 0;
    this.#others = await database.query<{ id: string; address: string }>(OTHERS, [nodeId]);
    const [row] = await database.query<{ count: number; versions: number; last: number }>(FINGERPRINT);
    const fingerprint = `${row!.count}/${row!.versions}/${row!.last}`;
    if (fingerprint !== this.#fingerprint && !(alone && this.#others.length === 0)) await catalogue.refreshAll();
    this.#fingerprint = fingerprint;
    await this.#balance();
    if (this.#others.length > 0) await owners.catchUpAll();
  }

  /** Takes or lets go partitions, so that this node has its share of them. */
  async #balance(): Promise<void> {
    const { owners } = this.#deps;
    const share = this.#share();
    if (owners.count > share) owners.giveUp(owners.count - share, () => this.#hintReleased());
    else await owners.claimOrphans(share - owners.count);
  }

  /** A node alone, or one that others cannot reach, takes whatever nobody has. */
  #share(): number {
    const { catalogue, nodeId } = this.#deps;
    if (!this.#server || this.#others.length === 0) return Infinity;
    let total = 0;
    for (const topic of catalogue.all()) total += topic.partitions;
    return shareOf(
      nodeId,
      this.#others.map(({ id }) => id),
      total,
    );
  }

  #hintReleased(): void {
    for (const { address } of this.#others) this.#links.to(address).hint({ kind: 'released' });
  }

  async stop(): Promise<void> {
    this.#links.close();
    await this.#server?.stop();
  }
}
