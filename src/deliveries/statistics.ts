// Numbers for the dashboard: how much is waiting (asked of the database) and what came of the attempts of this process
// (counted from its signals, so that a dashboard that looks every second costs no table scan).
import { type Sql, statement } from '../kit/database.ts';
import type { Signal } from '../kit/signals.ts';
import type { ChannelName } from './channel.ts';
import type { DeliverySignal } from './signals.ts';

/** Counted up to {@link BACKLOG_LIMIT} each: a count that reaches it means "at least". */
export type Backlog = {
  readonly channel: ChannelName;
  readonly pending: number;
  readonly dead: number;
  /** When the longest waiting one became due; null if none is due. */
  readonly oldestDueAt: Date | null;
};

export type OutcomeCounts = { delivered: number; retried: number; dropped: number; dead: number };

export const BACKLOG_LIMIT = 100_000;

const BACKLOG = statement(
  'deliveries.backlog',
  `select channel,
     (select count(*) from (select from delivery d
       where d.channel = names.channel and state = 'pending' limit $3) as counted) as pending,
     (select count(*) from (select from delivery d
       where d.channel = names.channel and state = 'dead' limit $3) as counted) as dead,
     (select min(oldest.due_at) from (values (0::smallint), (1::smallint), (2::smallint)) as lane (urgency)
       cross join lateral (select due_at from delivery d
         where d.channel = names.channel and d.urgency = lane.urgency and state = 'pending' and due_at <= $2
         order by due_at limit 1) as oldest) as "oldestDueAt"
   from unnest($1::text[]) as names (channel)`,
);

/** What waits and what is dead, per channel. */
export function deliveryBacklog(sql: Sql, channels: readonly ChannelName[], now: Date): Promise<Backlog[]> {
  return sql.query<Backlog>(BACKLOG, [channels, now, BACKLOG_LIMIT]);
}

/** Counts the outcomes of this process since its start. Register `listener` with the signals. */
export class OutcomeTally {
  readonly #counts = new Map<ChannelName, OutcomeCounts>();

  readonly listener = (signal: Signal): void => {
    if (signal.name !== 'delivery.attempted') return;
    const attempted = signal as Extract<DeliverySignal, { name: 'delivery.attempted' }>; // the name decides
    const counts = this.#of(attempted.channel);
    counts[attempted.outcome === 'retry' ? 'retried' : attempted.outcome]++;
  };

  /** A copy of the counts of every channel that has had an attempt. */
  counts(): ({ readonly channel: ChannelName } & Readonly<OutcomeCounts>)[] {
    return [...this.#counts].map(([channel, counts]) => ({ channel, ...counts }));
  }

  #of(channel: ChannelName): OutcomeCounts {
    const known = this.#counts.get(channel) ?? { delivered: 0, retried: 0, dropped: 0, dead: 0 };
    this.#counts.set(channel, known);
    return known;
  }
}
