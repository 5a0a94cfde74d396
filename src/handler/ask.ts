// The question that a card with actions asks, as the handler opens it: what its notification says about answers, and what
// the message of the event said. Which earlier questions an event makes void is known per event, whoever is told of it.
import type { Ask, Terms } from '../assistant/decisions/question.ts';
import type { Replacement } from '../assistant/decisions/withdraw.ts';
import type { CloudEvent } from '../events/cloudevent.ts';
import type { Notice } from '../inbox/notice.ts';
import type { Card } from '../kit/card.ts';
import type { Matched } from './match.ts';
import type { Defined } from './notification.ts';

const LONGEST = 200;

/** Undefined for a card that asks nothing. Throws when the definition does, or returns what it must not. */
export function termsOf({ answers = {} }: Defined, event: CloudEvent, card: Card): Terms | undefined {
  if (!card.actions?.length) return undefined;
  return {
    replyTo: answers.replyTo,
    expiresAt: dateOf(answers.expiresAt?.(event)),
    requester: textOf(answers.requester?.(event), 'requester'),
    key: textOf(answers.key?.(event), 'key'),
    each: answers.by === 'each',
  };
}

export function askOf({ message }: Matched, notice: Notice, terms: Terms): Ask {
  const { id: noticeId, recipientId, topic, partition, sequence, eventId, notification, createdAt } = notice;
  const { messageId, correlationId, replyTo, replyToSessionId } = message;
  const request = { messageId, correlationId, replyTo, replyToSessionId };
  return { noticeId, recipientId, topic, partition, sequence, eventId, notification, createdAt, request, ...terms };
}

/** Undefined where the notification has no key. Throws as `termsOf` does. */
export function replacementOf({ message, event }: Matched, { answers }: Defined): Replacement | undefined {
  const key = textOf(answers?.key?.(event), 'key');
  if (key === undefined) return undefined;
  const { topic, partition, sequence } = message;
  return { topic, partition, sequence, key };
}

function textOf(given: unknown, field: string): string | undefined {
  if (given === undefined) return undefined;
  if (typeof given === 'string' && given !== '' && given.length <= LONGEST) return given;
  throw new Error(`answers.${field} must be text of 1 to ${LONGEST} characters, or undefined`);
}

function dateOf(given: Date | string | undefined): Date | undefined {
  if (given === undefined) return undefined;
  const date = new Date(given);
  if (Number.isNaN(date.getTime())) throw new Error('answers.expiresAt must be a date');
  return date;
}
