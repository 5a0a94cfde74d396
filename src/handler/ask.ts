// The question that a card with actions asks, as the handler opens it: what its notification says about answers, and what
// the message of the event said.
import type { Ask, Terms } from '../assistant/decisions/question.ts';
import type { CloudEvent } from '../events/cloudevent.ts';
import type { Notice } from '../inbox/notice.ts';
import type { Card } from '../kit/card.ts';
import { parseRecipientId } from '../people/recipient.ts';
import type { Matched } from './match.ts';
import type { Defined } from './notification.ts';

const MAX_KEY = 200;

/** Undefined for a card that asks nothing. Throws when the definition does, or returns what it must not. */
export function termsOf({ answers = {} }: Defined, event: CloudEvent, card: Card): Terms | undefined {
  if (!card.actions?.length) return undefined;
  const requester = answers.requester?.(event);
  const key = answers.key?.(event);
  if (key !== undefined && (typeof key !== 'string' || key === '' || key.length > MAX_KEY)) {
    throw new Error(`answers.key must be text of 1 to ${MAX_KEY} characters`);
  }
  return {
    replyTo: answers.replyTo,
    expiresAt: dateOf(answers.expiresAt?.(event)),
    requester: requester === undefined ? undefined : parseRecipientId(requester),
    key,
    each: answers.by === 'each',
  };
}

export function askOf({ message }: Matched, notice: Notice, terms: Terms): Ask {
  const { id: noticeId, recipientId, topic, partition, sequence, eventId, notification, createdAt } = notice;
  const { messageId, correlationId, replyTo, replyToSessionId } = message;
  const request = { messageId, correlationId, replyTo, replyToSessionId };
  return { noticeId, recipientId, topic, partition, sequence, eventId, notification, createdAt, request, ...terms };
}

function dateOf(given: Date | string | undefined): Date | undefined {
  if (given === undefined) return undefined;
  const date = new Date(given);
  if (Number.isNaN(date.getTime())) throw new Error('answers.expiresAt must be a date');
  return date;
}
