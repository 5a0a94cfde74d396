// Paths of what can be received from, as Service Bus writes them; case does not matter:
//   topic/Subscriptions/name   queue   <either>/$DeadLetterQueue   <either>/$Transfer/$DeadLetterQueue
import { Refusal } from '../../kit/refusal.ts';
import {
  type Catalogue,
  QUEUE_SUBSCRIPTION,
  type SubscriptionEntry,
  subscriptionOf,
  type TopicEntry,
} from './catalogue.ts';

/** What is received: the messages themselves, the dead letters, or what could not be forwarded. */
export type EntityKind = 'live' | 'dead' | 'transfer';

export type Entity = {
  readonly topic: TopicEntry;
  readonly subscription: SubscriptionEntry;
  readonly kind: EntityKind;
};

export function findEntity(catalogue: Catalogue, path: string): Entity {
  const { base, kind } = splitKind(path);
  const at = base.toLowerCase().lastIndexOf('/subscriptions/');
  if (at < 0) {
    const topic = catalogue.topic(base);
    if (topic.kind !== 'queue') {
      throw new Refusal('bad_request', `"${base}" is a topic; receive from one of its subscriptions.`);
    }
    return { topic, subscription: subscriptionOf(topic, QUEUE_SUBSCRIPTION), kind };
  }
  const topic = catalogue.topic(base.slice(0, at));
  if (topic.kind === 'queue') throw new Refusal('subscription_not_found', `"${topic.name}" is a queue.`);
  return { topic, subscription: subscriptionOf(topic, base.slice(at + '/subscriptions/'.length)), kind };
}

function splitKind(path: string): { base: string; kind: EntityKind } {
  const transfer = /^(.+)\/\$transfer\/\$deadletterqueue$/i.exec(path);
  if (transfer) return { base: transfer[1]!, kind: 'transfer' };
  const dead = /^(.+)\/\$deadletterqueue$/i.exec(path);
  return dead ? { base: dead[1]!, kind: 'dead' } : { base: path, kind: 'live' };
}

/** The path of a subscription, or the queue's name. */
export function pathOfEntity({ topic, subscription, kind }: Entity): string {
  const base = topic.kind === 'queue' ? topic.name : `${topic.name}/Subscriptions/${subscription.name}`;
  if (kind === 'live') return base;
  return kind === 'dead' ? `${base}/$DeadLetterQueue` : `${base}/$Transfer/$DeadLetterQueue`;
}
