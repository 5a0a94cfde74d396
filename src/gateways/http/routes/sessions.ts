// Sessions over HTTP: accept one (the next that has messages, or by its id), receive with its token, keep state with it.
import { Type } from 'typebox';
import { Refusal } from '../../../kit/refusal.ts';
import type { Receiver } from '../../../topics/receive/receiver.ts';
import type { App } from '../app.ts';
import { brokerPath, type EntityBase, type EntityParams, entityBases } from '../entity-paths.ts';
import { Nullable, responses, Time } from '../schemas.ts';
import type { ReceiveDeps } from './receive.ts';

const AcceptBody = Type.Object(
  {
    id: Type.Optional(
      Type.String({ minLength: 1, maxLength: 128, description: 'This one; else the next that has messages.' }),
    ),
    waitMs: Type.Integer({ minimum: 0, maximum: 60_000, default: 0 }),
    mode: Type.Enum(['peekLock', 'receiveAndDelete'], { default: 'peekLock' }),
  },
  { additionalProperties: false, examples: [{ waitMs: 20_000 }] },
);
const Held = Type.Object({
  session: Type.String({ description: 'The token: send it with receive and settle.' }),
  id: Type.String(),
  lockedUntil: Time(),
});
const State = Type.Object(
  {
    stateBase64: Nullable(Type.String({ maxLength: 350_000, description: 'Null when there is none; null clears it.' })),
  },
  { additionalProperties: false },
);

export function sessionRoutes(app: App, deps: ReceiveDeps): void {
  const stopping = new AbortController();
  app.addHook('preClose', async () => stopping.abort());
  app.addHook('onClose', () => deps.sessions.stop());
  for (const base of entityBases) {
    addAccept(app, base, deps, stopping.signal);
    addHeld(app, base, deps);
  }
}

function addAccept(app: App, base: EntityBase, { broker, sessions }: ReceiveDeps, stopping: AbortSignal): void {
  const config = { access: base.need('listen') };
  app.get(`${base.path}/sessions`, { config, schema: listSchema(base) }, async ({ params, query }) => ({
    items: await broker.sessions(brokerPath(params as EntityParams), { skip: query.skip, top: query.limit }),
  }));
  app.post(`${base.path}/sessions`, { config, schema: acceptSchema(base) }, async ({ params, body }, reply) => {
    const path = brokerPath(params as EntityParams);
    const { id, waitMs, mode } = body;
    const receiver = await broker.acceptSession(path, { id, waitMs, signal: stopping }, { mode });
    if (!receiver) throw new Refusal('not_found', 'No session has messages now.');
    const session = sessions.add(path, receiver);
    return reply.code(201).send({ session, ...placeOf(receiver) });
  });
}

function placeOf(receiver: Receiver) {
  // A receiver that acceptSession returned has a session.
  return { id: receiver.sessionId!, lockedUntil: receiver.sessionLockedUntil!.toISOString() };
}

function addHeld(app: App, base: EntityBase, { sessions }: ReceiveDeps): void {
  const path = `${base.path}/sessions/:session`;
  const config = { access: base.need('listen') };
  const held = (params: unknown) => {
    const given = params as EntityParams & { session: string }; // as the schema of the route says
    return { path: brokerPath(given), token: given.session };
  };
  const get = (params: unknown) => {
    const { path, token } = held(params);
    return sessions.get(path, token);
  };
  app.post(`${path}/renew`, { config, schema: renewSchema(base) }, async ({ params }) => {
    return { lockedUntil: (await get(params).renewSessionLock()).toISOString() };
  });
  app.get(`${path}/state`, { config, schema: getStateSchema(base) }, async ({ params }) => {
    return { stateBase64: (await get(params).getSessionState())?.toString('base64') ?? null };
  });
  app.put(`${path}/state`, { config, schema: putStateSchema(base) }, async ({ params, body }, reply) => {
    await get(params).setSessionState(body.stateBase64 === null ? undefined : Buffer.from(body.stateBase64, 'base64'));
    return reply.code(204).send(null);
  });
  app.delete(path, { config, schema: releaseSchema(base) }, async ({ params }, reply) => {
    const { path, token } = held(params);
    await sessions.release(path, token);
    return reply.code(204).send(null);
  });
}

const tags = ['messages'];

function heldParams({ params }: EntityBase) {
  return Type.Object({
    ...params.properties,
    session: Type.String({ maxLength: 64, description: 'The token of the session.' }),
  });
}

function listSchema({ params, what }: EntityBase) {
  return {
    operationId: `listSessionsOf${what}`,
    summary: 'List the sessions that have messages',
    tags,
    params,
    querystring: Type.Object({
      skip: Type.Integer({ minimum: 0, default: 0 }),
      limit: Type.Integer({ minimum: 1, maximum: 500, default: 50 }),
    }),
    response: responses({ 200: Type.Object({ items: Type.Array(Type.String()) }) }),
  };
}

function acceptSchema({ params, what }: EntityBase) {
  return {
    operationId: `acceptSessionOf${what}`,
    summary: 'Accept a session',
    description:
      'Its messages come in order, and to nobody else while it is held. Answers 404 when none has messages in time.',
    tags,
    params,
    body: AcceptBody,
    response: responses({ 201: Held }, 409),
  };
}

function renewSchema(base: EntityBase) {
  const response = responses({ 200: Type.Object({ lockedUntil: Time() }) }, 410);
  return {
    operationId: `renewSessionOf${base.what}`,
    summary: 'Renew the lock of a session',
    tags,
    params: heldParams(base),
    response,
  };
}

function getStateSchema(base: EntityBase) {
  const response = responses({ 200: State }, 410);
  return {
    operationId: `getSessionStateOf${base.what}`,
    summary: 'Read the state of a session',
    tags,
    params: heldParams(base),
    response,
  };
}

function putStateSchema(base: EntityBase) {
  const response = responses({ 204: Type.Null({ description: 'The state is kept.' }) }, 410);
  return {
    operationId: `putSessionStateOf${base.what}`,
    summary: 'Keep state with a session',
    tags,
    params: heldParams(base),
    body: State,
    response,
  };
}

function releaseSchema(base: EntityBase) {
  const response = responses({ 204: Type.Null({ description: 'The session is free.' }) }, 410);
  return {
    operationId: `releaseSessionOf${base.what}`,
    summary: 'Release a session',
    tags,
    params: heldParams(base),
    response,
  };
}
