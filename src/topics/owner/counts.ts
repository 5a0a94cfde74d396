// How many messages of a subscription are in which state.
import type { Cursor } from './cursor.ts';

export type Counts = {
  /** Waiting or locked. */
  readonly active: number;
  readonly locked: number;
  readonly deferred: number;
  readonly deadLettered: number;
  /** Could not be forwarded. */
  readonly transferDeadLettered: number;
};

/** In one partition. */
export function countsOf(cursor: Cursor): Counts {
  return {
    active: cursor.active,
    locked: cursor.locked,
    deferred: cursor.deferred,
    deadLettered: cursor.dead.count,
    transferDeadLettered: cursor.transfer.count,
  };
}

export function sumCounts(all: readonly Counts[]): Counts {
  const sum = { active: 0, locked: 0, deferred: 0, deadLettered: 0, transferDeadLettered: 0 };
  for (const counts of all) {
    sum.active += counts.active;
    sum.locked += counts.locked;
    sum.deferred += counts.deferred;
    sum.deadLettered += counts.deadLettered;
    sum.transferDeadLettered += counts.transferDeadLettered;
  }
  return sum;
}
