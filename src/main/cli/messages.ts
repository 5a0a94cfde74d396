// Commands for the messages of a subscription or queue over the HTTP API: look, take, cancel, throw away. Against a namespace of
// Service Bus: namespace-messages.ts.
import { isJsonType } from '../../events/cloudevent.ts';
import { contentOfAmqp } from '../../gateways/servicebus/amqp/content.ts';
import { arrivals } from './arrivals.ts';
import { type Client, segment } from './client.ts';
import { type Call, type Command, milliseconds, type Option, stringOption, UsageError } from './command.ts';
import { paging } from './entities.ts';
import {
  apiPath,
  numberOption,
  ofOption,
  type Place,
  placeOf,
  placeOptions,
  sequencesOf,
  subqueueOf,
  wholeOption,
} from './message-options.ts';
import { scalars } from './rule-options.ts';

type Row = Record<string, unknown>;
export type Peeked = Row & { readonly sequence: number | string; readonly sessionId?: string };
type Page = { readonly items: readonly Peeked[]; readonly next: string | null };
type Taken = Peeked & { readonly lockToken: string };

const sequence: Option = {
  type: 'string',
  shows: 'number',
  multiple: true,
  sentence: 'The number of one; repeatable.',
};

/** What becomes of a message that was taken, and how the API says it. */
export const WAYS = {
  complete: 'complete',
  abandon: 'abandon',
  defer: 'defer',
  'dead-letter': 'deadLetter',
} as const;
export type Way = keyof typeof WAYS;

export const messageCommands: readonly Command[] = [
  {
    words: 'message list',
    summary: 'Look at the messages of a subscription or queue without taking them',
    details: 'Also those that are locked, deferred or scheduled.',
    options: {
      ...placeOptions,
      ...ofOption,
      from: { type: 'string', shows: 'number', sentence: 'From this sequence number on.' },
      session: { type: 'string', shows: 'id', sentence: 'Of those that are shown only the ones of this session.' },
      ...paging,
    },
    examples: [
      'carillon message list --topic hr --subscription audit',
      'carillon message list --queue orders --of dead',
    ],
    run: async (call) => {
      const [limit, cursor] = ['limit', 'cursor'].map((name) => stringOption(call, name));
      const query = { limit, cursor, from: numberOption(call, 'from')?.toString(), of: subqueueOf(call) };
      const page = await peek(await call.client(), placeOf(call), query);
      listMessages(call, { ...page, items: ofSession(page.items, stringOption(call, 'session')) });
    },
  },
  {
    words: 'message receive',
    summary: 'Take messages of a subscription or queue, print them, and settle them',
    details:
      'They are completed unless --as says otherwise, and only after they were printed. Deferred messages are taken by number.',
    options: {
      ...placeOptions,
      ...ofOption,
      as: { type: 'string', shows: 'way', sentence: 'complete (the default), abandon, defer or dead-letter.' },
      count: { type: 'string', shows: 'number', sentence: 'How many at most; 1 without it.' },
      wait: {
        type: 'string',
        shows: 'duration',
        sentence: 'How long to wait for the first; 1s without it, 60s at most.',
      },
      session: { type: 'string', shows: 'id', sentence: 'The session to take from.' },
      'next-session': { type: 'boolean', sentence: 'The next session that has messages.' },
      sequence: { ...sequence, sentence: 'The number of a deferred message; repeatable.' },
      reason: { type: 'string', shows: 'text', sentence: 'With --as dead-letter: why.' },
      description: { type: 'string', shows: 'text', sentence: 'With --as dead-letter: more about it.' },
      property: {
        type: 'string',
        shows: 'name=value',
        multiple: true,
        sentence: 'A property to change, with every --as but complete; repeatable.',
      },
    },
    examples: [
      'carillon message receive --queue orders --count 10',
      'carillon message receive --topic hr --subscription audit --next-session --as abandon',
      'carillon message receive --queue orders --sequence 42',
    ],
    run: receive,
  },
  {
    words: 'message cancel',
    summary: 'Take back messages that were to come later',
    args: [{ name: 'topic', sentence: 'The topic or queue that they were sent to.' }],
    options: { sequence: { ...sequence, sentence: 'The number that `send --at` printed; repeatable.' } },
    examples: ['carillon message cancel hr --sequence 42'],
    run: async (call) => {
      const sequences = neededSequences(call).map(Number);
      const path = `/v1/topics/${segment(call.args.topic!)}/scheduled/cancel`;
      await (await call.client()).call('POST', path, { body: { sequences } });
      call.out.result({ cancelled: sequences.length }, () => `${sequences.length} cancelled`);
    },
  },
  {
    words: 'message purge',
    summary: 'Throw away what waits in a subscription or queue',
    details: 'What somebody has locked stays with them. This cannot be undone.',
    options: { ...placeOptions, ...ofOption, all: { type: 'boolean', sentence: 'Yes, all of them.' } },
    run: async (call) => {
      const place = neededPurge(call);
      const body = { of: subqueueOf(call) };
      const result = await (await call.client()).call<{ purged: number }>('POST', `${apiPath(place)}/purge`, { body });
      call.out.result(result, () => `${result.purged} thrown away`);
    },
  },
];

export function neededSequences(call: Call): bigint[] {
  const sequences = sequencesOf(call);
  if (sequences.length === 0) throw new UsageError('Give --sequence, the number that `send --at` printed.');
  return sequences;
}

export function neededPurge(call: Call): Place {
  if (call.options.all !== true) throw new UsageError('Give --all: this throws messages away.');
  return placeOf(call);
}

export function ofSession(items: readonly Peeked[], session: string | undefined): readonly Peeked[] {
  return session === undefined ? items : items.filter(({ sessionId }) => sessionId === session);
}

export function listMessages(call: Call, page: { items: readonly Peeked[]; next?: string | null }): void {
  const items = call.out.json
    ? page.items
    : page.items.map((each) => ({ ...each, content: short(each), session: each.sessionId }));
  call.out.list({ ...page, items }, ['sequence', 'state', 'messageId', 'subject', 'session', 'enqueuedAt', 'content']);
}

const LONGEST_SHOWN = 60;

function short({ body, bodyBase64 }: Row): string {
  const text = typeof body === 'string' ? body : (JSON.stringify(body) ?? String(bodyBase64 ?? ''));
  return text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text;
}

export function peekedWords(message: Peeked): string {
  const { sequence: number, subject, messageId, sessionId, body } = message;
  const session = sessionId === undefined ? '' : `  (session ${sessionId})`;
  return `#${number}  ${subject ?? '-'}  ${messageId}${session}  ${JSON.stringify(body ?? message.bodyBase64 ?? null)}`;
}

type PeekQuery = Readonly<Record<string, string | number | undefined>>;

async function peek(client: Client, place: Place, query: PeekQuery): Promise<Page> {
  const page = await client.call<Page>('GET', `${apiPath(place)}/messages`, { query });
  return { ...page, items: page.items.map(readable) };
}

/** What AMQP clients sent is kept in their form: people want to read what is in it. */
function readable(message: Peeked): Peeked {
  const { bodyBase64, bodyFormat, ...rest } = message;
  if (bodyFormat !== 'amqp' || typeof bodyBase64 !== 'string') return message;
  return { ...rest, ...bodyInWords(contentOfAmqp(Buffer.from(bodyBase64, 'base64')), String(rest.contentType ?? '')) };
}

/** As the HTTP API shows a body: text, or other JSON, or bytes. */
function bodyInWords(bytes: Uint8Array, contentType: string): { body?: unknown; bodyBase64?: string } {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return { body: isJsonType(contentType) ? (JSON.parse(text) as unknown) : text };
  } catch {
    return { bodyBase64: Buffer.from(bytes).toString('base64') }; // neither text nor the JSON that it says it is
  }
}

/** What lies there and what comes. */
export async function* watchPlace(client: Client, place: Place, session?: string): AsyncGenerator<Peeked> {
  const look = async (from: bigint, limit: number) => (await peek(client, place, { from: String(from), limit })).items;
  for await (const message of arrivals(look)) yield* ofSession([message], session);
}

export type Settling = {
  readonly way: Way;
  readonly properties: Row;
  readonly reason: string | undefined;
  readonly description: string | undefined;
};

/** How `message receive` is to settle. Refuses what would say nothing. */
export function settlingOf(call: Call): Settling {
  const way = stringOption(call, 'as') ?? 'complete';
  if (!Object.hasOwn(WAYS, way))
    throw new UsageError(`--as wants one of ${Object.keys(WAYS).join(', ')}; it is "${way}".`);
  const [reason, description] = ['reason', 'description'].map((name) => stringOption(call, name));
  const properties = scalars(call, 'property');
  if ((reason ?? description) !== undefined && way !== 'dead-letter')
    throw new UsageError('--reason and --description go with --as dead-letter.');
  if (Object.keys(properties).length > 0 && way === 'complete')
    throw new UsageError('--property changes a message that stays: give --as abandon, defer or dead-letter.');
  return { way: way as Way, properties, reason, description }; // one of them, as was just checked
}

export type Taking = {
  readonly max: number;
  readonly waitMs: number;
  readonly session: string | undefined;
  readonly next: boolean;
  readonly sequences: readonly bigint[];
};

export function takingOf(call: Call): Taking {
  const waitMs = milliseconds(stringOption(call, 'wait') ?? '1s', 'wait');
  if (waitMs > 60_000) throw new UsageError('--wait is 60s at most.');
  const session = stringOption(call, 'session');
  const next = call.options['next-session'] === true;
  if (session !== undefined && next) throw new UsageError('Give --session or --next-session.');
  return { max: wholeOption(call, 'count', 1), waitMs, session, next, sequences: sequencesOf(call) };
}

/** A session of the API, from accepting it to giving it back. */
async function receive(call: Call): Promise<void> {
  const [base, of, taking, settling] = [apiPath(placeOf(call)), subqueueOf(call), takingOf(call), settlingOf(call)];
  const client = await call.client();
  const held = taking.session !== undefined || taking.next ? await accept(client, base, taking) : undefined;
  const session = held === undefined ? {} : { session: held };
  try {
    await take(call, client, base, { of, ...session }, taking, settling);
  } finally {
    if (held !== undefined) await client.call('DELETE', `${base}/sessions/${segment(held)}`);
  }
}

async function accept(client: Client, base: string, { session, waitMs }: Taking): Promise<string> {
  const body = { ...(session === undefined ? {} : { id: session }), waitMs };
  return (await client.call<{ session: string }>('POST', `${base}/sessions`, { body })).session;
}

async function take(
  call: Call,
  client: Client,
  base: string,
  where: Row,
  { max, waitMs, sequences }: Taking,
  { way, properties, reason, description }: Settling,
): Promise<void> {
  const which = sequences.length > 0 ? { sequences: sequences.map(Number) } : { max: Math.min(max, 1000), waitMs };
  const body = { ...where, ...which };
  const { messages } = await client.call<{ messages: Taken[] }>('POST', `${base}/receive`, { body });
  for (const { lockToken: _, ...locked } of messages) {
    const message = readable(locked);
    call.out.item(message, () => peekedWords(message));
  }
  if (messages.length === 0) return noneCame(call);
  const changed = Object.keys(properties).length > 0 ? { properties } : {};
  const lockTokens = messages.map(({ lockToken }) => lockToken);
  const settled = { ...where, as: WAYS[way], lockTokens, ...changed, reason, description };
  await client.call('POST', `${base}/settle`, { body: settled });
}

export function noneCame(call: Call): void {
  if (!call.out.json) call.out.line('(none)');
}
