// A walk: one notification of one event, on its way through the people of a rule or through everyone. This file holds
// the rows; walker.ts does the walking.
import type { Request } from '../assistant/decisions/question.ts';
import type { CloudEvent } from '../events/cloudevent.ts';
import { type Sql, statement, type Tx } from '../kit/database.ts';
import { derivedId } from '../kit/ids.ts';
import type { Matched, Origin, Wish } from './match.ts';

export type Walk = Omit<Origin, 'messageId'> & {
  /** What the message said about answering it. */
  readonly request: Request | undefined;
  readonly id: string;
  readonly notification: string;
  readonly event: CloudEvent;
  /** Filter over people; null is everyone. */
  readonly condition: string | null;
  /** The last person who was asked. */
  readonly afterId: string;
  readonly people: number;
  readonly notices: number;
  readonly failures: number;
};

type WalkRow = {
  id: string;
  topic: string;
  partition: number;
  sequence: number;
  notification: string;
  event: StoredEvent;
  request: Request | null;
  condition: string | null;
  after_id: string;
  people: number;
  notices: number;
  failures: number;
};

const START = statement(
  'handler.start-walks',
  `insert into audience_walk (id, topic, partition, sequence, notification, event, condition, request, created_at, due_at)
   select id, topic, partition, sequence, notification, event, condition, request, $9, $9
   from unnest($1::text[], $2::text[], $3::int[], $4::int8[], $5::text[], $6::json[], $7::text[], $8::json[])
     as given (id, topic, partition, sequence, notification, event, condition, request)
   on conflict do nothing
   returning id`,
);

// Walks take turns by `due_at`. Several nodes walk at once, each another walk.
const CLAIM = statement(
  'handler.claim-walk',
  `select id, topic, partition, sequence, notification, event, request, condition, after_id, people, notices, failures
   from audience_walk where due_at <= $1 order by due_at, id limit 1 for update skip locked`,
);

const ADVANCE = statement(
  'handler.advance-walk',
  `update audience_walk set after_id = $2, people = people + $3, notices = notices + $4, failures = 0, due_at = $5
   where id = $1`,
);

const POSTPONE = statement(
  'handler.postpone-walk',
  'update audience_walk set failures = failures + 1, due_at = $2 where id = $1',
);

const END = statement('handler.end-walk', 'delete from audience_walk where id = $1');

/** Notes the walks that the events ask for; returns how many. A replayed event whose walk is under way starts none. */
export async function startWalks(tx: Tx, events: readonly Matched[], now: Date): Promise<number> {
  const walks = events.flatMap(({ message, event, wishes }) =>
    wishes.flatMap((wish) => (wish.audience.kind === 'rule' ? [rowOf(message, event, wish, wish.audience.where)] : [])),
  );
  if (walks.length === 0) return 0;
  const columns = walks[0]!.map((_, column) => walks.map((walk) => walk[column]));
  return (await tx.query(START, [...columns, now])).length;
}

function rowOf(
  { topic, partition, sequence, messageId, correlationId, replyTo, replyToSessionId }: Origin,
  event: CloudEvent,
  { definition }: Wish,
  where: string | undefined,
) {
  const id = derivedId('wlk', topic, partition, sequence, definition.name);
  const request: Request = { messageId, correlationId, replyTo, replyToSessionId };
  return [
    id,
    topic,
    partition,
    sequence,
    definition.name,
    JSON.stringify(store(event)),
    where ?? null,
    JSON.stringify(request),
  ];
}

/** A walk whose turn it is, locked until the end of the transaction; undefined when there is none. */
export async function claimWalk(tx: Tx, now: Date): Promise<Walk | undefined> {
  const [row] = await tx.query<WalkRow>(CLAIM, [now]);
  if (!row) return undefined;
  const { after_id, event, request, ...rest } = row;
  return { ...rest, afterId: after_id, event: restore(event), request: request ?? undefined };
}

export async function advanceWalk(
  tx: Tx,
  walk: Walk,
  by: { readonly afterId: string; readonly people: number; readonly notices: number },
  now: Date,
): Promise<void> {
  await tx.query(ADVANCE, [walk.id, by.afterId, by.people, by.notices, now]);
}

export async function postponeWalk(sql: Sql, id: string, dueAt: Date): Promise<void> {
  await sql.query(POSTPONE, [id, dueAt]);
}

export async function endWalk(tx: Tx, id: string): Promise<void> {
  await tx.query(END, [id]);
}

/** An event as JSON holds it: bytes as base64, times as text; the raw bytes are not kept. */
type StoredEvent = Omit<CloudEvent, 'time' | 'raw'> & { readonly time: string; readonly bytes?: string };

function store({ raw: _raw, time, data, ...rest }: CloudEvent): StoredEvent {
  const shared = { ...rest, time: time.toISOString() };
  if (data instanceof Uint8Array) return { ...shared, data: undefined, bytes: Buffer.from(data).toString('base64') };
  return { ...shared, data };
}

function restore({ bytes, time, data, ...rest }: StoredEvent): CloudEvent {
  return { ...rest, time: new Date(time), data: bytes === undefined ? data : Buffer.from(bytes, 'base64') };
}
