// What a description sets: its fields as settings of the broker. Fields that it leaves out stay as they are.
import { Refusal } from '../../../kit/refusal.ts';
import { childText, type Element } from '../../../kit/xml.ts';
import type { EntityStatus, SubscriptionSettings, TopicSettings } from '../../../topics/entities/settings.ts';
import { STATUSES } from './description.ts';
import { parseDuration } from './duration.ts';

/** The settings of a topic, or of the topic part of a queue. */
export function readTopicSettings(description: Element): Partial<TopicSettings> {
  const given = new Given(description);
  const kilobytes = given.number('MaxMessageSizeInKilobytes');
  return withoutUndefined({
    defaultTimeToLiveMs: given.duration('DefaultMessageTimeToLive'),
    autoDeleteOnIdleMs: given.duration('AutoDeleteOnIdle'),
    duplicateDetection: given.flag('RequiresDuplicateDetection'),
    duplicateDetectionWindowMs: given.limited('DuplicateDetectionHistoryTimeWindow'),
    maxMessageBytes: kilobytes === undefined ? undefined : kilobytes * 1024,
    status: given.status(),
    userMetadata: given.text('UserMetadata'),
  });
}

/** The settings of a subscription, or of the receiving side of a queue, whose other settings are its topic's. */
export function readSubscriptionSettings(description: Element, isQueue: boolean): Partial<SubscriptionSettings> {
  const given = new Given(description);
  const receiving = {
    lockDurationMs: given.limited('LockDuration'),
    requiresSession: given.flag('RequiresSession'),
    deadLetterOnExpiry: given.flag('DeadLetteringOnMessageExpiration'),
    deadLetterOnFilterError: given.flag('DeadLetteringOnFilterEvaluationExceptions'),
    maxDeliveryCount: given.number('MaxDeliveryCount'),
    ...readForwarding(description),
  };
  if (isQueue) return withoutUndefined(receiving);
  return withoutUndefined({
    ...receiving,
    defaultTimeToLiveMs: given.duration('DefaultMessageTimeToLive'),
    autoDeleteOnIdleMs: given.duration('AutoDeleteOnIdle'),
    status: given.status(),
    userMetadata: given.text('UserMetadata'),
  });
}

/** Where messages and dead letters go on to; absent means nowhere. */
export function readForwarding(description: Element): {
  readonly forwardTo: string | null;
  readonly forwardDeadLettersTo: string | null;
} {
  return {
    forwardTo: entityName(childText(description, 'ForwardTo')),
    forwardDeadLettersTo: entityName(childText(description, 'ForwardDeadLetteredMessagesTo')),
  };
}

/** Forwarding is given as a URI, or as a bare name. */
function entityName(uri: string | undefined): string | null {
  if (uri === undefined) return null;
  const name = uri.replace(/^[a-z]+:\/\/[^/]*\//i, '').replace(/\/+$/, '');
  return name === '' ? null : name;
}

/** The fields that are there, by kind. */
class Given {
  readonly #description: Element;

  constructor(description: Element) {
    this.#description = description;
  }

  text(name: string): string | undefined {
    return childText(this.#description, name);
  }

  duration(name: string): number | null | undefined {
    const value = this.text(name);
    return value === undefined ? undefined : parseDuration(value, name);
  }

  limited(name: string): number | undefined {
    const ms = this.duration(name);
    if (ms === null) throw new Refusal('bad_request', `The value of '${name}' is too long.`);
    return ms;
  }

  number(name: string): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (!/^\d{1,15}$/.test(value)) throw new Refusal('bad_request', `The value of '${name}' is no whole number.`);
    return Number(value);
  }

  flag(name: string): boolean | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (!['true', 'false', '1', '0'].includes(value))
      throw new Refusal('bad_request', `The value of '${name}' is neither true nor false.`);
    return value === 'true' || value === '1';
  }

  status(): EntityStatus | undefined {
    const value = this.text('Status');
    if (value === undefined) return undefined;
    const status = Object.hasOwn(STATUSES, value) ? STATUSES[value] : undefined;
    if (!status) throw new Refusal('bad_request', `The status '${value.slice(0, 50)}' is not known.`);
    return status;
  }
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function withoutUndefined<T extends object>(fields: T): Defined<T> {
  // Leaving entries out changes no type but that of the keys, which become optional.
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<T>;
}
