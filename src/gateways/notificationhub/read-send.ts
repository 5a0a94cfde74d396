// A send as the clients write it: the platform in one header, the tags in another, the platform's own headers beside them.

import type { IncomingHttpHeaders } from 'node:http';
import type { Message } from '../../hub/aims.ts';
import type { Platform } from '../../hub/drivers/driver.ts';
import type { PushChannel } from '../../hub/installation.ts';
import type { SendLimits } from '../../hub/sends.ts';
import { parseTagExpression, type TagLimits } from '../../hub/tags.ts';
import { DoorError, formats } from './answers.ts';
import { readJson } from './read-json.ts';

/** Of Windows, whose addresses are the longest, with what a list writes around them. */
const bytesOfAddress = 1_100;
/** Installations and registrations with their templates. */
const leastBodyBytes = 512 * 1024;

/** Of a whole request: a batch carries a list of addresses beside its notification. */
export function mostBodyBytes({ notificationBytes, batchAddresses }: SendLimits): number {
  return Math.max(leastBodyBytes, notificationBytes + batchAddresses * bytesOfAddress);
}

/** Throws DoorError 400 for what cannot be pushed. */
export function readMessage(headers: IncomingHttpHeaders, body: string, limits: SendLimits): Message {
  if (Buffer.byteLength(body) > limits.notificationBytes)
    throw new DoorError(413, `A notification has at most ${limits.notificationBytes} bytes.`);
  const format = text(headers, 'servicebusnotification-format')?.toLowerCase();
  if (format === undefined) throw new DoorError(400, 'The header ServiceBusNotification-Format is missing.');
  if (format === 'template') return { kind: 'template', properties: readProperties(body) };
  const [platform] = Object.entries(formats).find(([, name]) => name === format) ?? [];
  if (platform === undefined) throw new DoorError(400, `This hub does not push in the format "${format}".`);
  // .NET prefixes a declaration that claims UTF-16, though the bytes are not.
  const plain = platform === 'wns' ? body.replace(/^\ufeff?\s*<\?xml[^>]*\?>\s*/, '') : body;
  if (plain === '') throw new DoorError(400, 'The notification has no body.');
  // An entry of formats.
  return { kind: 'native', platform: platform as Platform, body: plain, headers: passedOn(headers) };
}

/** Undefined: to everybody. The expression is checked; an empty one is refused, because nobody means everybody by it. */
export function readTags(
  headers: IncomingHttpHeaders,
  limits: TagLimits,
  { isTest }: { readonly isTest: boolean },
): string | undefined {
  const tags = headers['servicebusnotification-tags'];
  // What JavaScript's client writes for a test send to everybody.
  if (typeof tags !== 'string' || (isTest && tags === 'undefined')) return undefined;
  if (tags.trim() === '')
    throw new DoorError(400, 'ServiceBusNotification-Tags is empty; leave the header out to send to everybody.');
  parseTagExpression(tags, limits);
  return tags;
}

/** The address of a direct send. */
export function readHandle(headers: IncomingHttpHeaders, message: Message): PushChannel {
  const handle = text(headers, 'servicebusnotification-devicehandle');
  if (handle === undefined) throw new DoorError(400, 'The header ServiceBusNotification-DeviceHandle is missing.');
  if (message.kind !== 'native' || message.platform !== 'browser') return handle;
  const [auth, p256dh] = [text(headers, 'auth'), text(headers, 'p256dh')];
  if (auth === undefined || p256dh === undefined)
    throw new DoorError(400, 'A send to a browser needs the headers Auth and P256DH.');
  return { endpoint: handle, auth, p256dh };
}

/** The two parts of a batch; clients differ in blanks around the boundary and in the last line break. */
export function readBatch(
  contentType: string,
  body: string,
  limits: SendLimits,
): { readonly notification: string; readonly addresses: readonly string[] } {
  const boundary = /boundary\s*=\s*"?([^";]+)"?/i.exec(contentType)?.[1];
  if (boundary === undefined) throw new DoorError(400, 'A batch is multipart/mixed with a boundary.');
  const parts = new Map<string, string>();
  for (const part of body.split(`--${boundary.trim()}`)) {
    const found = /^\r?\n([\s\S]*?)\r?\n\r?\n([\s\S]*?)(?:\r?\n)?$/.exec(part);
    const name = found && /name\s*=\s*"?(\w+)/i.exec(found[1]!)?.[1];
    if (name) parts.set(name.toLowerCase(), found[2]!);
  }
  const [notification, devices] = [parts.get('notification'), parts.get('devices')];
  if (notification === undefined || devices === undefined)
    throw new DoorError(400, 'A batch has two parts: notification and devices.');
  return { notification, addresses: readAddresses(devices, limits.batchAddresses) };
}

function readAddresses(text: string, most: number): string[] {
  const given = readJson(text, 'The list of devices of the batch');
  if (!Array.isArray(given) || !given.every((each) => typeof each === 'string'))
    throw new DoorError(400, 'The devices of a batch are a list of texts.');
  if (given.length === 0) throw new DoorError(400, 'The batch names no device.');
  if (given.length > most) throw new DoorError(400, `A batch has at most ${most} devices.`);
  return given as string[]; // checked in the lines before
}

/** A time without a zone is in UTC. */
export function readSchedule(headers: IncomingHttpHeaders): Date {
  const given = text(headers, 'servicebusnotification-scheduletime');
  if (given === undefined) throw new DoorError(400, 'The header ServiceBusNotification-ScheduleTime is missing.');
  const time = new Date(/(Z|[+-]\d\d:?\d\d)$/i.test(given) ? given : `${given}Z`);
  if (Number.isNaN(time.getTime())) throw new DoorError(400, 'ServiceBusNotification-ScheduleTime is no time.');
  return time;
}

function readProperties(body: string): Record<string, unknown> {
  const value = readJson(body, 'The body of a template send');
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new DoorError(400, 'The properties of a template send are a flat JSON object.');
  return value as Record<string, unknown>; // checked in the line before
}

/** The headers that the push services know, and the vendor's own names for two of Apple's. */
function passedOn(headers: IncomingHttpHeaders): Record<string, string> {
  const known = Object.keys(headers).filter(
    (name) => /^(apns-|x-wns-)/.test(name) || ['ttl', 'urgency', 'topic'].includes(name),
  );
  const given = Object.fromEntries(known.map((name) => [name, text(headers, name)!]));
  const [priority, expiry] = ['x-apns-priority', 'servicebusnotification-apns-expiry'].map((name) =>
    text(headers, name),
  );
  return {
    ...(priority === undefined ? {} : { 'apns-priority': priority }),
    ...(expiry === undefined ? {} : { 'apns-expiration': String(readExpiry(expiry)) }),
    ...given,
  };
}

/** In seconds since 1970. .NET writes `11/22/2026 10:00:00`, in UTC. */
function readExpiry(given: string): number {
  const american = /^(\d{1,2})\/(\d{1,2})\/(\d{4}) (\d{2}:\d{2}:\d{2})$/.exec(given);
  const iso =
    american === null
      ? given
      : `${american[3]}-${american[1]!.padStart(2, '0')}-${american[2]!.padStart(2, '0')}T${american[4]}`;
  const time = Date.parse(/(Z|[+-]\d\d:?\d\d)$/i.test(iso) ? iso : `${iso}Z`);
  if (Number.isNaN(time)) throw new DoorError(400, 'ServiceBusNotification-Apns-Expiry is no time.');
  return Math.floor(time / 1000);
}

function text(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
