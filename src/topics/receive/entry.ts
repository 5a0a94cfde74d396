// A message in the hands of its owner: waiting for a consumer, or locked by one.
import type { Message } from '../message.ts';

/** Where the message's durable form is: in the log, or in a held row of that state. */
export type Home = 'log' | 'retry' | 'deferred' | 'dead' | 'transfer';

export type Entry = {
  message: Message;
  readonly sequence: number;
  home: Home;
  deliveryCount: number;
  state: 'locked' | 'ready' | 'settling' | 'done';
  /** On the steady clock; Infinity for consumers inside the process, which need no clock. */
  lockedUntil: number;
  /** Which lock this is: an older lock of the same message has another number. */
  attempt: number;
  /** Milliseconds since 1970, Infinity for never. A locked message does not expire. */
  readonly expiresAt: number;
};

export function newEntry(message: Message, home: Home, deliveryCount: number, expiresAt: number): Entry {
  const { sequence } = message;
  return { message, sequence, home, deliveryCount, state: 'ready', lockedUntil: 0, attempt: 0, expiresAt };
}

/** The message as a consumer sees it: with this subscription's delivery count. */
export function messageOf(entry: Entry): Message {
  const { message, deliveryCount } = entry;
  return message.deliveryCount === deliveryCount ? message : { ...message, deliveryCount };
}
