// Figures for the dashboard. Counters come from signals and cost nothing; what must be asked of the database is asked
// once a second while somebody watches, whatever the number of watchers, and not at all otherwise.
import type { ChannelName } from '../../deliveries/channel.ts';
import { deliveryBacklog, OutcomeTally } from '../../deliveries/statistics.ts';
import type { HandlerSignal } from '../../handler/handler.ts';
import type { HubWatch } from '../../hub/hub-status.ts';
import type { Database } from '../../kit/database.ts';
import type { Signal } from '../../kit/signals.ts';
import type { Broker } from '../../topics/broker.ts';
import type { SubscriptionEntry, TopicEntry } from '../../topics/entities/catalogue.ts';
import type { TopicSignal } from '../../topics/signals.ts';
import type { Frame, FrameSource } from './event-stream.ts';
import { type ShownHubStatus, shownHubStatus } from './hub-json.ts';

export type StatsDeps = {
  readonly database: Database;
  readonly broker: Broker;
  readonly channels: readonly ChannelName[];
  readonly openStreams: () => number;
  readonly hubs: { readonly watch: Pick<HubWatch, 'all'> };
};

/** Counters count from the start of this process; the watcher makes rates of them. */
export type Sample = {
  readonly at: string;
  readonly topics: readonly {
    readonly name: string;
    readonly published: number;
    readonly subscriptions: readonly {
      readonly name: string;
      readonly handled: number;
      readonly backlog: number;
      readonly dead: number;
    }[];
  }[];
  readonly notices: number;
  readonly deliveries: readonly {
    readonly channel: string;
    readonly delivered: number;
    readonly retried: number;
    readonly dropped: number;
    readonly failed: number;
    readonly pending: number;
    readonly dead: number;
  }[];
  readonly hubs: readonly ShownHubStatus[];
  readonly openStreams: number;
  /** No other node shares the database. */
  readonly alone: boolean;
};

const EVERY_MS = 1_000;
const HISTORY = 60;
/** Topics whose figures one sample shows; more are left to their own pages. */
const MAX_TOPICS = 200;

export class Stats {
  readonly #deps: StatsDeps;
  readonly #published = new Map<string, number>();
  readonly #handled = new Map<string, number>();
  readonly #outcomes = new OutcomeTally();
  readonly #watchers = new Set<Watcher>();
  #notices = 0;
  #history: Sample[] = [];
  #timer: NodeJS.Timeout | undefined;
  #sampling: Promise<Sample> | undefined;

  constructor(deps: StatsDeps) {
    this.#deps = deps;
  }

  /** Register with the signals. */
  readonly listener = (signal: Signal): void => {
    this.#outcomes.listener(signal);
    const told = signal as TopicSignal | HandlerSignal; // the names decide; others fall through
    if (told.name === 'topics.published') add(this.#published, told.topic, told.count);
    else if (told.name === 'topics.completed') add(this.#handled, `${told.topic}\n${told.subscription}`, told.count);
    else if (told.name === 'handler.batch') this.#notices += told.notices;
  };

  /** A sample of now, with those of the last minute if somebody watched. */
  async now(): Promise<Sample & { readonly history: readonly Sample[] }> {
    const sample = await this.#sample();
    const since = new Date(Date.now() - HISTORY * EVERY_MS).toISOString();
    return { ...sample, history: this.#history.filter(({ at }) => at >= since) };
  }

  /** A frame at once and then every second. */
  watch(): FrameSource {
    const watcher = new Watcher(() => this.#leave(watcher));
    this.#watchers.add(watcher);
    this.#timer ??= setInterval(() => this.#tick(), EVERY_MS).unref();
    this.#tick();
    return watcher;
  }

  #leave(watcher: Watcher): void {
    this.#watchers.delete(watcher);
    if (this.#watchers.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    this.#sample().then(
      (sample) => {
        this.#history = [...this.#history.slice(1 - HISTORY), sample];
        for (const watcher of this.#watchers) watcher.offer(sample);
      },
      () => undefined, // the database is away: the watchers see no new figures, and /readyz says why
    );
  }

  /** Calls at the same time share one. */
  #sample(): Promise<Sample> {
    this.#sampling ??= this.#ask().finally(() => {
      this.#sampling = undefined;
    });
    return this.#sampling;
  }

  async #ask(): Promise<Sample> {
    const { broker, hubs, openStreams } = this.#deps;
    const topics = await Promise.all(broker.listTopics({ limit: MAX_TOPICS }).items.map((topic) => this.#topic(topic)));
    const [deliveries, statuses] = await Promise.all([this.#deliveries(), hubs.watch.all()]);
    return {
      at: new Date().toISOString(),
      topics,
      notices: this.#notices,
      deliveries,
      hubs: statuses.map(shownHubStatus),
      openStreams: openStreams(),
      alone: broker.alone,
    };
  }

  async #topic(topic: TopicEntry) {
    const subscriptions = await Promise.all(topic.subscriptions.map((each) => this.#subscription(topic.name, each)));
    return { name: topic.name, published: this.#published.get(topic.name) ?? 0, subscriptions };
  }

  async #subscription(topic: string, { name }: SubscriptionEntry) {
    const { active, deadLettered } = await this.#deps.broker.counts(topic, name);
    return { name, handled: this.#handled.get(`${topic}\n${name}`) ?? 0, backlog: active, dead: deadLettered };
  }

  async #deliveries(): Promise<Sample['deliveries']> {
    const { database, channels } = this.#deps;
    const counts = new Map(this.#outcomes.counts().map((each) => [each.channel, each]));
    const backlog = await deliveryBacklog(database, channels, new Date());
    return backlog.map(({ channel, pending, dead }) => {
      const { delivered = 0, retried = 0, dropped = 0, dead: died = 0 } = counts.get(channel) ?? {};
      return { channel, delivered, retried, dropped, failed: dropped + died, pending, dead };
    });
  }
}

/** Holds the newest sample only: whoever reads slowly misses some, and the counters in the next one make up for it. */
class Watcher implements FrameSource {
  readonly #onClose: () => void;
  #newest: Sample | undefined;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(onClose: () => void) {
    this.#onClose = onClose;
  }

  offer(sample: Sample): void {
    this.#newest = sample;
    this.#wake?.();
  }

  async next(): Promise<Frame | undefined> {
    while (!this.#newest && !this.#closed) await new Promise<void>((resolve) => (this.#wake = resolve));
    if (this.#closed) return undefined;
    const data = this.#newest!;
    this.#newest = undefined;
    return { event: 'stats', data };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose();
    this.#wake?.();
  }
}

function add(counts: Map<string, number>, name: string, count: number): void {
  counts.set(name, (counts.get(name) ?? 0) + count);
}
