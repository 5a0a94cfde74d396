// Messages whose time has not come. They are kept as rows, with a number of their own that cancels them; when they are
// due they enter the log as if they had just been sent, with a new number and a new enqueued time. Any node may move
// them: the deletion of the row and the append are one transaction.

import { Alarm } from '../../kit/alarm.ts';
import { byteaArray, int4Array, int8Array } from '../../kit/arrays.ts';
import { type Database, type Sql, statement } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { Catalogue, TopicEntry } from '../entities/catalogue.ts';
import { type Message, PARTITION_SPAN } from '../message.ts';
import type { EmitTopics } from '../signals.ts';
import { isOutage } from './connection.ts';
import type { Outgoing } from './plan.ts';
import type { Publisher } from './publish.ts';
import { decodeRecord } from './record.ts';

/** Numbers of scheduled messages lie in a partition that no topic has. */
export const SCHEDULED_PART = 511;

export type ScheduledRow = {
  readonly id: number;
  readonly topic: number;
  readonly dueAt: Date;
  readonly record: Buffer;
};

export function scheduledSequence(id: number): number {
  return SCHEDULED_PART * PARTITION_SPAN + id;
}

const INSERT = statement(
  'topics.scheduled.insert',
  `insert into scheduled (id, topic, due_at, scheduled_at, record)
   select id, topic, to_timestamp(due / 1000.0), $5, record
     from unnest($1::bigint[], $2::int[], $3::bigint[], $4::bytea[]) as s(id, topic, due, record)`,
);
const NEXT_IDS = statement('topics.scheduled.ids', "select nextval('scheduled_id') as first");
const FIND = statement('topics.scheduled.find', 'select count(*)::int as found from scheduled where id = $1');
const DUE = statement(
  'topics.scheduled.due',
  `select id, topic, record from scheduled where due_at <= $1 order by due_at, id limit 500`,
);
const NEXT_DUE = statement('topics.scheduled.next', 'select min(due_at) as at from scheduled');
const DELETE = statement('topics.scheduled.delete', 'delete from scheduled where id = any($1::bigint[]) returning id');
const CANCEL = statement(
  'topics.scheduled.cancel',
  'delete from scheduled where topic = $1 and id = any($2::bigint[]) returning id',
);
const LIST = statement(
  'topics.scheduled.list',
  `select id, due_at, scheduled_at, record from scheduled where topic = $1 and id >= $2 order by id limit $3`,
);
const COUNT = statement('topics.scheduled.count', 'select count(*)::int as count from scheduled where topic = $1');

/** How many numbers `nextval` gives at once; the migration says the same. */
export const ID_RANGE = 100;

export async function reserveIds(sql: Sql): Promise<number> {
  const [row] = await sql.query<{ first: number }>(NEXT_IDS);
  return row!.first;
}

export async function insertScheduled(sql: Sql, rows: readonly ScheduledRow[], now: Date): Promise<void> {
  await sql.query(INSERT, [
    int8Array(rows.map((row) => row.id)),
    int4Array(rows.map((row) => row.topic)),
    int8Array(rows.map((row) => row.dueAt.getTime())),
    byteaArray(rows.map((row) => row.record)),
    now,
  ]);
}

export async function isScheduled(sql: Sql, id: number): Promise<boolean> {
  const [row] = await sql.query<{ found: number }>(FIND, [id]);
  return row!.found > 0;
}

/** Throws `message_not_found` (and cancels nothing) unless all of them still wait. */
export async function cancelScheduled(
  database: Database,
  topicId: number,
  sequences: readonly number[],
): Promise<void> {
  const ids = sequences.map((sequence) => sequence - SCHEDULED_PART * PARTITION_SPAN);
  await database.transaction(async (tx) => {
    const gone = await tx.query(CANCEL, [topicId, int8Array(ids)]);
    if (gone.length < new Set(ids).size) {
      throw new Refusal('message_not_found', 'Not every one of these messages is scheduled.');
    }
  });
}

/** From a sequence on, in the order of their numbers. */
export async function listScheduled(sql: Sql, topic: TopicEntry, from: number, max: number): Promise<Message[]> {
  type Row = { id: number; due_at: Date; scheduled_at: Date; record: Buffer };
  const first = Math.max(0, from - SCHEDULED_PART * PARTITION_SPAN);
  const rows = await sql.query<Row>(LIST, [topic.id, first, max]);
  return rows.map((row) => {
    const place = { topic: topic.name, partition: SCHEDULED_PART, sequence: scheduledSequence(row.id) };
    return decodeRecord(row.record, { ...place, enqueuedAt: row.scheduled_at });
  });
}

export async function countScheduled(sql: Sql, topicId: number): Promise<number> {
  const [row] = await sql.query<{ count: number }>(COUNT, [topicId]);
  return row!.count;
}

type Deps = {
  readonly database: Database;
  readonly catalogue: Catalogue;
  readonly publisher: Publisher;
  readonly emit: EmitTopics;
};

/** Moves what is due. Sleeps until the next one is. */
export class Scheduler {
  readonly #deps: Deps;
  readonly #alarm = new Alarm(() => this.#wake());
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  async start(): Promise<void> {
    await this.look();
  }

  /** Reads when the next message is due; also what another node has scheduled. */
  async look(): Promise<void> {
    const [row] = await this.#deps.database.query<{ at: Date | null }>(NEXT_DUE);
    if (row?.at) this.note(row.at.getTime());
  }

  /** Something is due at `at` (milliseconds). */
  note(at: number): void {
    this.#alarm.set(at);
  }

  clockSet(): void {
    this.#alarm.clockSet();
  }

  #wake(): void {
    this.#running ??= this.#move()
      .catch((error: unknown) => {
        if (!isOutage(error)) this.#deps.emit({ name: 'topics.task_failed', task: 'move scheduled messages', error });
        this.note(Date.now() + 1_000);
      })
      .finally(() => {
        this.#running = undefined;
      });
  }

  async #move(): Promise<void> {
    type Row = { id: number; topic: number; record: Buffer };
    for (;;) {
      const rows = await this.#deps.database.query<Row>(DUE, [new Date()]);
      if (rows.length === 0 || this.#stopped) break;
      for (const [topicId, due] of Map.groupBy(rows, (row) => row.topic)) {
        const topic = this.#deps.catalogue.byId(topicId);
        if (topic) await this.#activate(topic, due).catch(skipRaces);
        else await this.#deps.catalogue.refresh([topicId]);
      }
    }
    await this.look();
  }

  async #activate(topic: TopicEntry, rows: readonly { id: number; record: Buffer }[]): Promise<void> {
    const ids = rows.map((row) => row.id);
    const messages = rows.map(({ id, record }): Outgoing => {
      const place = { topic: topic.name, partition: 0, sequence: scheduledSequence(id), enqueuedAt: new Date() };
      return { ...decodeRecord(record, place), originalSequence: undefined, activated: true };
    });
    await this.#deps.publisher.publish(topic, messages, async (sql) => {
      const gone = await sql.query(DELETE, [int8Array(ids)]);
      // Cancelled, or moved by another node: the rest is found again at once.
      if (gone.length < ids.length) throw new Refusal('conflict', 'A scheduled message was taken meanwhile.');
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#alarm.stop();
    await this.#running;
  }
}

function skipRaces(error: unknown): void {
  if (!(error instanceof Refusal && error.code === 'conflict')) throw error;
}
