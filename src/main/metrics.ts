// Figures for Prometheus, counted from the signals of the rooms and read from the process. Labels are bounded: topics,
// subscriptions, channels, route patterns, outcomes; never ids, addresses or causes that a provider writes.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { DecisionSignal } from '../assistant/decisions/decisions.ts';
import type { DeliverySignal } from '../deliveries/signals.ts';
import type { HttpSignal } from '../gateways/http/app.ts';
import type { HandlerSignal } from '../handler/handler.ts';
import type { PushedSignal } from '../hub/pushed.ts';
import type { InboxSignal } from '../inbox/stream.ts';
import type { Signal } from '../kit/signals.ts';
import type { TopicSignal } from '../topics/signals.ts';
import { Counters, Histogram } from './prometheus.ts';
import { version } from './version.ts';

/** Every signal that is counted; others pass by. */
type Counted = DecisionSignal | DeliverySignal | HttpSignal | HandlerSignal | InboxSignal | PushedSignal | TopicSignal;
type Count = { readonly [N in Counted['name']]?: (signal: Extract<Counted, { name: N }>) => void };

// Coarse, because each sample wakes an idle process.
const RESOLUTION_MS = 50;

export class Metrics {
  readonly #requests = new Counters('carillon_http_requests_total', 'Requests answered.', [
    'method',
    'route',
    'status',
  ]);
  readonly #requestSeconds = new Histogram('carillon_http_request_seconds', 'Time to answer a request.', ['route']);
  readonly #published = new Counters('carillon_topic_published_total', 'Messages published; duplicates too.', [
    'topic',
  ]);
  readonly #duplicates = new Counters('carillon_topic_duplicates_total', 'Messages known already.', ['topic']);
  readonly #flushSeconds = new Histogram('carillon_topic_flush_seconds', 'Time of one group commit.', []);
  readonly #messages = new Counters('carillon_subscription_messages_total', 'Messages by what became of them.', [
    'topic',
    'subscription',
    'event',
  ]);
  readonly #notices = new Counters('carillon_notices_total', 'Notices written by the handler.', ['topic']);
  readonly #refused = new Counters('carillon_events_refused_total', 'Events the handler dead-lettered.', [
    'topic',
    'reason',
  ]);
  readonly #attempts = new Counters('carillon_delivery_attempts_total', 'Attempts by outcome.', ['channel', 'outcome']);
  readonly #attemptSeconds = new Histogram('carillon_delivery_attempt_seconds', 'Time of a call of a channel.', [
    'channel',
  ]);
  readonly #pushes = new Counters('carillon_pushes_total', 'Pushes to devices by outcome.', [
    'hub',
    'platform',
    'outcome',
  ]);
  readonly #decisions = new Counters('carillon_decisions_total', 'Answers to cards, by where and what came of them.', [
    'surface',
    'outcome',
  ]);
  readonly #replies = new Counters('carillon_replies_total', 'Answers for backends, by what came of them.', [
    'outcome',
  ]);
  readonly #faults = new Counters('carillon_faults_total', 'Signals that tell of a fault.', ['signal']);
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #openStreams = 0;

  constructor() {
    this.#delay.enable();
  }

  readonly #count: Count = {
    'http.answered': ({ method, route, status, tookMs }) => {
      this.#requests.add(1, method, route, String(status));
      this.#requestSeconds.observe(tookMs / 1000, route);
    },
    'topics.published': ({ topic, count, duplicates }) => {
      this.#published.add(count, topic);
      this.#duplicates.add(duplicates, topic);
    },
    'topics.flushed': ({ tookMs }) => this.#flushSeconds.observe(tookMs / 1000),
    'topics.completed': ({ topic, subscription, count }) => this.#messages.add(count, topic, subscription, 'completed'),
    'topics.abandoned': ({ topic, subscription, count }) => this.#messages.add(count, topic, subscription, 'abandoned'),
    'topics.expired': ({ topic, subscription, count }) => this.#messages.add(count, topic, subscription, 'expired'),
    'topics.dead_lettered': ({ topic, subscription, count }) =>
      this.#messages.add(count, topic, subscription, 'dead_lettered'),
    'handler.batch': ({ topic, notices }) => this.#notices.add(notices, topic),
    'handler.refused': ({ topic, reason }) => this.#refused.add(1, topic, reason),
    'delivery.attempted': ({ channel, outcome, tookMs }) => {
      this.#attempts.add(1, channel, outcome);
      this.#attemptSeconds.observe(tookMs / 1000, channel);
    },
    'push.pushed': ({ hub, platform, ...counts }) => {
      for (const outcome of ['delivered', 'retried', 'pruned', 'refused'] as const)
        if (counts[outcome] > 0) this.#pushes.add(counts[outcome], hub, platform, outcome);
    },
    'decision.made': ({ surface }) => this.#decisions.add(1, surface, 'decided'),
    'decision.refused': ({ surface, code }) => this.#decisions.add(1, surface, code),
    'decision.replied': () => this.#replies.add(1, 'published'),
    'decision.reply-given-up': () => this.#replies.add(1, 'given_up'),
    'inbox.stream-opened': ({ open }) => {
      this.#openStreams = open;
    },
    'inbox.stream-closed': ({ open }) => {
      this.#openStreams = open;
    },
  };

  readonly listener = (signal: Signal): void => {
    // Each entry takes the signal of its own name, which is how it was found.
    const count = this.#count[signal.name as keyof Count] as ((signal: Signal) => void) | undefined;
    count?.(signal);
    if (FAULTS.has(signal.name)) this.#faults.add(1, signal.name);
  };

  /** The text of Prometheus' exposition format, version 0.0.4. */
  text(): string {
    const counters = [this.#requests, this.#published, this.#duplicates, this.#messages, this.#notices, this.#refused];
    const more = [
      this.#decisions,
      this.#replies,
      this.#attempts,
      this.#pushes,
      this.#faults,
      this.#requestSeconds,
      this.#flushSeconds,
      this.#attemptSeconds,
    ];
    return [...counters, ...more].map((each) => each.text()).join('') + this.#gauges();
  }

  stop(): void {
    this.#delay.disable();
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  #gauges(): string {
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed } = process.memoryUsage();
    // What is recorded is the time between two samples; what exceeds the resolution is the delay.
    const lag = (percent: number) => Math.max(0, this.#delay.percentile(percent) / 1e9 - RESOLUTION_MS / 1e3);
    const [p50, p99] = [lag(50), lag(99)];
    this.#delay.reset();
    return [
      gauge(
        'carillon_build_info',
        'Always 1; the version is a label.',
        1,
        `{version="${version}",node="${process.version}"}`,
      ),
      gauge('carillon_inbox_streams_open', 'Open inbox streams of this node.', this.#openStreams),
      gauge('process_cpu_seconds_total', 'CPU time of the server process.', (user + system) / 1e6, '', 'counter'),
      gauge('process_resident_memory_bytes', 'Memory of the server process.', rss),
      gauge('process_start_time_seconds', 'When it started.', Date.now() / 1000 - process.uptime()),
      gauge('nodejs_heap_used_bytes', 'The JavaScript heap in use.', heapUsed),
      gauge('nodejs_eventloop_lag_p50_seconds', 'Event loop delay since the last scrape.', p50),
      gauge('nodejs_eventloop_lag_p99_seconds', 'Event loop delay since the last scrape.', p99),
    ].join('');
  }
}

const FAULTS: ReadonlySet<string> = new Set([
  'engine.lost',
  'engine.restart_failed',
  'http.failed',
  'inbox.fault',
  'decision.fault',
  'lane.failed',
  'lane.paused',
  'delivery.fenced',
  'topics.consumer_failed',
  'topics.owner_lost',
  'topics.database_away',
  'topics.task_failed',
  'servicebus.failed',
  'hub.failed',
  'push.lane-stopped',
  'push.lane-paused',
  'directline.failed',
  'agent.failed',
  'assistant.stream-fault',
  'assistant.keys-failed',
  'assistant.turn-failed',
  'assistant.door-failed',
  'conversation.stopped',
  'conversation.edit-failed',
  'decision.reply-given-up',
  'handler.walk-failed',
  'housekeeping.failed',
]);

function gauge(name: string, help: string, value: number, labels = '', type = 'gauge'): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name}${labels} ${Number.isFinite(value) ? value : 0}\n`;
}
