// Receiving over HTTP, with the semantics of a broker: long poll, locks, settling by token, sessions, peeking.
// A lock belongs to the message, not to a connection: any later request may settle by its token.
import { Type } from 'typebox';
import { Refusal } from '../../../kit/refusal.ts';
import type { Broker } from '../../../topics/broker.ts';
import type { Received } from '../../../topics/receive/received.ts';
import type { Receiver } from '../../../topics/receive/receiver.ts';
import type { Settlement } from '../../../topics/receive/settle.ts';
import type { App, Reply } from '../app.ts';
import { decodeNumberCursor, encodeCursor } from '../cursor.ts';
import { brokerPath, type EntityBase, type EntityParams, entityBases, Of } from '../entity-paths.ts';
import { messageToJson, PeekedSchema, ReceivedSchema } from '../message-json.ts';
import { PropertiesSchema, propertiesFromJson } from '../property-json.ts';
import { PageOf, PageQuery, responses, Time } from '../schemas.ts';
import type { SessionHolders } from '../session-holders.ts';

export type ReceiveDeps = { readonly broker: Broker; readonly sessions: SessionHolders };

const LONGEST_WAIT_MS = 60_000;
const Session = Type.Optional(Type.String({ maxLength: 64, description: 'The token of an accepted session.' }));
const Tokens = Type.Array(Type.String({ maxLength: 64 }), { minItems: 1, maxItems: 1000 });

const ReceiveBody = Type.Object(
  {
    max: Type.Integer({ minimum: 1, maximum: 1000, default: 1 }),
    waitMs: Type.Integer({
      minimum: 0,
      maximum: LONGEST_WAIT_MS,
      default: 0,
      description: 'How long to wait for the first.',
    }),
    mode: Type.Enum(['peekLock', 'receiveAndDelete'], { default: 'peekLock' }),
    of: Of,
    session: Session,
    sequences: Type.Optional(
      Type.Array(Type.Integer({ minimum: 1 }), {
        minItems: 1,
        maxItems: 1000,
        description: 'Deferred messages, by number.',
      }),
    ),
  },
  { additionalProperties: false, examples: [{ max: 10, waitMs: 20_000 }] },
);

const SettleBody = Type.Object(
  {
    as: Type.Enum(['complete', 'abandon', 'release', 'defer', 'deadLetter'], {
      description: '`abandon` counts as a delivery in vain, `release` does not.',
    }),
    lockTokens: Tokens,
    of: Of,
    session: Session,
    properties: Type.Optional(PropertiesSchema),
    reason: Type.Optional(Type.String({ maxLength: 4096 })),
    description: Type.Optional(Type.String({ maxLength: 4096 })),
  },
  { additionalProperties: false, examples: [{ as: 'complete', lockTokens: ['8b0f…'] }] },
);

const RenewBody = Type.Object({ lockTokens: Tokens, of: Of, session: Session }, { additionalProperties: false });

export function receiveRoutes(app: App, deps: ReceiveDeps): void {
  const stopping = new AbortController();
  app.addHook('preClose', async () => stopping.abort());
  for (const base of entityBases) {
    addReceive(app, base, deps, stopping.signal);
    addSettle(app, base, deps);
    addPeek(app, base, deps);
  }
}

function addReceive(app: App, base: EntityBase, { broker, sessions }: ReceiveDeps, stopping: AbortSignal): void {
  const config = { access: base.need('listen') };
  app.post(`${base.path}/receive`, { config, schema: receiveSchema(base) }, async ({ params, body }, reply) => {
    const path = brokerPath(params as EntityParams, body.of);
    const receiver = body.session === undefined ? broker.receiver(path, body) : sessions.get(path, body.session);
    const gone = goneSignal(reply);
    const signal = AbortSignal.any([stopping, gone]);
    const { max, waitMs } = body;
    const received = await (body.sequences
      ? receiver.receiveDeferred(body.sequences)
      : receiver.receive({ max, waitMs, signal }));
    // Nobody will settle what nobody hears of: it goes back without having counted.
    if (gone.aborted && receiver.mode === 'peekLock' && received.length > 0) await receiver.release(received);
    return { messages: received.map(shown) };
  });
}

/** Aborts when the caller hangs up before it has its answer. */
function goneSignal(reply: Reply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort();
  });
  return gone.signal;
}

function addSettle(app: App, base: EntityBase, deps: ReceiveDeps): void {
  const config = { access: base.need('listen') };
  app.post(`${base.path}/settle`, { config, schema: settleSchema(base) }, async ({ params, body }) => {
    const receiver = receiverOf(deps, brokerPath(params as EntityParams, body.of), body.session);
    const settled = await receiver.trySettle(body.lockTokens, settlementOf(body));
    const lost = body.lockTokens.filter((_, index) => !settled[index]);
    if (lost.length > 0)
      throw new Refusal(
        'lock_lost',
        `${lost.length} of ${settled.length} locks are lost; the other messages are settled.`,
        { lost },
      );
    return { settled: settled.length };
  });
  app.post(`${base.path}/renew`, { config, schema: renewSchema(base) }, async ({ params, body }) => {
    const receiver = receiverOf(deps, brokerPath(params as EntityParams, body.of), body.session);
    return { lockedUntil: (await receiver.renewLock(body.lockTokens)).map((until) => until.toISOString()) };
  });
}

function receiverOf({ broker, sessions }: ReceiveDeps, path: string, session: string | undefined): Receiver {
  return session === undefined ? broker.receiver(path) : sessions.get(path, session);
}

type SettleInput = { as: string; properties?: unknown; reason?: string; description?: string };

function settlementOf({ as, properties, reason, description }: SettleInput): Settlement {
  // The schema says that the properties are JSON properties.
  const changed =
    properties === undefined ? {} : { properties: propertiesFromJson(properties as Record<string, unknown>) };
  if (as === 'deadLetter')
    return {
      kind: 'deadLetter',
      ...changed,
      ...(reason === undefined ? {} : { reason }),
      ...(description === undefined ? {} : { description }),
    };
  if (as === 'release') return { kind: 'abandon', counted: false };
  if (as === 'complete') return { kind: 'complete' };
  return { kind: as === 'defer' ? 'defer' : 'abandon', ...changed };
}

function addPeek(app: App, base: EntityBase, { broker }: ReceiveDeps): void {
  const config = { access: base.need('listen') };
  app.get(`${base.path}/messages`, { config, schema: peekSchema(base) }, async ({ params, query }) => {
    const { of, limit } = query;
    const from = decodeNumberCursor('messages', query.cursor) ?? query.from ?? 0;
    const peeked = await broker.receiver(brokerPath(params as EntityParams, of)).peek({ from, max: limit });
    const last = peeked.length === limit ? peeked.at(-1)!.message.sequence + 1 : undefined;
    return {
      items: peeked.map(({ message, state }) => ({ ...messageToJson(message), state })),
      next: encodeCursor('messages', last),
    };
  });
}

function shown(message: Received) {
  const { lockToken, lockedUntil, ...plain } = message;
  if (lockedUntil === undefined) return messageToJson(plain);
  return { ...messageToJson(plain), lockToken, lockedUntil: lockedUntil.toISOString() };
}

const tags = ['messages'];

function receiveSchema({ params, what }: EntityBase) {
  return {
    operationId: `receiveFrom${what}`,
    summary: 'Receive messages',
    description:
      'Waits up to `waitMs` for the first. With `peekLock` each message is locked until `lockedUntil`: settle it by its token. With `receiveAndDelete` it is done with.',
    tags,
    params,
    body: ReceiveBody,
    response: responses({ 200: Type.Object({ messages: Type.Array(ReceivedSchema) }) }, 409, 410),
  };
}

function settleSchema({ params, what }: EntityBase) {
  return {
    operationId: `settleOn${what}`,
    summary: 'Settle received messages',
    description:
      'Answers when it is durable. If some locks are lost, the others are settled, and `lost` names the lost ones.',
    tags,
    params,
    body: SettleBody,
    response: responses({ 200: Type.Object({ settled: Type.Integer() }) }, 410),
  };
}

function renewSchema({ params, what }: EntityBase) {
  return {
    operationId: `renewOn${what}`,
    summary: 'Renew the locks of messages',
    tags,
    params,
    body: RenewBody,
    response: responses({ 200: Type.Object({ lockedUntil: Type.Array(Time()) }) }, 410),
  };
}

function peekSchema({ params, what }: EntityBase) {
  return {
    operationId: `peek${what}`,
    summary: 'Look at messages without taking them',
    tags,
    params,
    querystring: Type.Object({
      of: Of,
      from: Type.Optional(Type.Integer({ minimum: 0, description: 'From this sequence number on.' })),
      ...PageQuery,
    }),
    response: responses({ 200: PageOf(PeekedSchema) }),
  };
}
