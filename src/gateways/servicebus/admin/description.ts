// Topics, queues and subscriptions as the administration shows them. A description is a list of fields; some are
// settings of the broker, some are kept for the client and given back as they came, the rest is told by us.

import { child, childText, type Element, tag, textTag } from '../../../kit/xml.ts';
import type { SubscriptionEntry, TopicEntry } from '../../../topics/entities/catalogue.ts';
import type { EntityStatus } from '../../../topics/entities/settings.ts';
import type { Counts } from '../../../topics/owner/counts.ts';
import type { EntityRecord } from '../entity-records.ts';
import { printRules } from './authorization-rules.ts';
import { printDuration } from './duration.ts';

/** What clients are shown as the size of an entity that has no quota. */
export const DEFAULT_MEGABYTES = '1024';

/** Fields that the broker has no use for in this form, with what they are when a client does not give them. */
const KEPT: Readonly<Record<string, string>> = {
  MaxSizeInMegabytes: DEFAULT_MEGABYTES,
  EnableBatchedOperations: 'true',
  SupportOrdering: 'true',
  EnablePartitioning: 'false',
  EnableExpress: 'false',
};

export const STATUSES: Readonly<Record<string, EntityStatus>> = {
  Active: 'active',
  Disabled: 'disabled',
  SendDisabled: 'sendDisabled',
  ReceiveDisabled: 'receiveDisabled',
};

/** The kept fields of a description, over those that were kept before. */
export function keptFields(description: Element, before: EntityRecord['fields']): Record<string, string> {
  const given = Object.keys(KEPT).map((name) => [name, childText(description, name)] as const);
  return { ...before, ...Object.fromEntries(given.filter((pair): pair is [string, string] => pair[1] !== undefined)) };
}

/** Whether the description has authorization rules, which then replace those that were there. */
export function authorizationRulesOf(description: Element): Element | undefined {
  return child(description, 'AuthorizationRules');
}

export type Described = {
  readonly topic: TopicEntry;
  readonly record: EntityRecord;
  readonly counts: AllCounts;
  readonly host: string;
};

const NAMESPACES =
  'xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"';

export function describe(name: string, fields: readonly string[]): string {
  return tag(name, fields.join(''), NAMESPACES);
}

export function printTopic({ topic, record, counts }: Described): string {
  const { settings } = topic;
  return describe('TopicDescription', [
    textTag('DefaultMessageTimeToLive', printDuration(settings.defaultTimeToLiveMs)),
    kept(record, 'MaxSizeInMegabytes'),
    textTag('RequiresDuplicateDetection', settings.duplicateDetection),
    textTag('DuplicateDetectionHistoryTimeWindow', printDuration(settings.duplicateDetectionWindowMs)),
    kept(record, 'EnableBatchedOperations'),
    textTag('SizeInBytes', counts.bytes ?? 0),
    textTag('FilteringMessagesBeforePublishing', false),
    textTag('IsAnonymousAccessible', false),
    printRules(record.rules),
    printStatus(settings.status),
    printMetadata(settings.userMetadata),
    printTimes(topic),
    kept(record, 'SupportOrdering'),
    printCounts(counts),
    textTag('SubscriptionCount', topic.subscriptions.length),
    textTag('AutoDeleteOnIdle', printDuration(settings.autoDeleteOnIdleMs)),
    kept(record, 'EnablePartitioning'),
    textTag('EntityAvailabilityStatus', 'Available'),
    textTag('EnableSubscriptionPartitioning', false),
    kept(record, 'EnableExpress'),
    textTag('MaxMessageSizeInKilobytes', Math.floor(settings.maxMessageBytes / 1024)),
  ]);
}

export function printQueue({ topic, record, counts, host }: Described): string {
  const { settings } = topic;
  const own = topic.subscriptions[0]!.settings;
  return describe('QueueDescription', [
    textTag('LockDuration', printDuration(own.lockDurationMs)),
    kept(record, 'MaxSizeInMegabytes'),
    textTag('RequiresDuplicateDetection', settings.duplicateDetection),
    textTag('RequiresSession', own.requiresSession),
    textTag('DefaultMessageTimeToLive', printDuration(settings.defaultTimeToLiveMs)),
    textTag('DeadLetteringOnMessageExpiration', own.deadLetterOnExpiry),
    textTag('DuplicateDetectionHistoryTimeWindow', printDuration(settings.duplicateDetectionWindowMs)),
    textTag('MaxDeliveryCount', own.maxDeliveryCount),
    kept(record, 'EnableBatchedOperations'),
    textTag('SizeInBytes', counts.bytes ?? 0),
    textTag('MessageCount', totalOf(counts)),
    textTag('IsAnonymousAccessible', false),
    printRules(record.rules),
    printStatus(settings.status),
    printForward('ForwardTo', own.forwardTo, host),
    printMetadata(settings.userMetadata),
    printTimes(topic),
    kept(record, 'SupportOrdering'),
    printCounts(counts),
    textTag('AutoDeleteOnIdle', printDuration(settings.autoDeleteOnIdleMs)),
    kept(record, 'EnablePartitioning'),
    printForward('ForwardDeadLetteredMessagesTo', own.forwardDeadLettersTo, host),
    textTag('EntityAvailabilityStatus', 'Available'),
    kept(record, 'EnableExpress'),
    textTag('MaxMessageSizeInKilobytes', Math.floor(settings.maxMessageBytes / 1024)),
  ]);
}

export function printSubscription(
  { settings, createdAt, updatedAt }: SubscriptionEntry,
  { record, counts, host }: Omit<Described, 'topic'>,
): string {
  return describe('SubscriptionDescription', [
    textTag('LockDuration', printDuration(settings.lockDurationMs)),
    textTag('RequiresSession', settings.requiresSession),
    textTag('DefaultMessageTimeToLive', printDuration(settings.defaultTimeToLiveMs)),
    textTag('DeadLetteringOnMessageExpiration', settings.deadLetterOnExpiry),
    textTag('DeadLetteringOnFilterEvaluationExceptions', settings.deadLetterOnFilterError),
    textTag('MessageCount', totalOf(counts)),
    textTag('MaxDeliveryCount', settings.maxDeliveryCount),
    kept(record, 'EnableBatchedOperations'),
    printStatus(settings.status),
    printForward('ForwardTo', settings.forwardTo, host),
    printTimes({ createdAt, updatedAt }),
    printMetadata(settings.userMetadata),
    printCounts(counts),
    printForward('ForwardDeadLetteredMessagesTo', settings.forwardDeadLettersTo, host),
    textTag('AutoDeleteOnIdle', printDuration(settings.autoDeleteOnIdleMs)),
    textTag('EntityAvailabilityStatus', 'Available'),
  ]);
}

function kept({ fields }: EntityRecord, name: string): string {
  return textTag(name, fields[name] ?? KEPT[name]);
}

function printStatus(status: EntityStatus): string {
  return textTag(
    'Status',
    Object.keys(STATUSES).find((name) => STATUSES[name] === status),
  );
}

function printMetadata(text: string): string {
  return text === '' ? '' : textTag('UserMetadata', text);
}

/** As the original stores it: an absolute URI, scheme and host in lower case. */
function printForward(name: string, to: string | null, host: string): string {
  return to === null ? '' : textTag(name, `sb://${host.toLowerCase()}/${to}`);
}

function printTimes({ createdAt, updatedAt }: { readonly createdAt: Date; readonly updatedAt: Date }): string {
  const [created, updated] = [createdAt.toISOString(), updatedAt.toISOString()];
  return textTag('CreatedAt', created) + textTag('UpdatedAt', updated) + textTag('AccessedAt', updated);
}

type AllCounts = Counts & { readonly scheduled?: number; readonly bytes?: number };

function totalOf(counts: AllCounts): number {
  const { active, deferred, deadLettered, scheduled = 0 } = counts;
  return active + deferred + deadLettered + scheduled;
}

/** Exactly one attribute, and children with its prefix: the JavaScript client asks for no less. */
function printCounts(counts: AllCounts): string {
  const all = {
    ActiveMessageCount: counts.active,
    DeadLetterMessageCount: counts.deadLettered,
    ScheduledMessageCount: counts.scheduled ?? 0,
    TransferMessageCount: 0,
    TransferDeadLetterMessageCount: counts.transferDeadLettered,
  };
  const fields = Object.entries(all).map(([name, count]) => textTag(`d2p1:${name}`, count));
  const namespace = 'xmlns:d2p1="http://schemas.microsoft.com/netservices/2011/06/servicebus"';
  return tag('CountDetails', fields.join(''), namespace);
}
