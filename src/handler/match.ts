// First step of the handler, pure: which notifications does a message ask for, and whom do they concern?
import type { CloudEvent } from '../events/cloudevent.ts';
import { fromMessage } from '../events/to-message.ts';
import { type Named, parseAudience } from '../people/audience.ts';
import { FilterFault } from '../topics/filter/fault.ts';
import type { Lookup } from '../topics/filter/lookup.ts';
import type { Message } from '../topics/message.ts';
import { lookupOfEvent } from './event-lookup.ts';
import type { Defined, Definitions } from './notification.ts';

/** One notification that an event asks for. */
export type Wish = { readonly definition: Defined; readonly audience: Named };

/** Where an event stands in the log. */
export type Origin = Pick<
  Message,
  'topic' | 'partition' | 'sequence' | 'messageId' | 'correlationId' | 'replyTo' | 'replyToSessionId'
>;

export type Matched = {
  readonly kind: 'matched';
  readonly message: Origin;
  readonly event: CloudEvent;
  readonly lookup: Lookup;
  readonly wishes: readonly Wish[];
  /** Conditions that had no result on this event, in words. */
  readonly faults: readonly string[];
};

/** An event that is dead-lettered: the message is no event, or a definition failed on it. */
export type Refused = {
  readonly kind: 'refused';
  readonly message: Origin;
  /** The id of the event; of the message where it is no event. */
  readonly eventId: string;
  readonly reason: 'EventUnreadable' | 'NotificationFailed' | 'EventNotStorable';
  readonly description: string;
  readonly notification: string | undefined;
};

export function matchMessage(message: Message, definitions: Definitions): Matched | Refused {
  const read = fromMessage(message);
  if (read.kind === 'unreadable') {
    const about = { message, eventId: message.messageId, notification: undefined };
    return { kind: 'refused', ...about, reason: 'EventUnreadable', description: read.cause };
  }
  const { event } = read;
  const lookup = lookupOfEvent(event);
  const wishes: Wish[] = [];
  const faults: string[] = [];
  for (const definition of definitions.byTopic.get(message.topic.toLowerCase()) ?? []) {
    const result = definition.condition === undefined || definition.condition.test(lookup);
    if (result instanceof FilterFault)
      faults.push(`${definition.name}: the condition has no result (${result.message})`);
    if (result !== true) continue;
    const audience = attempt(() => parseAudience(definition.audience(event)));
    if (audience instanceof Failure) return refused({ message, event }, definition.name, 'audience', audience);
    wishes.push({ definition, audience });
  }
  return { kind: 'matched', message, event, lookup, wishes, faults };
}

/** What a definition threw, as a value. */
export class Failure {
  readonly words: string;

  constructor(thrown: unknown) {
    this.words = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  }
}

/** Runs code of a definition: what it throws is about this event, not about us. */
export function attempt<T>(work: () => T): T | Failure {
  try {
    return work();
  } catch (thrown) {
    return new Failure(thrown);
  }
}

export function refused(
  { message, event }: Pick<Matched, 'message' | 'event'>,
  notification: string,
  part: 'audience' | 'content' | 'key',
  failure: Failure,
): Refused {
  const description = `The ${part} of notification ${notification} failed: ${failure.words}`;
  return { kind: 'refused', message, eventId: event.id, reason: 'NotificationFailed', description, notification };
}
