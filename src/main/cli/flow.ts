// Commands that follow events: send one, watch what arrives, ask why.
import { randomUUID } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageIdOf } from '../../events/to-message.ts';
import { segment } from './client.ts';
import { type Call, type Command, stringOption, UsageError } from './command.ts';
import { parseJson, TRACE_COLUMNS } from './entities.ts';
import { type ServerEvent, serverEvents } from './events-stream.ts';
import {
  asksForMessage,
  type Event,
  messageOfEvent,
  messageOptions,
  placeGiven,
  placeOptions,
  readPlainMessage,
  readText,
  type Sendable,
  timeOption,
  wholeOption,
} from './message-options.ts';
import { peekedWords, watchPlace } from './messages.ts';
import { table } from './output.ts';

type Row = Record<string, unknown>;
type Accepted = { readonly events: readonly { id: string; sequence: number; duplicate: boolean }[] };
type Logged = { readonly sequence: number; readonly enqueuedAt: string; readonly event: Row };

export const sendCommand: Command = {
  words: 'send',
  summary: 'Publish an event, or send a message, to a topic or queue',
  details:
    'The event is made from the options, or read whole from --file (a CloudEvent as JSON, or a list of them). With --body it is a plain message, as other programs send them.',
  args: [{ name: 'topic', sentence: 'The name of the topic or queue.' }],
  options: {
    type: { type: 'string', shows: 'type', sentence: 'The type of the event, such as hr.employee.joined.' },
    source: { type: 'string', shows: 'uri', sentence: 'Who says it; /cli without this.' },
    subject: { type: 'string', shows: 'text', sentence: 'What it is about.' },
    id: {
      type: 'string',
      shows: 'id',
      sentence: 'Its id; the same id and source are taken once. Random without this.',
    },
    data: { type: 'string', shows: 'json', sentence: 'Its content; - reads it from the standard input.' },
    file: { type: 'string', shows: 'file', sentence: 'A whole event, or a list of events; - is the standard input.' },
    ...messageOptions,
  },
  examples: [
    `carillon send hr --type hr.employee.joined --data '{"employee":"ada","team":"engines"}'`,
    'carillon send finance --file event.json',
    'carillon send orders --body "Hello" --property level:=3 --session customer-7',
    'carillon send hr --type hr.review.due --data {} --at 2026-12-01T08:00:00Z',
  ],
  run: async (call) => {
    if (asksForMessage(call)) return sendMessages(call);
    const event = await readEvent(call);
    const kind = Array.isArray(event) ? 'application/cloudevents-batch+json' : 'application/cloudevents+json';
    const path = `/v1/topics/${segment(call.args.topic!)}/events`;
    const accepted = await (await call.client()).call<Accepted>('POST', path, { body: event, contentType: kind });
    call.out.result(accepted, () =>
      accepted.events
        .map(
          ({ id, sequence, duplicate }) => `${duplicate ? 'known already' : 'accepted'}: ${id} as number ${sequence}`,
        )
        .join('\n'),
    );
  },
};

type Sent = { readonly messages: readonly { sequence: number; duplicate: boolean }[] };

/** What an event of the HTTP API cannot say, a message can. */
async function sendMessages(call: Call): Promise<void> {
  const scheduledAt = timeOption(call, 'at')?.toISOString();
  const messages = (await readMessages(call)).map((message) => ({
    ...message,
    ...(scheduledAt ? { scheduledAt } : {}),
  }));
  const path = `/v1/topics/${segment(call.args.topic!)}/messages`;
  const sent = await (await call.client()).call<Sent>('POST', path, { body: { messages } });
  call.out.result(sent, () => sent.messages.map((each) => sentWords(each, scheduledAt)).join('\n'));
}

function sentWords({ sequence, duplicate }: Sent['messages'][number], scheduledAt: string | undefined): string {
  if (duplicate) return 'known already';
  return scheduledAt ? `scheduled for ${scheduledAt} as number ${sequence}` : `accepted as number ${sequence}`;
}

/** Events get the message id that the HTTP API gives them, so that one is taken once whichever way it came. */
async function readMessages(call: Call): Promise<Sendable[]> {
  if (call.options.body !== undefined) return [await readPlainMessage(call)];
  return (await readEvents(call)).map((event) => {
    const own = { messageId: messageIdOf(event.source, event.id) };
    return messageOfEvent(call, event, event.subject === undefined ? own : { ...own, subject: event.subject });
  });
}

/** The events that the options describe. Refuses what is none: the server does not see that it was meant to be one. */
export async function readEvents(call: Call): Promise<Event[]> {
  const given = await readEvent(call);
  return (Array.isArray(given) ? (given as unknown[]) : [given]).map((each) => {
    const { id, type, source } = (typeof each === 'object' && each !== null ? each : {}) as Row;
    if ([id, type, source].every((text) => typeof text === 'string' && text !== '')) return each as Event; // it has them
    throw new UsageError('An event has id, source and type, each a text.');
  });
}

/** The event that the options describe, or what is in --file: a CloudEvent, or a list of them. */
export async function readEvent(call: Call): Promise<unknown> {
  const file = stringOption(call, 'file');
  if (file !== undefined) return parseJson(await readText(file));
  const type = stringOption(call, 'type');
  if (type === undefined) throw new UsageError('Give --type, or a whole event with --file.');
  const given = stringOption(call, 'data');
  const data = given === undefined ? undefined : parseJson(given === '-' ? await text(process.stdin) : given);
  return cloudEvent(
    { type, source: stringOption(call, 'source') ?? '/cli', data, subject: stringOption(call, 'subject') },
    stringOption(call, 'id'),
  );
}

type EventFields = { type: string; source: string; data: unknown; subject?: string | undefined };

/** A CloudEvent as JSON; fields that are undefined are left out by JSON.stringify. */
export function cloudEvent({ type, source, data, subject }: EventFields, id: string = randomUUID()): Row {
  return {
    specversion: '1.0',
    id,
    type,
    source,
    subject,
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    data,
  };
}

export const watchCommand: Command = {
  words: 'watch',
  summary: 'Show what arrives, as it arrives: the inbox of a recipient, the events of a topic, or what a consumer gets',
  details: 'Nothing is taken away or locked. A subscription or queue shows first what lies there.',
  args: [{ name: 'recipient', optional: true, sentence: 'Whose inbox.' }],
  options: {
    topic: { type: 'string', shows: 'topic', sentence: 'The events of this topic instead.' },
    subscription: { type: 'string', shows: 'name', sentence: 'What this subscription of the topic gets.' },
    queue: placeOptions.queue!,
    session: {
      type: 'string',
      shows: 'id',
      sentence: 'Of a subscription or queue: only the messages of this session.',
    },
    count: { type: 'string', shows: 'number', sentence: 'End after so many.' },
  },
  examples: ['carillon watch ada', 'carillon watch --topic hr --json', 'carillon watch --queue orders --session c7'],
  run: async (call) => {
    const limit = wholeOption(call, 'count', Number.POSITIVE_INFINITY);
    let seen = 0;
    for await (const { value, words } of watched(call)) {
      call.out.item(value, () => words);
      if (++seen >= limit) return;
    }
  },
};

type Shown = { readonly value: unknown; readonly words: string };

function watched(call: Call): AsyncGenerator<Shown> {
  const { recipient } = call.args;
  const [topic, subscription, queue, session] = ['topic', 'subscription', 'queue', 'session'].map((name) =>
    stringOption(call, name),
  );
  if ((recipient === undefined) === (topic === undefined && queue === undefined && subscription === undefined))
    throw new UsageError('Give a recipient, or --topic (with --subscription), or --queue.');
  if (subscription !== undefined || queue !== undefined) return watchMessages(call);
  if (session !== undefined) throw new UsageError('--session goes with --subscription or --queue.');
  return topic === undefined ? watchInbox(call, recipient!) : watchTopic(call, topic); // one of them, as was just seen
}

async function* watchMessages(call: Call): AsyncGenerator<Shown> {
  for await (const message of watchPlace(await call.client(), placeGiven(call)!, stringOption(call, 'session')))
    yield { value: message, words: peekedWords(message) };
}

// The stream resumes after its last item, so that a restart of the server loses none.
async function* watchInbox(call: Call, recipient: string): AsyncGenerator<Shown> {
  const path = `/v1/recipients/${segment(recipient)}/inbox/stream`;
  for (let last: string | undefined; ; ) {
    const headers: Record<string, string> = last === undefined ? {} : { 'last-event-id': last };
    const response = await (await call.client()).open('GET', path, { headers });
    for await (const event of whole(serverEvents(response))) {
      last = event.id ?? last;
      if (event.event === 'item') yield inboxItem(JSON.parse(event.data) as Row);
    }
    await sleep(1_000);
  }
}

async function* whole(events: AsyncGenerator<ServerEvent>): AsyncGenerator<ServerEvent> {
  try {
    yield* events;
  } catch (error) {
    // The connection broke: the caller opens it again, and hears if the server is gone for good.
    if (!(error instanceof TypeError)) throw error;
  }
}

function inboxItem(item: Row): Shown {
  const body = String(item.body ?? '').split('\n');
  return {
    value: item,
    words: [`${clock(item.createdAt)}  ${item.title}`, ...body.map((line) => `          ${line}`)].join('\n'),
  };
}

async function* watchTopic(call: Call, topic: string): AsyncGenerator<Shown> {
  const client = await call.client();
  const path = `/v1/topics/${segment(topic)}/events`;
  const read = (limit: number) => client.call<{ items: Logged[] }>('GET', path, { query: { limit } });
  let last = (await read(1)).items[0]?.sequence ?? 0;
  for (; ; await sleep(500)) {
    const fresh = (await read(100)).items.filter(({ sequence }) => sequence > last).reverse();
    last = fresh.at(-1)?.sequence ?? last;
    for (const item of fresh) {
      const { type, id, data } = item.event;
      yield {
        value: item,
        words: `${clock(item.enqueuedAt)}  #${item.sequence}  ${type}  ${id}  ${JSON.stringify(data)}`,
      };
    }
  }
}

function clock(time: unknown): string {
  return String(time).slice(11, 19);
}

export const traceCommand: Command = {
  words: 'trace',
  summary: 'Show what became of an event: who was told, who was not, and why',
  args: [
    { name: 'topic', sentence: 'The topic of the event.' },
    { name: 'event', sentence: 'Its id, or its number in the topic.' },
  ],
  examples: ['carillon trace hr 42', 'carillon trace hr 5b1c8f0e-0d5e-4b8e-9d0a-2f4f6f1d7c11'],
  run: async (call) => {
    const { topic, event } = call.args as { topic: string; event: string }; // both are required
    const client = await call.client();
    const trace = /^\d{1,15}$/.test(event)
      ? await client.call<{ steps: Row[] }>('GET', `/v1/topics/${segment(topic)}/events/${event}/trace`)
      : await client.call<{ steps: Row[] }>('GET', '/v1/events/trace', { query: { topic, id: event } });
    call.out.result(trace, () => table(trace.steps, TRACE_COLUMNS));
  },
};

export const signInCommand: Command = {
  words: 'sign-in',
  summary: 'Make a link that signs in once, within 15 minutes',
  args: [
    { name: 'recipient', optional: true, sentence: 'Who signs in to their own page; without this, an administrator.' },
  ],
  run: async (call) => {
    const { recipient } = call.args;
    const body = recipient === undefined ? { role: 'admin' } : { role: 'recipient', recipientId: recipient };
    const link = await (await call.client()).call<{ url: string }>('POST', '/v1/sign-in-links', { body });
    call.out.result(link, () => link.url);
  },
};
