// Operations on sessions. A session is locked by a link; requests about it come on another link of the same connection.
import * as to from '../amqp/encode.ts';
import { type ManagementContext, type Operation, type Result, receiverFor } from './answer.ts';
import { type Fields, wrong } from './fields.ts';
import { OK, strings } from './reply.ts';

export const sessions = {
  'renew-session-lock': { right: 'Listen', run: renewSessionLock },
  'set-session-state': { right: 'Listen', run: setState },
  'get-session-state': { right: 'Listen', run: getState },
  'get-message-sessions': { right: 'Listen', run: listSessions },
} as const satisfies Record<string, Operation>;

async function renewSessionLock(context: ManagementContext, body: Fields): Promise<Result> {
  const until = await sessionReceiver(context, body).renewSessionLock();
  return { status: 200, body: to.map([to.string('expiration'), to.timestamp(until)]) };
}

async function setState(context: ManagementContext, body: Fields): Promise<Result> {
  await sessionReceiver(context, body).setSessionState(body.bytes('session-state'));
  return OK;
}

async function getState(context: ManagementContext, body: Fields): Promise<Result> {
  const state = await sessionReceiver(context, body).getSessionState();
  return { status: 200, body: to.map([to.string('session-state'), state ? to.binary(state) : to.nothing()]) };
}

/** .NET sends its largest date when it wants sessions that have messages, whatever their state. */
const NO_STATE_ASKED_MS = Date.UTC(9999, 0, 1);

async function listSessions({ broker, entity }: ManagementContext, body: Fields): Promise<Result> {
  const [skip, top] = [body.count('skip', 0), body.count('top', 100)];
  const after = body.date('last-updated-time');
  const since = after && after.getTime() < NO_STATE_ASKED_MS ? { updatedAfter: after } : {};
  const ids = await broker.sessions(entity().path, { ...since, skip, top });
  if (ids.length === 0) return { status: 204 };
  const fields = [to.string('skip'), to.int(skip + ids.length), to.string('sessions-ids'), strings(ids)];
  return { status: 200, body: to.map(fields) };
}

function sessionReceiver(context: ManagementContext, body: Fields) {
  if (body.text('session-id') === undefined) throw wrong('session-id', 'given');
  return receiverFor(context, body);
}
