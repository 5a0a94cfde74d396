// Operations on messages: looking, scheduling, taking deferred ones, deleting many.
import { Refusal } from '../../../kit/refusal.ts';
import type { OutgoingMessage } from '../../../topics/message.ts';
import type { Receiver } from '../../../topics/receive/receiver.ts';
import type { Peeked } from '../../../topics/receive/seat.ts';
import * as to from '../amqp/encode.ts';
import { toOutgoing } from '../amqp/incoming.ts';
import { toWire } from '../amqp/outgoing.ts';
import { isPartitioned } from '../entity-records.ts';
import { checkSessions, tooLarge } from '../publish-link.ts';
import { type ManagementContext, type Operation, type Result, receiverFor } from './answer.ts';
import { Fields, wrong } from './fields.ts';
import { longs, messageList, OK } from './reply.ts';

export const messages = {
  'peek-message': { right: 'Listen', run: peek },
  'schedule-message': { right: 'Send', run: schedule },
  'cancel-scheduled-message': { right: 'Send', run: cancel },
  'receive-by-sequence-number': { right: 'Listen', run: receiveDeferred },
  'batch-delete-messages': { right: 'Listen', run: batchDelete },
} as const satisfies Record<string, Operation>;

const MOST_AT_ONCE = 250;

async function peek({ broker, entity, records }: ManagementContext, body: Fields): Promise<Result> {
  const max = Math.min(body.count('message-count', 1, 1), MOST_AT_ONCE);
  const from = Math.max(body.whole('from-sequence-number', 0), 0);
  const found = await peekIn(broker.receiver(entity().path), { from, max }, body.text('session-id'));
  if (found.length === 0) return { status: 204 };
  const omitBody = body.flag('omit-message-body');
  const partitioned = await isPartitioned(records, entity().topic);
  const all = found.map(({ message, state }) => ({ message: toWire({ ...message, state }, omitBody, partitioned) }));
  return { status: 200, body: messageList(all) };
}

/** A session's messages lie between those of others: look on until there are enough. */
async function peekIn(
  receiver: Receiver,
  { from, max }: { readonly from: number; readonly max: number },
  session: string | undefined,
): Promise<Peeked[]> {
  if (session === undefined) return receiver.peek({ from, max });
  const found: Peeked[] = [];
  for (let at = from; found.length < max; ) {
    const page = await receiver.peek({ from: at, max: MOST_AT_ONCE });
    if (page.length === 0) break;
    found.push(...page.filter(({ message }) => message.sessionId === session));
    at = page.at(-1)!.message.sequence + 1;
  }
  return found.slice(0, max);
}

async function schedule({ broker, entity }: ManagementContext, body: Fields): Promise<Result> {
  const { topic, subscription } = entity();
  const limit = topic.settings.maxMessageBytes;
  const given = body.list('messages').map((item) => toScheduled(new Fields(item), limit));
  checkSessions(given, topic.kind === 'queue' && subscription?.settings.requiresSession === true);
  const sequences = (await broker.publish(topic.name, given)).map(({ sequence }) => sequence);
  return { status: 200, body: to.map([to.string('sequence-numbers'), longs(sequences)]) };
}

function toScheduled(item: Fields, limit: number): OutgoingMessage & { readonly scheduledAt: Date } {
  const encoded = item.bytes('message');
  if (!encoded) throw wrong('message', 'given');
  if (encoded.length > limit) throw tooLarge(limit);
  const message = toOutgoing(encoded);
  const { scheduledAt } = message;
  if (!scheduledAt) throw wrong('x-opt-scheduled-enqueue-time', 'an annotation of the message');
  return { ...message, scheduledAt };
}

async function cancel({ broker, entity }: ManagementContext, body: Fields): Promise<Result> {
  await broker.cancelScheduled(entity().topic.name, body.sequences('sequence-numbers'));
  return OK;
}

const RECEIVE_AND_DELETE = 0;

async function receiveDeferred(context: ManagementContext, body: Fields): Promise<Result> {
  const sequences = body.sequences('sequence-numbers');
  const destructive = body.whole('receiver-settle-mode', 1) === RECEIVE_AND_DELETE;
  const receiver = receiverFor(context, body);
  const received = await receiver.receiveDeferred(sequences);
  if (destructive) await receiver.complete(received);
  const partitioned = await isPartitioned(context.records, context.entity().topic);
  const all = received.map((message) => ({
    message: toWire({ ...message, state: 'deferred' }, false, partitioned),
    lockToken: message.lockToken,
  }));
  return { status: 200, body: messageList(all) };
}

const MOST_DELETED = 4000;

/** With a session named: the messages of that session alone, whose lock a link of the connection has to hold. */
async function batchDelete(context: ManagementContext, body: Fields): Promise<Result> {
  const limit = Math.min(body.count('message-count', MOST_DELETED, 1), MOST_DELETED);
  const { path, subscription, dead } = context.entity();
  if (subscription?.settings.requiresSession && !dead && body.text('session-id') === undefined)
    throw new Refusal('conflict', `'${path}' requires sessions: name the session whose messages are to be deleted.`);
  const before = body.date('enqueued-time-utc') ?? new Date();
  const count = await receiverFor(context, body).deleteMessages(limit, before);
  if (count === 0) return { status: 204, condition: 'com.microsoft:message-not-found' };
  return { status: 200, body: to.map([to.string('message-count'), to.int(count)]) };
}
