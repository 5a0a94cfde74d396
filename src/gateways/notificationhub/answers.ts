// How the hub's door answers: its XML errors and outcomes. The order of members matters to .NET, which drops what comes
// out of order.

import { randomUUID } from 'node:crypto';
import type { Platform } from '../../hub/drivers/driver.ts';
import type { Pushed } from '../../hub/push.ts';
import type { OutcomeCounts, Send } from '../../hub/sends.ts';
import { Refusal, refusals } from '../../kit/refusal.ts';
import { tag, textTag } from '../../kit/xml.ts';

export const connectNamespace =
  'xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"';

/** What the door itself says no to. */
export class DoorError extends Error {
  override readonly name = 'DoorError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Undefined for what is our own bug. */
export function statusOf(error: unknown): number | undefined {
  if (error instanceof DoorError) return error.status;
  if (error instanceof Refusal) return refusals[error.code].status;
  const given = (error as { statusCode?: unknown } | null)?.statusCode;
  return typeof given === 'number' && given < 500 ? given : undefined;
}

export function errorXml(status: number, detail: string, trackingId: string): string {
  const text = `${detail}.TrackingId:${trackingId},TimeStamp:${new Date().toISOString()}`;
  return tag('Error', textTag('Code', status) + textTag('Detail', text));
}

export function newTrackingId(): string {
  return randomUUID();
}

export const formats: Readonly<Record<Platform, string>> = {
  apns: 'apple',
  fcmv1: 'fcmv1',
  wns: 'windows',
  browser: 'browser',
};

/** The answer to a test send. */
export function outcomeXml(pushed: readonly Pushed[]): string {
  const results = pushed.map(({ aim, outcome }) =>
    tag(
      'RegistrationResult',
      textTag('ApplicationPlatform', formats[aim.platform]) +
        textTag('PnsHandle', aim.handle) +
        textTag('RegistrationId', aim.deviceId ?? '') +
        textTag('Outcome', outcome),
    ),
  );
  const good = pushed.filter(({ outcome }) => outcome === 'Success').length;
  const counts = textTag('Success', good) + textTag('Failure', pushed.length - good);
  return tag('NotificationOutcome', counts + tag('Results', results.join('')), connectNamespace);
}

/** Telemetry of a send. */
export function detailsXml(send: Send, origin: string): string {
  const { message, tags } = send.job;
  const suffix = message.kind === 'template' ? 'template' : '';
  const platforms = Object.keys(send.outcomes).map((platform) => formats[platform as Platform] + suffix);
  const body = message.kind === 'native' ? message.body : JSON.stringify(message.properties);
  const parts = [
    textTag('NotificationId', send.id),
    textTag(
      'Location',
      `sb${origin.slice('https'.length)}/${encodeURIComponent(send.hub)}/messages/${send.id}?api-version=2020-06`,
    ),
    textTag('State', send.state),
    textTag('EnqueueTime', send.enqueuedAt.toISOString()),
    textTag('StartTime', send.startedAt?.toISOString()),
    textTag('EndTime', send.endedAt?.toISOString()),
    textTag('NotificationBody', body),
    textTag('Tags', tags),
    textTag('TargetPlatforms', platforms.length === 0 ? undefined : platforms.join(',')),
    countsXml('ApnsOutcomeCounts', send.outcomes.apns),
    countsXml('WnsOutcomeCounts', send.outcomes.wns),
    countsXml('FcmV1OutcomeCounts', send.outcomes.fcmv1),
    countsXml('BrowserOutcomeCounts', send.outcomes.browser),
  ];
  return tag('NotificationDetails', parts.join(''), connectNamespace);
}

function countsXml(name: string, counts: OutcomeCounts[Platform]): string {
  if (counts === undefined) return '';
  const outcomes = Object.entries(counts).map(([outcome, count]) =>
    tag('Outcome', textTag('Name', outcome) + textTag('Count', count)),
  );
  return tag(name, outcomes.join(''));
}
