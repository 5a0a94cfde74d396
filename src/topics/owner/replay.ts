// Letting a subscription read again what the log still has, from a time or a number. Its rules of today select what is
// older than the subscription (cursor.ts says how their actions count); what is younger it gets as its rules selected it then. The incarnation moves, so that
// progress from before the rewind no longer counts; deferred messages and dead letters stay.
import { type Database, statement, type Tx } from '../../kit/database.ts';
import { bump } from '../entities/admin.ts';
import { firstSequence } from '../log/read.ts';
import { PARTITION_SPAN, partitionOf } from '../message.ts';

/** From a sequence on (in its partition; others stay where they are), from a time on, or everything there is. */
export type ReplayFrom = { readonly sequence: number } | { readonly time: Date } | 'oldest';

const NEXT = statement(
  'topics.replay.next',
  `select max(first_seq + count) as first from block where topic = $1 and part = $2`,
);
const REWIND = statement(
  'topics.replay.rewind',
  'update subscription set incarnation = incarnation + 1, bases = $2, updated_at = $3 where id = $1',
);
const DROP_RETRIES = statement('topics.replay.retries', "delete from held where subscription = $1 and state = 'retry'");
const BASES = statement(
  'topics.replay.bases',
  'select to_json(bases) as bases from subscription where id = $1 for update',
);
const FORGET_READING = statement('topics.replay.reading', 'delete from reading where subscription = $1');

export async function rewind(
  database: Database,
  topicId: number,
  subscriptionId: number,
  from: ReplayFrom,
): Promise<void> {
  await database.transaction(async (tx) => {
    const { partitions } = await bump(tx, topicId, subscriptionId);
    const [row] = await tx.query<{ bases: number[] }>(BASES, [subscriptionId]);
    const bases: number[] = [];
    for (let part = 0; part < partitions; part++) bases.push(await baseOf(tx, topicId, part, from, row!.bases[part]!));
    await tx.query(REWIND, [subscriptionId, bases, new Date()]);
    await tx.query(DROP_RETRIES, [subscriptionId]);
    await tx.query(FORGET_READING, [subscriptionId]);
  });
}

async function baseOf(tx: Tx, topic: number, part: number, from: ReplayFrom, now: number): Promise<number> {
  if (from !== 'oldest' && 'sequence' in from) {
    return partitionOf(from.sequence) === part ? Math.max(from.sequence - 1, part * PARTITION_SPAN) : now;
  }
  const first = await firstSequence(tx, topic, part, from === 'oldest' ? undefined : from.time);
  if (first !== undefined) return first - 1;
  const [end] = await tx.query<{ first: number | null }>(NEXT, [topic, part]);
  return (end?.first ?? part * PARTITION_SPAN + 1) - 1;
}
