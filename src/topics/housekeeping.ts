// What has to be done now and then, by one node of all: rows that nothing needs are dropped by truncating or dropping
// whole tables, never by deleting them one by one, so that nothing bloats. Each job is one short transaction under an
// advisory lock; a job that cannot get a table lock at once gives up until the next time.
import { type Database, statement, type Tx } from '../kit/database.ts';
import { isOutage, waitFor } from './log/connection.ts';
import { CLASSES } from './log/dedup.ts';
import { dropGenerations, rotateGeneration } from './log/generations.ts';
import type { EmitTopics } from './signals.ts';

export type HousekeepingSettings = {
  /** Between two rounds, in milliseconds. */
  readonly everyMs: number;
  /** A progress slot larger than this is left for the other one. */
  readonly progressBytes: number;
  /** A generation of the log is closed when it is larger or older than this. */
  readonly generationBytes: number;
  readonly generationMs: number;
};

export const housekeepingDefaults: HousekeepingSettings = {
  everyMs: 30_000,
  progressBytes: 32 * 1024 * 1024,
  generationBytes: 1024 * 1024 * 1024,
  generationMs: 3_600_000,
};

type Deps = {
  readonly database: Database;
  readonly emit: EmitTopics;
  readonly settings: HousekeepingSettings;
  /** Writes down how far this node's subscriptions are. */
  readonly reportReading: () => Promise<void>;
  readonly deleteIdle: () => Promise<void>;
  /** Takes what is left of the oldest generation out of it, where that is little. */
  readonly moveStragglers: () => Promise<unknown>;
  /** Nothing is thrown away by its age while this is false: the clock was set lately. */
  readonly clockBelievable: () => boolean;
};

const LOCK_KEY = 0x0ca2111018;

export class Housekeeper {
  readonly #deps: Deps;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  start(): void {
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (;;) {
      await waitFor(this.#deps.settings.everyMs, signal);
      if (signal.aborted) return;
      await this.round();
    }
  }

  /** One round of everything. Failures are told and tried again in the next round. */
  async round(): Promise<void> {
    const { database, settings } = this.#deps;
    await this.#try('report reading', () => this.#deps.reportReading());
    await this.#try('clear the other progress slot', () => this.#alone(clearOtherSlot));
    await this.#try('switch the progress slot', () => this.#alone((tx) => switchSlot(tx, settings.progressBytes)));
    await this.#try('close a generation', () => rotateGeneration(database, settings));
    if (!this.#deps.clockBelievable()) return;
    await this.#try('move stragglers', () => this.#deps.moveStragglers());
    await this.#try('delete idle entities', () => this.#deps.deleteIdle());
    await this.#try('truncate old ids', () => this.#alone((tx) => truncateIds(tx, Date.now())));
    await this.#try('drop generations', () => this.#alone(dropGenerations));
  }

  async #try(task: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!isOutage(error)) this.#deps.emit({ name: 'topics.task_failed', task, error });
    }
  }

  /** Runs `work` unless another node is at it. */
  async #alone(work: (tx: Tx) => Promise<unknown>): Promise<void> {
    await this.#deps.database.transaction(async (tx) => {
      const [row] = await tx.query<{ got: boolean }>('select pg_try_advisory_xact_lock($1) as got', [LOCK_KEY]);
      if (!row!.got) return;
      await tx.query("set local lock_timeout = '500ms'");
      await work(tx);
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

/** Time for every node to notice a switch and write what its subscriptions have done into the new slot. */
const SETTLE_MS = 10_000;

const SLOT = statement(
  'topics.slot',
  `select slot, (extract(epoch from now() - switched_at) * 1000)::bigint as age,
          pg_relation_size('progress_0') as size0, pg_relation_size('progress_1') as size1
     from progress_slot`,
);

type Slot = { slot: number; age: number; size0: number; size1: number };

async function switchSlot(tx: Tx, limit: number): Promise<void> {
  const [row] = await tx.query<Slot>(SLOT);
  const { slot, size0, size1 } = row!;
  const [current, other] = slot === 0 ? [size0, size1] : [size1, size0];
  // The other one must have been cleared since the last switch.
  if (current < limit || other > 0) return;
  await tx.query('update progress_slot set slot = 1 - slot, switched_at = now()');
}

/** What the snapshots in the new slot do not cover is copied; then the old slot is empty. */
export async function clearOtherSlot(tx: Tx): Promise<void> {
  const [row] = await tx.query<Slot>(SLOT);
  const { slot, age, size0, size1 } = row!;
  if (age < SETTLE_MS || (slot === 0 ? size1 : size0) === 0) return;
  const [now, old] = slot === 0 ? ['progress_0', 'progress_1'] : ['progress_1', 'progress_0'];
  await tx.query(`lock table ${old} in access exclusive mode`);
  await tx.query(`
    insert into progress (slot, topic, subscription, part, incarnation, epoch, kind, data)
    select ${slot}, o.topic, o.subscription, o.part, o.incarnation, o.epoch, case o.kind when 2 then 2 else 0 end, o.data
      from ${old} o join subscription s on s.id = o.subscription and s.incarnation = o.incarnation
     where not exists (select from ${now} n
                        where n.subscription = o.subscription and n.part = o.part
                          and n.incarnation = o.incarnation and n.kind = 1)`);
  await tx.query(`truncate ${old}`);
}

/** Empties the slots that are neither of this slice nor of the one before; not close to the end of a slice. */
export async function truncateIds(tx: Tx, now: number): Promise<void> {
  for (const [index, length] of CLASSES.entries()) {
    const slice = Math.floor(now / length);
    if (now % length > length * 0.9) continue;
    const table = `dedup_${index * 3 + ((slice + 1) % 3)}`;
    const [row] = await tx.query<{ size: number }>('select pg_relation_size($1::regclass) as size', [table]);
    if (row!.size > 0) await tx.query(`truncate ${table}`);
  }
}
