// The parts of a broker, started and joined: the catalogue of what there is, the publisher in front of the log, the owners
// behind it, the other nodes. What each of them does stands in its own file.
import type { Database } from '../kit/database.ts';
import { Catalogue, type TopicEntry } from './entities/catalogue.ts';
import { Entities } from './entities/entities.ts';
import { Usage } from './entities/idle.ts';
import { noLimits, type TopicLimits } from './entities/limits.ts';
import type { HousekeepingSettings } from './housekeeping.ts';
import type { Block } from './log/block.ts';
import { Growth } from './log/growth.ts';
import { Publisher, type PublishLimits, publishLimits } from './log/publish.ts';
import { Quotas } from './log/quota.ts';
import { Scheduler } from './log/scheduled.ts';
import { WallClock } from './log/wall-clock.ts';
import type { CursorDeps } from './owner/cursor.ts';
import { type LinkPlace, Nodes } from './owner/nodes.ts';
import { Owners } from './owner/owners.ts';
import { Progress } from './owner/progress.ts';
import { Forwarders } from './receive/forward.ts';
import type { EmitTopics } from './signals.ts';

export type BrokerSettings = {
  readonly publish?: Partial<PublishLimits>;
  /** Bytes of recent log kept in memory for consumers, in all and per partition. */
  readonly tailBytes?: number;
  readonly tailBytesPerPartition?: number;
  readonly housekeeping?: Partial<HousekeepingSettings>;
  /** None where nothing is said. */
  readonly limits?: Partial<TopicLimits>;
  /** Where other nodes of the same database reach this one. Port 0: any free one. Absent: it serves no other node. */
  readonly link?: LinkPlace;
};

export type BrokerDeps = {
  readonly database: Database;
  readonly emit: EmitTopics;
  /** `id`: of the same data directory always the same, of nodes that share a database never. */
  readonly node: { readonly id: string; readonly address?: string | undefined };
  readonly settings?: BrokerSettings | undefined;
};

export type Parts = {
  readonly deps: BrokerDeps;
  readonly catalogue: Catalogue;
  readonly entities: Entities;
  readonly owners: Owners;
  readonly publisher: Publisher;
  readonly progress: Progress;
  readonly scheduler: Scheduler;
  readonly forwarders: Forwarders;
  readonly growth: Growth;
  readonly limits: TopicLimits;
  readonly nodes: Nodes;
  readonly usage: Usage;
  readonly quotas: Quotas;
  readonly clock: WallClock;
};

export async function startParts(deps: BrokerDeps): Promise<Parts> {
  const { database, emit, node } = deps;
  const catalogue = await Catalogue.load(database);
  const progress: Progress = new Progress(database, emit, (cursor) => owners.drop(cursor.partition));
  const cursorDeps: CursorDeps = { progress, emit };
  const budget = {
    total: deps.settings?.tailBytes ?? 192 * 1024 * 1024,
    each: deps.settings?.tailBytesPerPartition ?? 96 * 1024 * 1024,
    used: 0,
  };
  const self = { id: node.id, address: node.address };
  const owners: Owners = new Owners({ database, catalogue, node: self, budget, cursorDeps });
  const nodes = await Nodes.start({ database, catalogue, owners, nodeId: node.id }, deps.settings?.link);
  self.address = node.address ?? nodes.address;
  const limits = { ...publishLimits, ...deps.settings?.publish };
  const topicLimits = { ...noLimits, ...deps.settings?.limits };
  const growth = new Growth();
  const handOver = (topic: TopicEntry, block: Block) => {
    growth.appended(topic.id, block);
    if (!owners.handOver(topic, block)) nodes.hintGrown(topic.id, block.partition);
  };
  const scheduled = (at: number) => scheduler.note(at);
  const clock = new WallClock();
  await clock.share(database);
  const seenAt = () => clock.seenAt();
  const publisher = new Publisher({ database, catalogue, emit, handOver, scheduled, seenAt, limits });
  const scheduler = new Scheduler({ database, catalogue, publisher, emit });
  const forwarders = new Forwarders({ catalogue, owners, publisher, emit });
  catalogue.onChange((entry, before) => {
    owners.update(entry, before);
    if (!entry) growth.lookAll();
  });
  await owners.start(async () => {
    const setBy = clock.look();
    if (setBy !== 0) {
      emit({ name: 'topics.clock_set', byMs: setBy });
      scheduler.clockSet();
      for (const cursor of owners.cursors) cursor.clockSet();
    }
    await clock.share(database);
    await nodes.tick();
    if (!nodes.alone) growth.lookAll();
    await scheduler.look();
  });
  await scheduler.start();
  const entities = new Entities({ database, catalogue, owners, forwarders, nodes, limits: topicLimits });
  return {
    deps,
    catalogue,
    entities,
    owners,
    publisher,
    progress,
    scheduler,
    forwarders,
    growth,
    limits: topicLimits,
    nodes,
    usage: new Usage(),
    quotas: new Quotas(),
    clock,
  };
}
