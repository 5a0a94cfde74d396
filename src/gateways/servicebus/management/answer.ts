// `$management`: operations on an entity as requests and replies. Each is a function of its own, in files by family; here
// they are found by name, the right is checked, and what they answer or refuse becomes a reply.

import { Refusal } from '../../../kit/refusal.ts';
import type { Broker } from '../../../topics/broker.ts';
import type { Receiver } from '../../../topics/receive/receiver.ts';
import type { Entity } from '../address.ts';
import type { AmqpValue } from '../amqp/decode.ts';
import * as to from '../amqp/encode.ts';
import type { WireReply, WireRequest } from '../amqp/request.ts';
import type { Right } from '../authority.ts';
import type { EntityRecords } from '../entity-records.ts';
import { statusOf, type Tell } from '../errors.ts';
import { type SessionLocks, sessionKey } from '../session-locks.ts';
import { Fields } from './fields.ts';
import { locks } from './locks.ts';
import { messages } from './messages.ts';
import { rules } from './rules.ts';
import { sessions } from './sessions.ts';

export type ManagementContext = {
  readonly broker: Broker;
  readonly records: EntityRecords;
  readonly entity: () => Entity;
  readonly need: (right: Right) => void;
  /** Sessions that links of the same connection hold. */
  readonly sessions: SessionLocks;
  readonly tell: Tell;
};

export type Result =
  | { readonly status: 200; readonly body: to.Encoded }
  /** Nothing there: what clients take for an empty answer. */
  | { readonly status: 204; readonly condition?: string };

export type Operation = {
  readonly right: Right;
  readonly run: (context: ManagementContext, body: Fields) => Promise<Result>;
};

const PREFIX = 'com.microsoft:';
const operations: Readonly<Record<string, Operation>> = { ...messages, ...locks, ...sessions, ...rules };

export async function answerManagement(context: ManagementContext, request: WireRequest): Promise<WireReply> {
  try {
    const operation = findOperation(request.properties.get('operation'));
    context.need(operation.right);
    const result = await operation.run(context, new Fields(request.body));
    if (result.status === 200) return reply(request, 200, 'OK', undefined, result.body);
    return reply(request, 204, 'No Content', result.condition, to.nothing());
  } catch (error) {
    const { condition, description } = context.tell(error);
    return reply(request, statusOf(error), description, condition, to.nothing());
  }
}

function findOperation(given: AmqpValue | undefined): Operation {
  const name = String(given ?? '');
  const operation = name.startsWith(PREFIX) ? operations[name.slice(PREFIX.length)] : undefined;
  if (!operation || !Object.hasOwn(operations, name.slice(PREFIX.length)))
    throw new Refusal('method_not_allowed', `There is no operation "${name.slice(0, 100)}".`);
  return operation;
}

/** Both spellings of each property: some clients read the one, some the other. The status must be an int. */
export function reply(
  request: WireRequest,
  status: number,
  description: string,
  condition: string | undefined,
  body: to.Encoded,
): WireReply {
  const properties: [string, to.Encoded][] = [];
  const put = (camel: string, dashed: string, value: to.Encoded) => properties.push([camel, value], [dashed, value]);
  put('statusCode', 'status-code', to.int(status));
  put('statusDescription', 'status-description', to.string(description));
  if (condition !== undefined) put('errorCondition', 'error-condition', to.symbol(condition));
  const tracking = request.properties.get('com.microsoft:tracking-id');
  if (typeof tracking === 'string') properties.push(['com.microsoft:tracking-id', to.string(tracking)]);
  return { properties, body };
}

/** The receiver for a request: the one that holds the session if the request names one. */
export function receiverFor({ broker, entity, sessions }: ManagementContext, body: Fields): Receiver {
  const { path } = entity();
  const session = body.text('session-id');
  if (session === undefined) return broker.receiver(path);
  const receiver = sessions.get(sessionKey(path, session));
  if (!receiver) throw new Refusal('session_lock_lost', `The session lock for '${session.slice(0, 128)}' is not held.`);
  return receiver;
}
