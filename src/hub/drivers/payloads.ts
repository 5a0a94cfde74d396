// One notice as each platform's own payload. Templates and native sends bring their payload along; this is for notices that a notification
// wrote as a neutral card. Texts are shortened to what the platform takes, never the structure.

import type { Card } from '../../kit/card.ts';
import type { Platform } from './driver.ts';

export type NoticeContent = {
  /** What the app fetches by, and what collapses. */
  readonly noticeId: string;
  readonly card: Card;
  readonly category?: string | undefined;
  readonly urgency?: 'low' | 'normal' | 'high' | undefined;
  /** How many unread notices the person has. */
  readonly badge?: number | undefined;
  /** Apple's words; default by urgency. `critical` needs an entitlement. */
  readonly interruption?: 'passive' | 'active' | 'time-sensitive' | 'critical' | undefined;
};

export type PlatformPayload = { readonly payload: string; readonly headers: Readonly<Record<string, string>> };

export const payloads: Readonly<Record<Platform, (content: NoticeContent) => PlatformPayload>> = {
  apns: apnsPayload,
  fcmv1: fcmPayload,
  wns: wnsPayload,
  browser: webPushPayload,
};

/**
 * Nothing of what it is about leaves the house: the push says only that something waits, and under which id the app
 * fetches it with authorisation.
 */
export function confidential(
  { category: _, card: __, ...rest }: NoticeContent,
  title = 'You have a new message',
): NoticeContent {
  return { ...rest, card: { title } };
}

export function apnsPayload(content: NoticeContent): PlatformPayload {
  const { card, category, badge, urgency } = content;
  const level =
    content.interruption ?? (urgency === 'high' ? 'time-sensitive' : urgency === 'low' ? 'passive' : 'active');
  const write = (body: string | undefined): string =>
    JSON.stringify({
      aps: {
        alert: { title: card.title, ...(body === undefined ? {} : { body }) },
        ...(level === 'passive' ? {} : { sound: 'default' }),
        ...(badge === undefined ? {} : { badge }),
        ...(category === undefined ? {} : { category, 'thread-id': category }),
        'interruption-level': level,
      },
      ...pointers(content),
    });
  return { payload: shortened(write, card.body, 4096), headers: { 'apns-push-type': 'alert' } };
}

export function fcmPayload(content: NoticeContent): PlatformPayload {
  const { card, category } = content;
  const link = card.link?.url;
  const write = (body: string | undefined): string =>
    JSON.stringify({
      message: {
        notification: { title: card.title, ...(body === undefined ? {} : { body }) },
        data: { ...pointers(content), ...(category === undefined ? {} : { category }) },
        ...(link?.startsWith('https:') ? { webpush: { fcm_options: { link } } } : {}),
      },
    });
  return { payload: shortened(write, card.body, 4000), headers: {} };
}

export function wnsPayload(content: NoticeContent): PlatformPayload {
  const { card, noticeId } = content;
  const launch = card.link?.url ?? noticeId;
  const write = (body: string | undefined): string => {
    const texts = [card.title, body].filter((text) => text !== undefined).map((text) => `<text>${xml(text)}</text>`);
    return `<toast launch="${xml(launch)}"><visual><binding template="ToastGeneric">${texts.join('')}</binding></visual></toast>`;
  };
  return { payload: shortened(write, card.body, 5000), headers: { 'X-WNS-Type': 'wns/toast' } };
}

/** What `/me`'s service worker reads. */
export function webPushPayload(content: NoticeContent): PlatformPayload {
  const { card, category, badge } = content;
  const write = (body: string | undefined): string =>
    JSON.stringify({
      title: card.title,
      ...(body === undefined ? {} : { body }),
      ...pointers(content),
      ...(category === undefined ? {} : { category }),
      ...(badge === undefined ? {} : { badge }),
    });
  return { payload: shortened(write, card.body, 3993), headers: {} };
}

function pointers({ noticeId, card }: NoticeContent): Readonly<Record<string, string>> {
  return { notice: noticeId, ...(card.link === undefined ? {} : { link: card.link.url }) };
}

/** Shortens the body until the whole fits `most` bytes; characters cost one to six bytes each in JSON, so it halves its way down. */
function shortened(write: (body: string | undefined) => string, body: string | undefined, most: number): string {
  const whole = write(body);
  if (body === undefined || Buffer.byteLength(whole) <= most) return whole;
  const letters = Array.from(body);
  let fits = 0;
  let tooLong = letters.length;
  while (tooLong - fits > 1) {
    const middle = (fits + tooLong) >> 1;
    if (Buffer.byteLength(write(cut(letters, middle))) <= most) fits = middle;
    else tooLong = middle;
  }
  return write(fits === 0 ? undefined : cut(letters, fits));
}

function cut(letters: readonly string[], length: number): string {
  return `${letters.slice(0, length).join('').trimEnd()}…`;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

const forbiddenInXml = /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;

/** Escaped for text and attributes; what XML 1.0 cannot say at all is left out. */
export function xml(text: string): string {
  return text.replace(forbiddenInXml, '').replace(/[&<>"']/g, (character) => entities[character]!);
}
