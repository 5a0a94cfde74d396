// What the broker tells its listeners. Counts are per call or per batch, never per message.
import type { Emit } from '../kit/signals.ts';

export type TopicSignal =
  | { readonly name: 'topics.published'; readonly topic: string; readonly count: number; readonly duplicates: number }
  | { readonly name: 'topics.flushed'; readonly messages: number; readonly requests: number; readonly tookMs: number }
  | {
      readonly name: 'topics.received' | 'topics.completed' | 'topics.abandoned' | 'topics.expired' | 'topics.deferred';
      readonly topic: string;
      readonly subscription: string;
      readonly count: number;
    }
  | {
      readonly name: 'topics.dead_lettered';
      readonly topic: string;
      readonly subscription: string;
      readonly count: number;
      readonly reason: string;
    }
  | {
      readonly name: 'topics.consumer_failed';
      readonly topic: string;
      readonly subscription: string;
      readonly partition: number;
      readonly count: number;
      readonly error: unknown;
      readonly retryInMs: number;
    }
  | { readonly name: 'topics.owner_claimed' | 'topics.owner_lost'; readonly topic: string; readonly partition: number }
  | { readonly name: 'topics.database_away' | 'topics.database_back'; readonly where: string; readonly error?: unknown }
  /** The time of day was set while we ran. */
  | { readonly name: 'topics.clock_set'; readonly byMs: number }
  /** What is to go on from here stays until its destination takes it: it is closed or full. Told once. */
  | {
      readonly name: 'topics.forward_waits';
      readonly topic: string;
      readonly subscription: string;
      readonly to: string;
      readonly cause: string;
    }
  | { readonly name: 'topics.task_failed'; readonly task: string; readonly error: unknown };

export type EmitTopics = Emit<TopicSignal>;
