// Reads an activity from strangers: a person's client, or an agent. What is checked is what we and others rely on; fields
// that we do not know travel on.

import type { Activity, Attachment } from '../../assistant/conversations/activity.ts';
import { isRecord } from '../../kit/record.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { Claims } from './tokens.ts';

const TYPE = /^[A-Za-z][A-Za-z0-9/._-]{0,63}$/;
const MAX_BYTES = 256 * 1024;
const MAX_ATTACHMENTS = 20;
/** A thumbnail that Web Chat puts into the activity itself. */
const MAX_THUMBNAIL = 64 * 1024;
const TEXTS = ['id', 'text', 'name', 'locale', 'replyToId', 'speak', 'inputHint', 'textFormat', 'attachmentLayout'];
/** What only the server may say. */
const OURS = [
  'id',
  'timestamp',
  'channelId',
  'conversation',
  'serviceUrl',
  'recipient',
  'membersAdded',
  'membersRemoved',
];
const FROM_USERS = ['message', 'event', 'typing', 'invoke', 'endOfConversation', 'messageReaction'];

/** A person's activity; who says it is what the token says. Refuses `activity_invalid`, `too_large`. */
export function activityOfUser(value: unknown, claims: Pick<Claims, 'user' | 'userName'>): Activity {
  const given = parse(value);
  if (!FROM_USERS.includes(given.type)) throw invalid('type', `is none of ${FROM_USERS.join(', ')}`);
  // With it a service tells an assistant to tell somebody else something: not for people.
  if (given.type === 'event' && String(given.name).toLowerCase() === 'broadcastevent')
    throw new Refusal('right_missing', 'BroadcastEvent is for services: they post it with a key, not with a token.');
  const name = claims.userName ?? nameOf(given.from);
  const kept = Object.fromEntries(Object.entries(given).filter(([field]) => !OURS.includes(field)));
  const { attachments } = given;
  return {
    ...kept,
    type: given.type,
    from: { id: claims.user, ...(name && { name }), role: 'user' },
    ...(attachments && { attachments: attachments.map(withoutBigThumbnail) }),
  };
}

/** An agent's activity; who says it is put on later. Refuses `activity_invalid`, `too_large`. */
export function activityOfAgent(value: unknown): Activity {
  const { id: _, timestamp: __, ...given } = parse(value);
  return given;
}

function parse(given: unknown): Activity {
  if (!isRecord(given)) throw invalid('', 'is not an object');
  if (typeof given.type !== 'string' || !TYPE.test(given.type)) throw invalid('type', 'is not the name of a type');
  for (const field of TEXTS)
    if (given[field] !== undefined && given[field] !== null && typeof given[field] !== 'string')
      throw invalid(field, 'is not a text');
  if (given.channelData !== undefined && given.channelData !== null && typeof given.channelData !== 'object')
    throw invalid('channelData', 'is not an object');
  checkAttachments(given.attachments);
  const size = Buffer.byteLength(JSON.stringify(given));
  if (size > MAX_BYTES)
    throw new Refusal('too_large', `The activity has ${size} bytes, and may have ${MAX_BYTES}.`, {
      maxBytes: MAX_BYTES,
    });
  // Nulls stand for what is not there.
  return Object.fromEntries(Object.entries(given).filter(([, each]) => each !== null)) as unknown as Activity;
}

function checkAttachments(value: unknown): void {
  if (value === undefined || value === null) return;
  if (!Array.isArray(value) || value.length > MAX_ATTACHMENTS)
    throw invalid('attachments', `is not a list of at most ${MAX_ATTACHMENTS}`);
  for (const [at, each] of value.entries()) {
    const { contentType, contentUrl } = (each ?? {}) as Record<string, unknown>;
    if (typeof contentType !== 'string' || contentType === '')
      throw invalid(`attachments[${at}].contentType`, 'is missing');
    if (contentUrl === undefined || contentUrl === null) continue;
    if (typeof contentUrl !== 'string' || !/^(https?:|data:(image|audio|video)\/)/i.test(contentUrl))
      throw invalid(`attachments[${at}].contentUrl`, 'is not an http(s) address');
  }
}

function withoutBigThumbnail(attachment: Attachment): Attachment {
  const { thumbnailUrl, ...rest } = attachment;
  return typeof thumbnailUrl === 'string' && thumbnailUrl.length <= MAX_THUMBNAIL ? attachment : rest;
}

function nameOf(from: unknown): string | undefined {
  const name = (from as { name?: unknown } | undefined)?.name;
  return typeof name === 'string' && name !== '' ? name.slice(0, 100) : undefined;
}

function invalid(path: string, what: string): Refusal {
  const at = path === '' ? 'it' : path;
  return new Refusal('activity_invalid', `The activity is not valid: ${at} ${what}.`, { path });
}
