// The decision trace: why a recipient did or did not get it, as rows. The handler writes its decisions in the
// transaction that made them; what became of each delivery afterwards stands in `attempt`. Reads show both as one story.
import { int4Array, int8Array, textArray, timestamptzArray } from '../kit/arrays.ts';
import { statement, type Tx } from '../kit/database.ts';
import type { ChannelName } from './channel.ts';

/**
 * One decision. A row without `recipientId` is about the event as a whole; write at least one of those per event,
 * because an event is found by its id through them. `step` and `outcome` are short codes, `detail` is a sentence.
 */
export type TraceRow = {
  readonly topic: string;
  readonly partition: number;
  readonly sequence: number;
  readonly eventId: string;
  readonly notification: string | null;
  readonly recipientId: string | null;
  readonly noticeId: string | null;
  readonly channel?: ChannelName | null;
  readonly step: string;
  readonly outcome: string;
  readonly detail: string | null;
  readonly at: Date;
};

/** The outcome of the row that says that a delivery was planned; give it `noticeId` and `channel`, and its attempts are shown behind it. */
export const PLANNED = 'planned';

const INSERT = statement(
  'deliveries.trace',
  `insert into trace (at, topic, partition, sequence, event_id, notification, recipient_id, notice_id, channel, step,
     outcome, detail)
   select * from unnest($1::timestamptz[], $2::text[], $3::int[], $4::int8[], $5::text[], $6::text[], $7::text[],
     $8::text[], $9::text[], $10::text[], $11::text[], $12::text[])`,
);

type TextColumn = Exclude<keyof TraceRow, 'at' | 'partition' | 'sequence'>;

/** Appends trace rows: one round trip, whatever their number. */
export async function writeTrace(tx: Tx, rows: readonly TraceRow[]): Promise<void> {
  if (rows.length === 0) return;
  const texts = <K extends TextColumn>(key: K) => textArray(rows.map((row) => row[key] ?? null));
  await tx.query(INSERT, [
    timestamptzArray(rows.map((row) => row.at)),
    texts('topic'),
    int4Array(rows.map((row) => row.partition)),
    int8Array(rows.map((row) => row.sequence)),
    texts('eventId'),
    texts('notification'),
    texts('recipientId'),
    texts('noticeId'),
    texts('channel'),
    texts('step'),
    texts('outcome'),
    texts('detail'),
  ]);
}
