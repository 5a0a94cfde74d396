// A client's sender: its messages go into the log, and it is told once they are durable.
import { Refusal } from '../../kit/refusal.ts';
import type { OutgoingMessage, Receipt } from '../../topics/message.ts';
import type { Entity } from './address.ts';
import { AmqpDescribed } from './amqp/decode.ts';
import { BATCH_FORMAT, toOutgoing, unpackBatch } from './amqp/incoming.ts';
import { echoAttach, type LinkContext, type WireLink } from './amqp/link.ts';
import { hook, isOversize, stateOf } from './amqp/mend.ts';
import { releaseTransfer } from './amqp/mend-reading.ts';
import { unbox } from './amqp/rhea-internals.ts';
import type { Tell } from './errors.ts';
import { accepted, boxed, inTransaction, rejected, TRANSACTIONAL } from './outcomes.ts';
import type { Transactions } from './transactions.ts';

/** JavaScript fails after a second without credit, so it must never run dry: 2,048 sends is all it has in flight. */
const CREDIT = 2000;
const TOP_UP_AT = 500;

export type PublishDeps = {
  /** The entity as it is now; refuses if it is gone. */
  readonly entity: () => Entity;
  /** What the link's address says of every message on it. */
  readonly place?: ((message: OutgoingMessage) => OutgoingMessage) | undefined;
  readonly publish: (topic: string, messages: readonly OutgoingMessage[]) => Promise<Receipt[]>;
  readonly transactions: Transactions;
  readonly tell: Tell;
};

export function servePublishing(link: WireLink, deps: PublishDeps): void {
  const limit = deps.entity().topic.settings.maxMessageBytes;
  echoAttach(link);
  link.local.attach.max_message_size = limit;
  hook(link, { maxMessageSize: limit });
  link.on('message', (context) => {
    if (link.credit < TOP_UP_AT) link.flow(CREDIT - link.credit);
    void take(context, deps, limit);
  });
  link.flow(CREDIT);
}

async function take(context: LinkContext, deps: PublishDeps, limit: number): Promise<void> {
  const { delivery } = context;
  try {
    const transaction = transactionOf(context);
    if (isOversize(delivery) || context.message.length > limit) throw tooLarge(limit);
    const { topic, subscription } = deps.entity();
    const messages = deps.place ? readMessages(context).map(deps.place) : readMessages(context);
    checkSessions(messages, topic.kind === 'queue' && subscription?.settings.requiresSession === true);
    if (transaction) deps.transactions.publish(transaction, topic.name, messages);
    else {
      await deps.publish(topic.name, messages);
      releaseTransfer(context.message);
    }
    delivery.update(true, transaction ? boxed(inTransaction(transaction, accepted())) : ACCEPTED);
  } catch (error) {
    delivery.update(true, boxed(rejected(deps.tell(error))));
  }
}

const ACCEPTED = boxed(accepted());

function transactionOf({ delivery }: LinkContext): Buffer | undefined {
  const state = stateOf(delivery);
  const value = state ? unbox(state) : null;
  if (!(value instanceof AmqpDescribed) || value.descriptor !== TRANSACTIONAL || !Array.isArray(value.value)) return;
  return Buffer.isBuffer(value.value[0]) ? value.value[0] : undefined;
}

/** One message, or the messages of a batch: they are taken together or not at all. */
export function readMessages({ message, format }: { message: Buffer; format: number }): OutgoingMessage[] {
  return format === BATCH_FORMAT ? unpackBatch(message) : [toOutgoing(message)];
}

export function checkSessions(messages: readonly OutgoingMessage[], needed: boolean): void {
  if (!needed || messages.every(({ sessionId }) => sessionId !== undefined)) return;
  const words =
    'The SessionId was not set on a message, and it cannot be sent to the entity. Entities that have session';
  throw new Refusal('bad_request', `${words} support enabled can only receive messages that have the SessionId set.`);
}

export function tooLarge(limit: number): Refusal {
  const words = `The message is larger than the limit of ${limit} bytes currently allowed on the link.`;
  return new Refusal('too_large', words, { limit });
}
