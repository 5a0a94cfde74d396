// What can be received from has two addresses: a subscription of a topic, or a queue. Every route on messages is there
// for both.
import { Type } from 'typebox';
import type { Right } from '../../access/rights.ts';
import type { Need } from './identity.ts';
import { onTopic } from './identity.ts';
import { TopicParams } from './schemas.ts';

export type EntityParams = { readonly topic?: string; readonly subscription?: string; readonly queue?: string };

export type EntityBase = {
  readonly path: string;
  readonly params: typeof SubscriptionParams | typeof QueueParams;
  /** In operation ids and summaries. */
  readonly what: 'Subscription' | 'Queue';
  readonly need: (right: Right) => Need;
};

export const SubscriptionParams = Type.Object({
  ...TopicParams.properties,
  subscription: Type.String({ minLength: 1, maxLength: 50, examples: ['directory-sync'] }),
});
export const QueueParams = Type.Object({ queue: Type.String({ minLength: 1, maxLength: 260, examples: ['orders'] }) });

/** Topics and queues share their names, and so their rights: a queue is `topic:NAME` as well. */
export function onQueue(right: Right): Need {
  return { right, entity: ({ params }) => `topic:${(params as { queue: string }).queue}` };
}

export const entityBases: readonly EntityBase[] = [
  {
    path: '/v1/topics/:topic/subscriptions/:subscription',
    params: SubscriptionParams,
    what: 'Subscription',
    need: onTopic,
  },
  { path: '/v1/queues/:queue', params: QueueParams, what: 'Queue', need: onQueue },
];

/** `live`: the messages themselves. `dead`: its dead letters. `transfer`: what could not be forwarded. */
export const entityKinds = ['live', 'dead', 'transfer'] as const;
export type EntityKind = (typeof entityKinds)[number];
export const Of = Type.Enum([...entityKinds], {
  default: 'live',
  description: '`live`: the messages themselves; `dead`: the dead letters; `transfer`: what could not be forwarded.',
});

/** The path by which the broker knows it. */
export function brokerPath({ topic, subscription, queue }: EntityParams, of: EntityKind = 'live'): string {
  const base = queue ?? `${topic}/Subscriptions/${subscription}`;
  if (of === 'live') return base;
  return of === 'dead' ? `${base}/$DeadLetterQueue` : `${base}/$Transfer/$DeadLetterQueue`;
}
