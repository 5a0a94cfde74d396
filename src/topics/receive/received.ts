// A message in the hands of a consumer, with the lock under which it was handed out.
import type { Message } from '../message.ts';
import { formatToken, parseToken, type Token } from './token.ts';

const LOCK = Symbol('lock');

/** A message with its lock. */
export type Received = Message & {
  /** A UUID. */
  readonly lockToken: string;
  /** Absent when it was received and deleted. */
  readonly lockedUntil: Date | undefined;
  readonly [LOCK]?: Token;
};

/**
 * Every field is copied by name: a spread of so many takes 2 us, which is a fifth of what handing a message out costs.
 * The text of the token is made when it is asked for: whoever settles by the message never needs it.
 */
class Delivered {
  constructor(message: Message, lock: Token, lockedUntil: Date | undefined) {
    const own = this as unknown as { -readonly [K in keyof Received]?: Received[K] };
    own.messageId = message.messageId;
    own.sessionId = message.sessionId;
    own.partitionKey = message.partitionKey;
    own.correlationId = message.correlationId;
    own.replyTo = message.replyTo;
    own.replyToSessionId = message.replyToSessionId;
    own.to = message.to;
    own.subject = message.subject;
    own.contentType = message.contentType;
    own.timeToLiveMs = message.timeToLiveMs;
    own.scheduledAt = message.scheduledAt;
    own.properties = message.properties;
    own.body = message.body;
    own.bodyFormat = message.bodyFormat;
    own.topic = message.topic;
    own.partition = message.partition;
    own.sequence = message.sequence;
    own.enqueuedAt = message.enqueuedAt;
    own.expiresAt = message.expiresAt;
    own.deliveryCount = message.deliveryCount;
    own.hops = message.hops;
    own.originalSequence = message.originalSequence;
    own.filterFault = message.filterFault;
    own.deadLetterSource = message.deadLetterSource;
    own.deadLetterReason = message.deadLetterReason;
    own.deadLetterDescription = message.deadLetterDescription;
    own.lockedUntil = lockedUntil;
    own[LOCK] = lock;
  }

  get lockToken(): string {
    return formatToken((this as unknown as { readonly [LOCK]: Token })[LOCK]);
  }
}

/** What names a locked message: the message itself or its token. */
export type Locked = Received | string;

export function delivered(message: Message, lock: Token, lockedUntil: Date | undefined): Received {
  return new Delivered(message, lock, lockedUntil) as Received;
}

/** Undefined for a text that is no token of ours. */
export function tokenOf(message: Locked): Token | undefined {
  if (typeof message === 'string') return parseToken(message);
  return message[LOCK] ?? parseToken(message.lockToken);
}
