// The seats of an entity: one per partition.
import type { Sql } from '../../kit/database.ts';
import type { TopicEntry } from '../entities/catalogue.ts';
import type { Entity } from '../entities/path.ts';
import { partFor } from '../log/plan.ts';
import type { Owners } from '../owner/owners.ts';
import type { SessionChoice } from './receiver.ts';
import { LocalSeat, type Seat, type SessionGrant } from './seat.ts';
import { sessionsWithState } from './session-state.ts';

/** Seats at the partitions that this node owns. */
export function localSeats(owners: Owners, { topic, subscription, kind }: Entity): Seat[] {
  return owners.owned(topic.id).flatMap((partition) => {
    const cursor = partition.cursors.get(subscription.id);
    return cursor ? [new LocalSeat(cursor, kind)] : [];
  });
}

export async function acceptSession(
  topic: TopicEntry,
  seats: readonly Seat[],
  choice: SessionChoice,
): Promise<{ seat: Seat; grant: SessionGrant } | undefined> {
  const { id, waitMs = 0 } = choice;
  if (id !== undefined) {
    const part = partFor(topic, { sessionId: id, messageId: '', body: new Uint8Array(0) });
    const seat = seats.find((each) => each.part === part);
    const grant = await seat?.acceptSession(id, 0, choice.signal);
    return grant && { seat: seat!, grant };
  }
  for (const seat of seats) {
    const grant = await seat.acceptSession(undefined, 0, choice.signal);
    if (grant) return { seat, grant };
  }
  return waitMs > 0 ? firstSession(seats, waitMs, choice.signal) : undefined;
}

/** Waits at all partitions until one has a session, or fails; whoever comes second is given back. */
async function firstSession(seats: readonly Seat[], waitMs: number, outer: AbortSignal | undefined) {
  const first = new AbortController();
  const signal = outer ? AbortSignal.any([outer, first.signal]) : first.signal;
  let won: { seat: Seat; grant: SessionGrant } | undefined;
  const waits = await Promise.allSettled(
    seats.map(async (seat) => {
      const grant = await seat.acceptSession(undefined, waitMs, signal).catch((error: unknown) => {
        first.abort();
        throw error;
      });
      if (!grant) return;
      if (won) await seat.releaseSession(grant);
      else won = { seat, grant };
      first.abort();
    }),
  );
  const failed = waits.find((wait) => wait.status === 'rejected');
  if (failed && !won) throw failed.reason;
  return won;
}

export type SessionPage = { readonly updatedAfter?: Date; readonly skip?: number; readonly top?: number };

export async function listSessions(
  sql: Sql,
  subscription: number,
  seats: readonly Seat[],
  { updatedAfter, skip = 0, top = 100 }: SessionPage,
): Promise<string[]> {
  if (updatedAfter) return sessionsWithState(sql, subscription, updatedAfter, { skip, top });
  const ids = (await Promise.all(seats.map((seat) => seat.sessionIds()))).flat().sort();
  return ids.slice(skip, skip + top);
}
