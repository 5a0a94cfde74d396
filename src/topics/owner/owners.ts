// Which partitions this node owns. A node holds a lease that one statement renews; a partition belongs to a node under
// an epoch that rises with every change of owner, and every write of progress compares it. A node whose lease ended can
// be robbed; it finds out when its next write is refused. A node that starts under the id of an earlier run takes that
// run's partitions at once.

import { int2Array, int4Array, int8Array } from '../../kit/arrays.ts';
import { type Database, statement } from '../../kit/database.ts';
import type { Catalogue, TopicEntry } from '../entities/catalogue.ts';
import { readHeads } from '../log/append.ts';
import type { Block } from '../log/block.ts';
import { isOutage, throughOutages, waitFor } from '../log/connection.ts';
import { headKey } from '../log/plan.ts';
import { calm, isBusy, resume } from './balance.ts';
import type { Cursor, CursorDeps } from './cursor.ts';
import { type MemoryBudget, Partition } from './partition.ts';
import { openCursors, readPasts } from './recover.ts';

export const LEASE_MS = 5_000;
const RENEW_MS = 1_500;
/** How long consumers may take to settle what they hold of a partition that moves, and how often they may take longer. */
const CALM_MS = 3_000;
const MOST_HOLD_ONS = 10;

/**
 * Of a row `n` of `node`: whether its lease holds. One that ends later than any lease can was written before the clock
 * of PostgreSQL was set back; its node renews it at once, if it lives.
 */
export const ALIVE = `n.lease_until > now() and n.lease_until < now() + interval '${(3 * LEASE_MS) / 1000} s'`;

const RENEW = statement(
  'topics.node.renew',
  `insert into node (id, address, lease_until) values ($1, $2, now() + $3 * interval '1 millisecond')
   on conflict (id) do update set address = excluded.address, lease_until = excluded.lease_until
   returning (select slot from progress_slot)::int as slot`,
);
export const LEAVE = statement('topics.node.leave', 'delete from node where id = $1');
const CLAIM = statement(
  'topics.owner.claim',
  `insert into partition_owner as o (topic, part, node, epoch)
   select topic, part, $3, 1 from unnest($1::int[], $2::smallint[]) as wanted(topic, part)
   on conflict (topic, part) do update set node = excluded.node, epoch = o.epoch + 1
    where o.node = excluded.node
       or not exists (select from node n where n.id = o.node and ${ALIVE})
   returning topic, part, epoch`,
);
const ORPHANS = statement(
  'topics.owner.orphans',
  `select t.id as topic, p.part::int as part
     from topic t cross join generate_series(0, t.partitions - 1) as p(part)
     left join partition_owner o on o.topic = t.id and o.part = p.part
     left join node n on n.id = o.node and ${ALIVE}
    where n.id is null order by random() limit $1`,
);
const RELEASE = statement(
  'topics.owner.release',
  "update partition_owner set node = '', epoch = epoch where topic = $1 and part = $2 and node = $3 and epoch = $4",
);
const REPORT = statement(
  'topics.owner.report',
  `insert into reading (subscription, part, floor)
   select u.subscription, u.part, u.floor
     from unnest($1::int[], $2::smallint[], $3::bigint[]) as u(subscription, part, floor)
     join subscription s on s.id = u.subscription
   on conflict (subscription, part) do update set floor = excluded.floor`,
);

type Place = { readonly topic: number; readonly part: number };
type Claimed = Place & { readonly epoch: number };

export type OwnersDeps = {
  readonly database: Database;
  readonly catalogue: Catalogue;
  readonly node: { readonly id: string; address?: string | undefined };
  readonly budget: MemoryBudget;
  readonly cursorDeps: CursorDeps;
};

export class Owners {
  readonly #deps: OwnersDeps;
  readonly #partitions = new Map<string, Partition>();
  readonly #byTopic = new Map<number, readonly Partition[]>();
  readonly #stop = new AbortController();
  readonly #listeners = new Set<(cursor: Cursor) => void>();
  #slot: number | undefined;
  readonly #reported = new WeakMap<Cursor, number>();
  #renewing: Promise<void> | undefined;
  #updating: Promise<void> = Promise.resolve();
  #claiming: Promise<void> = Promise.resolve();
  #moving: Promise<void> | undefined;
  /** Let go in memory, but not yet in the database. */
  readonly #loose: Claimed[] = [];
  readonly #holdOns = new WeakMap<Partition, number>();

  constructor(deps: OwnersDeps) {
    this.#deps = deps;
  }

  /** `tick` runs after every renewal of the lease. */
  async start(tick: () => Promise<void>): Promise<void> {
    await this.#renew();
    await this.claim([...this.#deps.catalogue.all()]);
    this.#renewing = this.#keepLease(tick);
  }

  find(topicId: number, part: number): Partition | undefined {
    return this.#partitions.get(headKey(topicId, part));
  }

  /** In the order of their numbers. */
  owned(topicId: number): readonly Partition[] {
    return this.#byTopic.get(topicId) ?? [];
  }

  /** Called for every cursor that this node comes to own. */
  onCursor(listener: (cursor: Cursor) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** How many partitions this node owns. */
  get count(): number {
    return this.#partitions.size;
  }

  /** Takes those partitions of the topics that nobody alive owns. */
  claim(topics: readonly TopicEntry[]): Promise<void> {
    return this.#claimAll(
      topics.flatMap(({ id, partitions }) => Array.from({ length: partitions }, (_, part) => ({ topic: id, part }))),
    );
  }

  #claimAll(places: readonly Place[]): Promise<void> {
    // One after the other: claiming twice what is being opened would fence the first.
    const claiming = this.#claiming.then(() => this.#claim(places));
    this.#claiming = claiming.catch(() => {});
    return claiming;
  }

  /**
   * Takes what belongs to nobody alive: partitions of dead nodes, those that were let go, and those that nobody has
   * claimed yet; at most so many.
   */
  async claimOrphans(most: number): Promise<void> {
    if (most <= 0) return;
    const rows = await this.#deps.database.query<Place>(ORPHANS, [Math.min(most, 100_000)]);
    const known = rows.filter(({ topic }) => this.#deps.catalogue.byId(topic));
    if (known.length > 0) await this.#claimAll(known);
  }

  /** Lets so many partitions go, those first that nobody is busy with. `released` is told after each. */
  giveUp(count: number, released: () => void): void {
    this.#moving ??= this.#letGo(count, released)
      .catch((error: unknown) => {
        if (!isOutage(error)) this.#deps.cursorDeps.emit({ name: 'topics.task_failed', task: 'rebalance', error });
      })
      .finally(() => {
        this.#moving = undefined;
      });
  }

  async #letGo(count: number, released: () => void): Promise<void> {
    for (const place of this.#loose.splice(0)) await this.#release(place);
    const idleFirst = [...this.#partitions.values()].sort((a, b) => Number(isBusy(a)) - Number(isBusy(b)));
    for (const partition of idleFirst.slice(0, count)) {
      const calmed = await calm(partition, CALM_MS, this.#stop.signal);
      if (partition.lost || this.#stop.signal.aborted) continue;
      // Whoever holds on for this long, time after time, loses the lock, as when a node dies.
      const tries = (this.#holdOns.get(partition) ?? 0) + 1;
      this.#holdOns.set(partition, tries);
      if (!calmed && tries < MOST_HOLD_ONS) {
        resume(partition);
        continue;
      }
      await this.#end([partition]);
      await this.#release({ topic: partition.topic.id, part: partition.part, epoch: partition.epoch });
      released();
    }
  }

  async #release(place: Place & { readonly epoch: number }): Promise<void> {
    const values = [place.topic, place.part, this.#deps.node.id, place.epoch];
    try {
      await this.#deps.database.query(RELEASE, values);
    } catch (error) {
      this.#loose.push(place);
      throw error;
    }
  }

  /** Hands nothing out any more, and writes the last word about what was handed out. */
  async #end(partitions: readonly Partition[]): Promise<void> {
    const cursors = partitions.flatMap((partition) => [...partition.cursors.values()]);
    for (const partition of partitions) this.drop(partition);
    await this.#deps.cursorDeps.progress.end(cursors).catch((error: unknown) => {
      if (!isOutage(error)) this.#deps.cursorDeps.emit({ name: 'topics.task_failed', task: 'end a partition', error });
    });
  }

  /** Looks for what other nodes have appended without a hint. */
  async catchUpAll(): Promise<void> {
    const owned = [...this.#partitions.values()].map((partition) => ({
      topic: partition.topic.id,
      part: partition.part,
      partition,
    }));
    if (owned.length === 0) return;
    for (const head of await readHeads(this.#deps.database, owned)) {
      const partition = this.find(head.topic, head.part);
      if (partition && head.next > partition.end) await partition.catchUp();
    }
  }

  async #claim(places: readonly Place[]): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const wanted = places.filter(({ topic, part }) => !this.#partitions.has(headKey(topic, part)));
    if (wanted.length === 0) return;
    const values = [int4Array(wanted.map(({ topic }) => topic)), int2Array(wanted.map(({ part }) => part))];
    const claimed = await this.#deps.database.query<Claimed>(CLAIM, [...values, this.#deps.node.id]);
    // Nobody else takes them while this node lives.
    await throughOutages(() => this.#open(claimed), { signal: this.#stop.signal });
  }

  /** When it fails, those that are open already stay so, and another call opens the rest. */
  async #open(all: readonly Claimed[]): Promise<void> {
    const claimed = all.filter(({ topic, part }) => !this.find(topic, part));
    if (claimed.length === 0) return;
    const { database, catalogue, budget, cursorDeps } = this.#deps;
    const heads = await readHeads(database, claimed);
    const pasts = await readPasts(database, [...new Set(claimed.map(({ topic }) => topic))]);
    for (const { topic: id, part, epoch } of claimed) {
      const topic = catalogue.byId(id);
      if (!topic) continue;
      const end = heads.find((head) => head.topic === id && head.part === part)!.next;
      const partition = new Partition({ topic, part, epoch, end }, database, budget);
      await openCursors(partition, topic.subscriptions, pasts, cursorDeps);
      this.#partitions.set(headKey(id, part), partition);
      const others = (this.#byTopic.get(id) ?? []).filter((other) => other.part !== part);
      this.#byTopic.set(
        id,
        [...others, partition].sort((x, y) => x.part - y.part),
      );
      // What was published between reading the head and now was not handed over.
      await partition.catchUp().catch((error: unknown) => {
        this.drop(partition);
        throw error;
      });
      const now = catalogue.byId(id);
      if (now !== topic) this.update(now, topic);
      for (const cursor of partition.cursors.values()) for (const listener of this.#listeners) listener(cursor);
    }
  }

  /** Brings the cursors of this topic's owned partitions in line with its subscriptions, however often PostgreSQL goes away. */
  update(entry: TopicEntry | undefined, before: TopicEntry | undefined): void {
    this.#updating = this.#updating
      .then(() => throughOutages(() => this.#update(entry, before), { signal: this.#stop.signal }))
      .catch((error: unknown) => {
        this.#deps.cursorDeps.emit({ name: 'topics.task_failed', task: 'update cursors', error });
      });
  }

  /** Resolves when the changes so far are carried out. */
  updated(): Promise<void> {
    return this.#updating;
  }

  async #update(entry: TopicEntry | undefined, before: TopicEntry | undefined): Promise<void> {
    for (const partition of this.owned((entry ?? before)!.id)) {
      if (!entry) this.drop(partition);
      else await this.#updatePartition(partition, entry);
    }
  }

  async #updatePartition(partition: Partition, entry: TopicEntry): Promise<void> {
    partition.topic = entry;
    const wanted = new Map(entry.subscriptions.map((subscription) => [subscription.id, subscription]));
    for (const [id, cursor] of partition.cursors) {
      const subscription = wanted.get(id);
      if (subscription?.incarnation === cursor.subscription.incarnation) cursor.subscription = subscription;
      else {
        cursor.close();
        partition.cursors.delete(id);
      }
    }
    const missing = entry.subscriptions.filter((subscription) => !partition.cursors.has(subscription.id));
    if (missing.length === 0) return;
    const pasts = await readPasts(this.#deps.database, [entry.id]);
    const opened = await openCursors(partition, missing, pasts, this.#deps.cursorDeps);
    for (const cursor of opened) for (const listener of this.#listeners) listener(cursor);
  }

  drop(partition: Partition): void {
    if (partition.lost) return;
    partition.release();
    this.#partitions.delete(headKey(partition.topic.id, partition.part));
    const others = this.owned(partition.topic.id).filter((other) => other !== partition);
    this.#byTopic.set(partition.topic.id, others);
  }

  get cursors(): Cursor[] {
    return [...this.#partitions.values()].flatMap((partition) => [...partition.cursors.values()]);
  }

  /** The progress table has changed its slot: what this node's cursors have done goes into the new one. */
  snapshotAll(): Promise<void> {
    return this.#deps.cursorDeps.progress.snapshot(this.cursors);
  }

  /** Writes down how far the subscriptions are, where that has moved. */
  async reportReading(): Promise<void> {
    const moved = this.cursors.filter((cursor) => this.#reported.get(cursor) !== cursor.floorWith([]));
    if (moved.length === 0) return;
    const floors = moved.map((cursor) => cursor.floorWith([]));
    await this.#deps.database.query(REPORT, [
      int4Array(moved.map((cursor) => cursor.subscription.id)),
      int2Array(moved.map((cursor) => cursor.partition.part)),
      int8Array(floors),
    ]);
    for (const [i, cursor] of moved.entries()) this.#reported.set(cursor, floors[i]!);
  }

  /** A block of this node's publisher is durable. False: this node does not own the partition. */
  handOver(topic: TopicEntry, block: Block): boolean {
    const partition = this.find(topic.id, block.partition);
    partition?.append(block);
    return partition !== undefined;
  }

  async #keepLease(tick: () => Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    for (;;) {
      await waitFor(RENEW_MS, signal);
      if (signal.aborted) return;
      await throughOutages(() => this.#renew(), { signal })
        .then(tick)
        .catch((error: unknown) => {
          if (!isOutage(error))
            this.#deps.cursorDeps.emit({ name: 'topics.task_failed', task: 'renew the lease', error });
        });
    }
  }

  async #renew(): Promise<void> {
    const { database, node } = this.#deps;
    const [row] = await database.query<{ slot: number }>(RENEW, [node.id, node.address ?? null, LEASE_MS]);
    if (this.#slot !== undefined && this.#slot !== row!.slot) await this.snapshotAll();
    this.#slot = row!.slot;
  }

  /** Lets every partition go; another node may take them at once. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#renewing;
    await this.#claiming;
    await this.#moving;
    await this.#end([...this.#partitions.values()]);
    await this.#deps.cursorDeps.progress.stop();
    await this.#deps.database.query(LEAVE, [this.#deps.node.id]).catch(() => {});
  }
}
