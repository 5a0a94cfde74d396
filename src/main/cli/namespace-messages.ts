// Messages of a Service Bus namespace, by its official client: send, look, take, cancel, bring dead letters back.
import { randomUUID } from 'node:crypto';
import type { ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusReceiver } from '@azure/service-bus';
import { isJsonType } from '../../events/cloudevent.ts';
import { arrivals } from './arrivals.ts';
import { Refused } from './client.ts';
import { type Call, stringOption, UsageError } from './command.ts';
import { chosenMessages, MESSAGE_COLUMNS, refuseOfDeliveries } from './dead-letters.ts';
import { readEvents } from './flow.ts';
import {
  messageOfEvent,
  numberOption,
  type Place,
  placeOf,
  readPlainMessage,
  type Sendable,
  type Subqueue,
  subqueueOf,
  timeOption,
  wholeOption,
} from './message-options.ts';
import {
  listMessages,
  neededPurge,
  neededSequences,
  noneCame,
  ofSession,
  type Peeked,
  peekedWords,
  type Settling,
  settlingOf,
  type Taking,
  takingOf,
} from './messages.ts';
import type { Namespace, Run } from './namespace.ts';

export const messageRuns: Readonly<Record<string, Run>> = {
  send,
  watch,
  'message list': list,
  'message receive': receive,
  'message cancel': cancel,
  'message purge': purge,
  'dead-letter list': listDead,
  'dead-letter causes': countDead,
  'dead-letter redrive': redriveDead,
};

const MOST_AT_ONCE = 100;
/** How many dead letters are looked through for their causes. */
const MOST_LOOKED_AT = 10_000;

async function send(call: Call, namespace: Namespace): Promise<void> {
  const at = timeOption(call, 'at');
  const plain = call.options.body === undefined ? undefined : [await readPlainMessage(call)];
  const events = plain ? [] : await readEvents(call);
  const messages =
    plain ?? events.map((event) => messageOfEvent(call, event, { messageId: event.id, subject: event.type }));
  const sender = namespace.client.createSender(call.args.topic!);
  const sent = messages.map(toMessage);
  if (at === undefined) {
    await sender.sendMessages(sent);
    const value = { accepted: sent.length, events: events.map(({ id }) => ({ id })) };
    return call.out.result(value, () => (plain ? 'accepted' : events.map(({ id }) => `accepted: ${id}`).join('\n')));
  }
  const sequences = (await sender.scheduleMessages(sent, at)).map(String);
  const words = () => sequences.map((sequence) => `scheduled for ${at.toISOString()} as number ${sequence}`).join('\n');
  call.out.result({ accepted: sent.length, messages: sequences.map((sequence) => ({ sequence })) }, words);
}

/** The client library writes a text as JSON, in quotes: what is no JSON goes as its bytes. */
function toMessage({ timeToLiveMs, properties, body, bodyBase64, ...fields }: Sendable): ServiceBusMessage {
  const isText = typeof body === 'string' && !isJsonType(fields.contentType ?? '');
  const content =
    bodyBase64 === undefined ? (isText ? Buffer.from(body) : (body ?? null)) : Buffer.from(bodyBase64, 'base64');
  return {
    ...fields,
    body: content,
    // Of texts, numbers and truth values, as the options give them.
    applicationProperties: (properties ?? {}) as Record<string, string | number | boolean>,
    ...(timeToLiveMs === undefined ? {} : { timeToLive: timeToLiveMs }),
  };
}

function rowOf(message: ServiceBusReceivedMessage): Peeked {
  const { sessionId, subject, correlationId, deadLetterReason, deadLetterErrorDescription } = message;
  const { scheduledEnqueueTimeUtc: scheduledAt } = message;
  return {
    sequence: String(message.sequenceNumber),
    messageId: message.messageId,
    ...(subject === undefined ? {} : { subject }),
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(correlationId === undefined ? {} : { correlationId }),
    state: message.state,
    enqueuedAt: message.enqueuedTimeUtc?.toISOString(),
    ...(scheduledAt === undefined ? {} : { scheduledAt: scheduledAt.toISOString() }),
    deliveryCount: message.deliveryCount,
    ...(deadLetterReason === undefined ? {} : { deadLetterReason }),
    ...(deadLetterErrorDescription === undefined ? {} : { deadLetterDescription: deadLetterErrorDescription }),
    properties: message.applicationProperties,
    ...bodyOf(message.body),
  };
}

function bodyOf(body: unknown): { body?: unknown; bodyBase64?: string } {
  if (!(body instanceof Uint8Array)) return { body };
  try {
    return { body: new TextDecoder('utf-8', { fatal: true }).decode(body) };
  } catch {
    return { bodyBase64: Buffer.from(body).toString('base64') }; // no text
  }
}

const KINDS = { dead: 'deadLetter', transfer: 'transferDeadLetter' } as const;

type Mode = 'peekLock' | 'receiveAndDelete';

function receiverOf({ client }: Namespace, place: Place, of: Subqueue = 'live', receiveMode: Mode = 'peekLock') {
  const options = { receiveMode, ...(of === 'live' ? {} : { subQueueType: KINDS[of] }) };
  if ('queue' in place) return client.createReceiver(place.queue, options);
  return client.createReceiver(place.topic, place.subscription, options);
}

/** Looks without locking: those for whom the messages are do not notice. */
async function watch(call: Call, namespace: Namespace): Promise<void> {
  if (call.args.recipient !== undefined) throw new UsageError('A namespace has no recipients.');
  const receiver = receiverOf(namespace, placeOf(call));
  const limit = wholeOption(call, 'count', Number.POSITIVE_INFINITY);
  const peek = async (from: bigint, max: number) =>
    (await receiver.peekMessages(max, { fromSequenceNumber: namespace.long(from) })).map(rowOf);
  let seen = 0;
  for await (const message of arrivals(peek)) {
    for (const row of ofSession([message], stringOption(call, 'session'))) {
      call.out.item(row, () => peekedWords(row));
      if (++seen >= limit) return;
    }
  }
}

/** Up to `limit` messages from a number on: a namespace may show fewer at a time than it is asked for. */
async function* peekMany(
  { long }: Namespace,
  receiver: ServiceBusReceiver,
  limit: number,
  from = 1n,
): AsyncGenerator<ServiceBusReceivedMessage> {
  for (let at = from, left = limit; left > 0; ) {
    const page = await receiver.peekMessages(Math.min(left, MOST_AT_ONCE), { fromSequenceNumber: long(at) });
    if (page.length === 0) return;
    yield* page;
    left -= page.length;
    at = numberOf(page.at(-1)!) + 1n;
  }
}

async function rowsOf(messages: AsyncIterable<ServiceBusReceivedMessage>): Promise<Peeked[]> {
  const rows: Peeked[] = [];
  for await (const message of messages) rows.push(rowOf(message));
  return rows;
}

function numberOf({ sequenceNumber }: ServiceBusReceivedMessage): bigint {
  return BigInt(String(sequenceNumber));
}

async function list(call: Call, namespace: Namespace): Promise<void> {
  const limit = wholeOption(call, 'limit', MOST_AT_ONCE);
  const receiver = receiverOf(namespace, placeOf(call), subqueueOf(call));
  const items = await rowsOf(peekMany(namespace, receiver, limit, numberOption(call, 'from')));
  listMessages(call, { items: ofSession(items, stringOption(call, 'session')) });
}

async function cancel(call: Call, { client, long }: Namespace): Promise<void> {
  const sequences = neededSequences(call);
  await client.createSender(call.args.topic!).cancelScheduledMessages(sequences.map(long));
  call.out.result({ cancelled: sequences.length }, () => `${sequences.length} cancelled`);
}

async function receive(call: Call, namespace: Namespace): Promise<void> {
  const [place, of, taking, settling] = [placeOf(call), subqueueOf(call), takingOf(call), settlingOf(call)];
  const receiver = await openReceiver(namespace, place, of, taking);
  const { sequences, max, waitMs } = taking;
  const messages =
    sequences.length > 0
      ? await receiver.receiveDeferredMessages(sequences.map(namespace.long))
      : await receiver.receiveMessages(max, { maxWaitTimeInMs: waitMs });
  for (const row of messages.map(rowOf)) call.out.item(row, () => peekedWords(row));
  if (messages.length === 0) noneCame(call);
  for (const message of messages) await settle(receiver, message, settling);
}

async function openReceiver(namespace: Namespace, place: Place, of: Subqueue, { session, next }: Taking) {
  if (session === undefined && !next) return receiverOf(namespace, place, of);
  if (of !== 'live') throw new UsageError('Dead letters are taken without sessions.');
  const { client } = namespace;
  if ('queue' in place)
    return session === undefined ? client.acceptNextSession(place.queue) : client.acceptSession(place.queue, session);
  return session === undefined
    ? client.acceptNextSession(place.topic, place.subscription)
    : client.acceptSession(place.topic, place.subscription, session);
}

async function settle(
  receiver: ServiceBusReceiver,
  message: ServiceBusReceivedMessage,
  settling: Settling,
): Promise<void> {
  const { way, reason, description } = settling;
  const properties = settling.properties as Record<string, string | number | boolean>; // as the option gives them
  if (way === 'complete') return receiver.completeMessage(message);
  if (way === 'abandon') return receiver.abandonMessage(message, properties);
  if (way === 'defer') return receiver.deferMessage(message, properties);
  await receiver.deadLetterMessage(message, {
    ...properties,
    ...(reason === undefined ? {} : { deadLetterReason: reason }),
    ...(description === undefined ? {} : { deadLetterErrorDescription: description }),
  } as Parameters<ServiceBusReceiver['deadLetterMessage']>[1]); // what is left out is not there
}

async function purge(call: Call, namespace: Namespace): Promise<void> {
  const receiver = receiverOf(namespace, neededPurge(call), subqueueOf(call), 'receiveAndDelete');
  let purged = 0;
  for (;;) {
    const gone = await receiver.receiveMessages(MOST_AT_ONCE, { maxWaitTimeInMs: 2_000 });
    if (gone.length === 0) break;
    purged += gone.length;
  }
  call.out.result({ purged }, () => `${purged} thrown away`);
}

async function listDead(call: Call, namespace: Namespace): Promise<void> {
  refuseOfDeliveries(call, ['channel', 'cause']);
  const limit = wholeOption(call, 'limit', MOST_AT_ONCE);
  const receiver = receiverOf(namespace, placeOf(call), 'dead');
  call.out.list({ items: await rowsOf(peekMany(namespace, receiver, limit)) }, MESSAGE_COLUMNS);
}

/** Times in milliseconds. */
type Cause = { readonly count: number; readonly first: number; readonly last: number };

async function countDead(call: Call, namespace: Namespace): Promise<void> {
  const receiver = receiverOf(namespace, placeOf(call), 'dead');
  const causes = new Map<string, Cause>();
  for await (const { deadLetterReason: reason = '', enqueuedTimeUtc } of peekMany(
    namespace,
    receiver,
    MOST_LOOKED_AT,
  )) {
    const at = enqueuedTimeUtc!.getTime(); // what lies there was enqueued
    const { count, first, last } = causes.get(reason) ?? { count: 0, first: at, last: at };
    // With several partitions they do not come in the order of their times.
    causes.set(reason, { count: count + 1, first: Math.min(at, first), last: Math.max(at, last) });
  }
  const items = [...causes].map(([reason, { count, first, last }]) => {
    return { reason, count, first: new Date(first), last: new Date(last) };
  });
  call.out.list({ items }, ['reason', 'count', 'first', 'last']);
}

/**
 * Each is sent again before it is taken away: what fails in between is there twice, never lost. Where duplicates are
 * dropped a message would be taken for its own, so it gets another id there. What dies meanwhile is left.
 */
async function redriveDead(call: Call, namespace: Namespace): Promise<void> {
  const which = chosenMessages(call);
  const place = placeOf(call);
  const wanted = (message: ServiceBusReceivedMessage) =>
    which.all === true ||
    (which.reason !== undefined && message.deadLetterReason === which.reason) ||
    (which.sequences ?? []).includes(numberOf(message));
  const receiver = receiverOf(namespace, place, 'dead');
  const sender = namespace.client.createSender('queue' in place ? place.queue : place.topic);
  const renamed = await dropsDuplicates(namespace, place);
  const left: ServiceBusReceivedMessage[] = [];
  let redriven = 0;
  for (let unseen = await deadCount(namespace, place); unseen > 0; ) {
    const messages = await receiver.receiveMessages(Math.min(unseen, MOST_AT_ONCE), { maxWaitTimeInMs: 2_000 });
    if (messages.length === 0) break;
    unseen -= messages.length;
    for (const message of messages) {
      if (!wanted(message)) left.push(message);
      else {
        await sender.sendMessages(renamed ? { ...message, messageId: freshId() } : message);
        await receiver.completeMessage(message);
        redriven++;
      }
    }
  }
  // They are given back at the end: earlier they would be handed out again. Dead letters do not count deliveries.
  for (const message of left) await receiver.abandonMessage(message);
  if (redriven === 0 && which.sequences)
    throw new Refused(404, { code: 'not_found', detail: 'No dead letter has such a number.' });
  call.out.result({ redriven }, () => `${redriven} put back to work`);
}

async function deadCount({ admin }: Namespace, place: Place): Promise<number> {
  const { deadLetterMessageCount } =
    'queue' in place
      ? await admin.getQueueRuntimeProperties(place.queue)
      : await admin.getSubscriptionRuntimeProperties(place.topic, place.subscription);
  return deadLetterMessageCount;
}

async function dropsDuplicates({ admin }: Namespace, place: Place): Promise<boolean> {
  const { requiresDuplicateDetection } =
    'queue' in place ? await admin.getQueue(place.queue) : await admin.getTopic(place.topic);
  return requiresDuplicateDetection;
}

function freshId(): string {
  return randomUUID().replaceAll('-', '');
}
