// A message as filters and actions see it.
import type { Lookup } from '../filter/lookup.ts';
import type { OutgoingMessage, PropertyValue } from '../message.ts';

type Sample = OutgoingMessage & {
  readonly messageId: string;
  readonly sequence?: number | undefined;
  readonly enqueuedAt?: Date | undefined;
};

/** System properties that are known but not set are null; those nobody knows yet are undefined. */
export function lookupOf(message: Sample): Lookup {
  let folded: Map<string, PropertyValue> | undefined;
  return (scope, name, lower) => {
    if (scope === 'sys') return systemProperty(message, name);
    const { properties } = message;
    if (!properties) return undefined;
    if (Object.hasOwn(properties, name)) return properties[name];
    folded ??= new Map(Object.entries(properties).map(([key, value]) => [key.toLowerCase(), value]));
    return folded.get(lower);
  };
}

const fields: Readonly<Record<string, (message: Sample) => PropertyValue | undefined>> = {
  MessageId: (message) => message.messageId,
  CorrelationId: (message) => message.correlationId ?? null,
  SessionId: (message) => message.sessionId ?? null,
  ReplyToSessionId: (message) => message.replyToSessionId ?? null,
  Subject: (message) => message.subject ?? null,
  ContentType: (message) => message.contentType ?? null,
  To: (message) => message.to ?? null,
  ReplyTo: (message) => message.replyTo ?? null,
  PartitionKey: (message) => message.partitionKey ?? null,
  TimeToLive: (message) => message.timeToLiveMs ?? null,
  ScheduledEnqueueTimeUtc: (message) => message.scheduledAt ?? null,
  EnqueuedTimeUtc: (message) => message.enqueuedAt,
  SequenceNumber: (message) => message.sequence,
  Size: (message) => message.body.length,
};

function systemProperty(message: Sample, name: string): PropertyValue | undefined {
  return fields[name]?.(message);
}

const texts: ReadonlyMap<string, keyof OutgoingMessage> = new Map([
  ['messageid', 'messageId'],
  ['correlationid', 'correlationId'],
  ['sessionid', 'sessionId'],
  ['replytosessionid', 'replyToSessionId'],
  ['subject', 'subject'],
  ['label', 'subject'],
  ['contenttype', 'contentType'],
  ['to', 'to'],
  ['replyto', 'replyTo'],
  ['partitionkey', 'partitionKey'],
]);

/** The field that a system property sets, by the property's name in lower case. */
export function fieldOf(folded: string): keyof OutgoingMessage | undefined {
  if (folded === 'timetolive') return 'timeToLiveMs';
  if (folded === 'scheduledenqueuetimeutc') return 'scheduledAt';
  return texts.get(folded);
}
