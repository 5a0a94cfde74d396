// Operations on the locks of messages: renewing them, and settling by token from another link or after a reconnect.
import { Refusal } from '../../../kit/refusal.ts';
import type { Settlement } from '../../../topics/receive/settle.ts';
import * as to from '../amqp/encode.ts';
import { toProperties } from '../disposition.ts';
import { type ManagementContext, type Operation, type Result, receiverFor } from './answer.ts';
import { type Fields, wrong } from './fields.ts';
import { OK, timestamps } from './reply.ts';

export const locks = {
  'renew-lock': { right: 'Listen', run: renewLock },
  'update-disposition': { right: 'Listen', run: updateDisposition },
} as const satisfies Record<string, Operation>;

async function renewLock(context: ManagementContext, body: Fields): Promise<Result> {
  const until = await receiverFor(context, body).renewLock(body.tokens('lock-tokens'));
  return { status: 200, body: to.map([to.string('expirations'), timestamps(until)]) };
}

async function updateDisposition(context: ManagementContext, body: Fields): Promise<Result> {
  const held = await receiverFor(context, body).trySettle(body.tokens('lock-tokens'), settlementOf(body));
  if (held.includes(false))
    throw new Refusal(
      'lock_lost',
      'The lock supplied is invalid. Either the lock expired, or the message has already been removed.',
    );
  return OK;
}

function settlementOf(body: Fields): Settlement {
  const properties = toProperties(body.value('properties-to-modify'));
  switch (body.requiredText('disposition-status')) {
    case 'completed':
      return { kind: 'complete' };
    case 'abandoned':
      return { kind: 'abandon', properties };
    case 'defered': // The protocol's own spelling.
    case 'deferred':
      return { kind: 'defer', properties };
    case 'suspended': {
      const [reason, description] = [body.text('deadletter-reason'), body.text('deadletter-description')];
      return { kind: 'deadLetter', reason, description, properties };
    }
    default:
      throw wrong('disposition-status', 'completed, abandoned, defered or suspended');
  }
}
