// What the server counts, and what the page makes of it. The server sends counters; a rate is the difference of two
// samples, so a sample that was missed leaves no hole.
import type { ChannelName } from '../kit/api.ts';

export type SubscriptionStats = {
  readonly name: string;
  readonly handled: number;
  readonly backlog: number;
  readonly dead: number;
};
export type TopicStats = {
  readonly name: string;
  readonly published: number;
  readonly subscriptions: readonly SubscriptionStats[];
};
export type DeliveryStats = {
  readonly channel: ChannelName;
  readonly delivered: number;
  readonly retried: number;
  readonly pending: number;
  readonly dead: number;
};
export type PushCounts = {
  readonly delivered: number;
  readonly retried: number;
  readonly pruned: number;
  readonly refused: number;
};
export type LaneStateName =
  | 'running'
  | 'untried'
  | 'paced'
  | 'paused'
  | 'stopped'
  | 'failing'
  | 'no_credentials'
  | 'unsupported';
export type LaneStats = {
  readonly platform: string;
  /** Null while they are counted for the first time. */
  readonly devices: number | null;
  readonly dead: number | null;
  readonly state: LaneStateName;
  readonly cause?: string;
  readonly service?: string;
  readonly since?: string;
  readonly until?: string;
  readonly perSecond?: number;
  readonly advice?: string;
  readonly pushed: PushCounts;
  readonly lastHour: PushCounts;
  readonly lastFault: { readonly at: string; readonly outcome: string; readonly cause: string } | null;
};
export type HubStats = {
  readonly name: string;
  readonly problem?: string;
  readonly sends: { readonly underWay: number; readonly oldest: string | null };
  readonly lanes: readonly LaneStats[];
};
export type Stats = {
  readonly at: string;
  readonly topics: readonly TopicStats[];
  readonly notices: number;
  readonly deliveries: readonly DeliveryStats[];
  readonly hubs: readonly HubStats[];
  readonly openStreams: number;
  /** No other node shares the database. */
  readonly alone: boolean;
};

/** As many samples as a sparkline shows: a minute, one a second. */
export const SAMPLES = 61;

export function keep(history: readonly Stats[], next: Stats): readonly Stats[] {
  const last = history.at(-1);
  if (last && Date.parse(next.at) <= Date.parse(last.at)) return history;
  return [...history, next].slice(-SAMPLES);
}

/** Per second, one value per pair of neighbouring samples. A counter that fell (the server started anew) counts as none. */
export function rates(history: readonly Stats[], counter: (stats: Stats) => number): number[] {
  return history.slice(1).map((sample, index) => {
    const before = history[index]!; // true: index counts from the element before `sample`
    const seconds = (Date.parse(sample.at) - Date.parse(before.at)) / 1_000;
    return seconds > 0 ? Math.max(0, counter(sample) - counter(before)) / seconds : 0;
  });
}

/** The rate over the last few seconds: calmer to look at than that of the last one. */
export function recent(values: readonly number[], seconds = 5): number {
  const last = values.slice(-seconds);
  return last.length === 0 ? 0 : sum(last) / last.length;
}

export const publishedOf = (stats: Stats, topic?: string) =>
  sum(stats.topics.filter(({ name }) => topic === undefined || name === topic).map(({ published }) => published));

export const deliveredOf = (stats: Stats) => sum(stats.deliveries.map(({ delivered }) => delivered));

export const waitingOf = (stats: Stats) =>
  sum(stats.topics.flatMap(({ subscriptions }) => subscriptions.map(({ backlog }) => backlog))) +
  sum(stats.deliveries.map(({ pending }) => pending));

export const deadMessagesOf = (stats: Stats) =>
  sum(stats.topics.flatMap(({ subscriptions }) => subscriptions.map(({ dead }) => dead)));

export const deadDeliveriesOf = (stats: Stats) => sum(stats.deliveries.map(({ dead }) => dead));

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

const whole = new Intl.NumberFormat();
const compact = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });

/** `7`, `9,314`, `1.2M`. */
export function count(value: number): string {
  return value < 100_000 ? whole.format(value) : compact.format(value);
}

/** `0`, `0.4`, `12`, `1.3K`. */
export function rate(value: number): string {
  if (value === 0) return '0';
  if (value < 10) return value < 0.1 ? '<0.1' : value.toFixed(1);
  return compact.format(Math.round(value));
}
