// Messages that left the log for one subscription and are kept with their content: deferred, dead-lettered, and those
// whose properties were changed when they were given back.
import { byteaArray, int2Array, int4Array, int8Array } from './arrays.ts';
import type { Message } from './message.ts';
import { encodeRecord } from './record.ts';

export type HeldState = 'retry' | 'deferred' | 'dead';

export type HeldRow = {
  readonly sequence: number;
  readonly state: HeldState;
  readonly deliveryCount: number;
  readonly enqueuedAt: Date;
  readonly expiresAt: Date | undefined;
  readonly visibleAt: Date | undefined;
  readonly heldAt: Date;
  readonly reason: string | undefined;
  readonly description: string | undefined;
  readonly source: string | undefined;
  readonly record: Buffer;
};

/** Rows to write (or overwrite) and sequences to remove, of one subscription in one partition. */
export type HeldChange = { readonly put: readonly HeldRow[]; readonly removed: readonly number[] };

export const NO_HELD: HeldChange = { put: [], removed: [] };

type Why = Partial<Pick<HeldRow, 'reason' | 'description' | 'source' | 'visibleAt'>>;

export function heldRow(message: Message, state: HeldState, heldAt: Date, why: Why = {}): HeldRow {
  const { sequence, deliveryCount, enqueuedAt, expiresAt, hops, originalSequence } = message;
  return {
    sequence,
    state,
    deliveryCount,
    enqueuedAt,
    expiresAt,
    visibleAt: why.visibleAt,
    heldAt,
    reason: why.reason?.slice(0, 4096),
    description: why.description?.slice(0, 4096),
    source: why.source,
    record: encodeRecord(message, { hops, originalSequence }),
  };
}

type Owned = { readonly subscription: number; readonly part: number } & HeldChange;

/** The parameters of a statement that removes and writes held rows. */
export function heldValues(all: readonly Owned[]): unknown[] {
  const removed = all.flatMap((each) => each.removed.map((sequence) => ({ ...each, sequence })));
  const put = all.flatMap((each) => each.put.map((row) => ({ subscription: each.subscription, part: each.part, row })));
  const rows = put.map(({ row }) => row);
  return [
    int4Array(removed.map((each) => each.subscription)),
    int2Array(removed.map((each) => each.part)),
    int8Array(removed.map((each) => each.sequence)),
    int4Array(put.map((each) => each.subscription)),
    int2Array(put.map((each) => each.part)),
    int8Array(rows.map((row) => row.sequence)),
    rows.map((row) => row.state),
    int4Array(rows.map((row) => row.deliveryCount)),
    rows.map((row) => row.enqueuedAt),
    rows.map((row) => row.expiresAt ?? null),
    rows.map((row) => row.visibleAt ?? null),
    rows.map((row) => row.heldAt),
    rows.map((row) => row.reason ?? null),
    rows.map((row) => row.description ?? null),
    rows.map((row) => row.source ?? null),
    byteaArray(rows.map((row) => row.record)),
  ];
}
