// A topic as Event Hubs clients see it: an event hub, its partitions, and consumer groups, which are nothing but a name.
import { Refusal } from '../../../kit/refusal.ts';
import type { TopicEntry } from '../../../topics/entities/catalogue.ts';
import type { OutgoingMessage } from '../../../topics/message.ts';
import type { HubPlace } from '../address.ts';

/** The number that a client gave as text; refuses what is no partition of the topic. */
export function partitionNumber(topic: TopicEntry, given: string): number {
  const part = /^\d{1,5}$/.test(given) ? Number(given) : -1;
  if (part >= 0 && part < topic.partitions) return part;
  const range = `between 0 and ${topic.partitions - 1}`;
  const words = `The specified partition is invalid for an EventHub partition sender or receiver. It should be ${range}.`;
  throw new Refusal('bad_request', words, { condition: 'com.microsoft:argument-out-of-range' });
}

const GROUP = /^[\p{L}\p{N}$_][\p{L}\p{N}$._-]{0,49}$/u;

/** Any name of this form will do: a group has no state here, clients keep their own places. */
export function checkGroup(topic: TopicEntry, group: string): void {
  if (GROUP.test(group)) return;
  const words = `The messaging entity 'carillon:eventhub:${topic.name}~0|${group.slice(0, 60)}' could not be found.`;
  throw new Refusal('not_found', words, { condition: 'amqp:not-found' });
}

/** What the address of a sender says of its messages: the partition, or a publisher, whose name is their key. */
export function placer(
  topic: TopicEntry,
  hub: HubPlace | undefined,
): ((message: OutgoingMessage) => OutgoingMessage) | undefined {
  if (hub?.publisher !== undefined) {
    const { publisher } = hub;
    return (message) => (message.partitionKey === undefined ? { ...message, partitionKey: publisher } : message);
  }
  if (hub?.partition === undefined) return undefined;
  const intoPartition = partitionNumber(topic, hub.partition);
  return (message) => ({ ...message, intoPartition });
}
