// The same commands against a Service Bus namespace: Azure's, or any that its clients reach, such as this door's. The
// official client is loaded only here, and only then: nothing else of Carillon needs it.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  CreateSubscriptionOptions,
  CreateTopicOptions,
  ServiceBusAdministrationClient,
  ServiceBusClient,
  ServiceBusReceivedMessage,
  ServiceBusReceiver,
} from '@azure/service-bus';
import { Refused, Unreachable } from './client.ts';
import { type Call, type Command, type Option, stringOption, UsageError } from './command.ts';
import { parseJson } from './entities.ts';
import { readEvent } from './flow.ts';

type Row = Record<string, unknown>;
type Namespace = { readonly client: ServiceBusClient; readonly admin: ServiceBusAdministrationClient };
type Run = (call: Call, namespace: Namespace) => Promise<void>;

const FLAG = 'connection-string';
const connectionOption: Readonly<Record<string, Option>> = {
  [FLAG]: {
    type: 'string',
    shows: 'string',
    sentence: 'Talk to the Service Bus namespace of this connection string instead, such as one of Azure.',
  },
};
const entityOptions: Readonly<Record<string, Option>> = {
  topic: { type: 'string', shows: 'topic', sentence: `With --${FLAG}: the topic of the subscription.` },
  subscription: { type: 'string', shows: 'name', sentence: `With --${FLAG}: the subscription.` },
  queue: { type: 'string', shows: 'queue', sentence: `With --${FLAG}: the queue, instead of the two.` },
};

const TOPIC_SETTINGS = [
  'authorizationRules',
  'autoDeleteOnIdle',
  'defaultMessageTimeToLive',
  'duplicateDetectionHistoryTimeWindow',
  'enableBatchedOperations',
  'enableExpress',
  'enablePartitioning',
  'maxMessageSizeInKilobytes',
  'maxSizeInMegabytes',
  'requiresDuplicateDetection',
  'status',
  'supportOrdering',
  'userMetadata',
] as const satisfies readonly (keyof CreateTopicOptions)[];
const SUBSCRIPTION_SETTINGS = [
  'autoDeleteOnIdle',
  'deadLetteringOnFilterEvaluationExceptions',
  'deadLetteringOnMessageExpiration',
  'defaultMessageTimeToLive',
  'defaultRuleOptions',
  'enableBatchedOperations',
  'forwardDeadLetteredMessagesTo',
  'forwardTo',
  'lockDuration',
  'maxDeliveryCount',
  'requiresSession',
  'status',
  'userMetadata',
] as const satisfies readonly (keyof CreateSubscriptionOptions)[];

const runs: Readonly<Record<string, { readonly run: Run; readonly options?: Readonly<Record<string, Option>> }>> = {
  'topic list': { run: listTopics },
  'topic show': { run: async (call, { admin }) => show(call, await admin.getTopic(call.args.topic!)) },
  'topic create': {
    run: async (call, { admin }) =>
      show(call, await admin.createTopic(call.args.topic!, settingsOf(call, TOPIC_SETTINGS))),
  },
  'topic delete': {
    run: async (call, { admin }) => done(call, await admin.deleteTopic(call.args.topic!)),
  },
  'subscription list': { run: listSubscriptions },
  'subscription show': {
    run: async (call, { admin }) => show(call, await admin.getSubscription(call.args.topic!, call.args.subscription!)),
  },
  'subscription create': {
    run: async (call, { admin }) =>
      show(
        call,
        await admin.createSubscription(
          call.args.topic!,
          call.args.subscription!,
          settingsOf(call, SUBSCRIPTION_SETTINGS),
        ),
      ),
  },
  'subscription delete': {
    run: async (call, { admin }) =>
      done(call, await admin.deleteSubscription(call.args.topic!, call.args.subscription!)),
  },
  send: { run: send },
  watch: { run: watch, options: entityOptions },
  'dead-letter list': { run: listDead, options: entityOptions },
  'dead-letter redrive': { run: redriveDead, options: entityOptions },
};

/** The command with `--connection-string`, if a namespace has what it does. */
export function withNamespace(command: Command): Command {
  const found = runs[command.words];
  const own = command.run;
  if (!found || !own) return command;
  const run = async (call: Call) => {
    const connectionString = stringOption(call, FLAG);
    if (connectionString === undefined) {
      // Left out, it would do the same to something else: give up what was meant for one subscription for all people.
      const lost = Object.keys(found.options ?? {}).find((name) => !command.options?.[name] && call.options[name]);
      if (lost !== undefined) throw new UsageError(`--${lost} works together with --${FLAG} only.`);
      return own(call);
    }
    const namespace = await connect(connectionString);
    try {
      await found.run(call, namespace);
    } catch (error) {
      throw inWords(error);
    } finally {
      await namespace.client.close();
    }
  };
  return { ...command, options: { ...connectionOption, ...found.options, ...command.options }, run };
}

async function connect(connectionString: string): Promise<Namespace> {
  const sdk = await import('@azure/service-bus').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new UsageError(`--${FLAG} needs the client library of Azure: npm install @azure/service-bus`);
  });
  try {
    const client = new sdk.ServiceBusClient(connectionString, { retryOptions: { maxRetries: 1, timeoutInMs: 20_000 } });
    return { client, admin: new sdk.ServiceBusAdministrationClient(connectionString) };
  } catch (error) {
    throw new UsageError(`--${FLAG}: ${(error as Error).message}`);
  }
}

type ClientError = Error & { readonly code?: unknown; readonly statusCode?: unknown };

const AWAY = /^(ECONN|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOST|ENET|REQUEST_SEND_ERROR)/;
const UNTRUSTED = /CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME/;

/** What the client library throws, as the command line tells it. */
function inWords(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof UsageError) return error;
  const { message, code, statusCode } = error as ClientError;
  const signs = `${String(code)} ${message}`;
  if (UNTRUSTED.test(signs))
    return new Unreachable(`${message}. For a Carillon set NODE_EXTRA_CA_CERTS to the ca.pem that its start prints.`);
  if (signs.split(/[\s:]+/).some((word) => AWAY.test(word))) return new Unreachable(`The namespace: ${message}`);
  if (typeof code !== 'string' && typeof statusCode !== 'number') return error; // A fault of ours.
  return new Refused(Number(statusCode ?? 0), { code, detail: message, ...(statusCode ? { status: statusCode } : {}) });
}

/** Settings as the client library names them: `{"maxDeliveryCount":5}`. It would pass over a name that it does not know. */
function settingsOf(call: Call, names: readonly string[]): object {
  const given = parseJson(stringOption(call, 'settings') ?? '{}');
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new UsageError('--settings is an object, like {"status":"Active"}.');
  const unknown = Object.keys(given).find((name) => !names.includes(name));
  if (unknown === undefined) return given;
  throw new UsageError(`--settings: there is no ${unknown}. With --${FLAG} there are: ${names.join(', ')}.`);
}

function show(call: Call, value: object): void {
  const { _response, ...fields } = value as Row;
  call.out.fields(fields);
}

function done(call: Call, _answer: unknown): void {
  call.out.result({ deleted: true }, () => 'done');
}

async function listTopics(call: Call, { admin }: Namespace): Promise<void> {
  const items: Row[] = [];
  for await (const { _response, ...topic } of admin.listTopicsRuntimeProperties() as AsyncIterable<Row>)
    items.push(topic);
  call.out.list({ items }, ['name', 'subscriptionCount', 'scheduledMessageCount', 'sizeInBytes', 'createdAt']);
}

async function listSubscriptions(call: Call, { admin }: Namespace): Promise<void> {
  const items: Row[] = [];
  for await (const each of admin.listSubscriptionsRuntimeProperties(call.args.topic!)) items.push({ ...each });
  call.out.list({ items }, ['subscriptionName', 'activeMessageCount', 'deadLetterMessageCount', 'accessedAt']);
}

type Event = { id: string; type: string; source: string; subject?: string; data?: unknown; [name: string]: unknown };

/** An event as the CloudEvents binding for AMQP writes it, in binary mode. */
function toMessage({ data, datacontenttype, ...attributes }: Event) {
  const named = Object.entries(attributes).map(([name, value]) => [`cloudEvents:${name}`, String(value)]);
  return {
    body: data ?? null,
    messageId: attributes.id,
    subject: attributes.type,
    contentType: String(datacontenttype ?? 'application/json'),
    applicationProperties: Object.fromEntries(named),
  };
}

async function send(call: Call, { client }: Namespace): Promise<void> {
  const event = await readEvent(call);
  const events = (Array.isArray(event) ? event : [event]) as Event[];
  await client.createSender(call.args.topic!).sendMessages(events.map(toMessage));
  call.out.result({ accepted: events.length, events: events.map(({ id }) => ({ id })) }, () =>
    events.map(({ id }) => `accepted: ${id}`).join('\n'),
  );
}

type Place = { readonly queue: string } | { readonly topic: string; readonly subscription: string };

function placeOf(call: Call): Place {
  const [queue, topic, subscription] = ['queue', 'topic', 'subscription'].map((name) => stringOption(call, name));
  if (queue !== undefined && topic === undefined && subscription === undefined) return { queue };
  if (queue === undefined && topic !== undefined && subscription !== undefined) return { topic, subscription };
  throw new UsageError(`With --${FLAG} give --topic and --subscription, or --queue.`);
}

function receiverOf({ client }: Namespace, place: Place, dead = false): ServiceBusReceiver {
  const options = dead ? { subQueueType: 'deadLetter' as const } : {};
  if ('queue' in place) return client.createReceiver(place.queue, options);
  return client.createReceiver(place.topic, place.subscription, options);
}

function wholeOption(call: Call, name: string, otherwise: number): number {
  const text = stringOption(call, name);
  if (text === undefined) return otherwise;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError(`--${name} wants a whole number above 0; it is "${text}".`);
  return Number(text);
}

/** Looks without locking: those for whom the messages are do not notice. */
async function watch(call: Call, namespace: Namespace): Promise<void> {
  if (call.args.recipient !== undefined) throw new UsageError('A namespace has no recipients.');
  const receiver = receiverOf(namespace, placeOf(call));
  const limit = wholeOption(call, 'count', Number.POSITIVE_INFINITY);
  for (let seen = 0; ; await sleep(500)) {
    for (const message of await receiver.peekMessages(100)) {
      const row = rowOf(message);
      call.out.item(row, () => `#${row.sequence}  ${row.subject ?? '-'}  ${row.id}  ${JSON.stringify(row.body)}`);
      if (++seen >= limit) return;
    }
  }
}

function rowOf(message: ServiceBusReceivedMessage): Row {
  return {
    sequence: String(message.sequenceNumber),
    id: message.messageId,
    subject: message.subject,
    enqueuedAt: message.enqueuedTimeUtc,
    properties: message.applicationProperties,
    body: message.body,
  };
}

const MOST_LISTED = 100;

async function listDead(call: Call, namespace: Namespace): Promise<void> {
  const limit = wholeOption(call, 'limit', MOST_LISTED);
  const items = (await receiverOf(namespace, placeOf(call), true).peekMessages(limit)).map((message) => ({
    ...rowOf(message),
    reason: message.deadLetterReason,
    description: message.deadLetterErrorDescription,
  }));
  call.out.list({ items }, ['sequence', 'id', 'subject', 'reason', 'description', 'enqueuedAt']);
}

/**
 * Each is sent again before it is taken away: what fails in between is there twice, never lost. Where duplicates are
 * dropped a message would be taken for its own, so it gets another id there. What dies meanwhile is left.
 */
async function redriveDead(call: Call, namespace: Namespace): Promise<void> {
  if (call.options.all !== true) throw new UsageError(`With --${FLAG} give --all.`);
  const place = placeOf(call);
  const [receiver, sender] = [
    receiverOf(namespace, place, true),
    namespace.client.createSender('queue' in place ? place.queue : place.topic),
  ];
  const renamed = await dropsDuplicates(namespace, place);
  let redriven = 0;
  for (let left = await countDead(namespace, place); left > 0; ) {
    const messages = await receiver.receiveMessages(Math.min(left, MOST_LISTED), { maxWaitTimeInMs: 2_000 });
    if (messages.length === 0) break;
    left -= messages.length;
    for (const message of messages) {
      await sender.sendMessages(renamed ? { ...message, messageId: freshId() } : message);
      await receiver.completeMessage(message);
      redriven++;
    }
  }
  call.out.result({ redriven }, () => `${redriven} put back to work`);
}

async function countDead({ admin }: Namespace, place: Place): Promise<number> {
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
