// What a client says about a delivery, in the words of the broker (AMQP 1.0, part 3.4; Service Bus's use of it).
import { Refusal } from '../../kit/refusal.ts';
import type { PropertyValue } from '../../topics/message.ts';
import type { Settlement } from '../../topics/receive/settle.ts';
import { AmqpDescribed, type AmqpValue, textEntries } from './amqp/decode.ts';
import { toProperty } from './amqp/incoming.ts';
import { ACCEPTED, MODIFIED, REJECTED, RELEASED, TRANSACTIONAL } from './outcomes.ts';

export type Verdict = {
  /** The descriptor of the outcome, which the answer repeats. */
  readonly code: number;
  readonly how: Settlement;
  readonly transaction: Buffer | undefined;
};

/** `undefined` for states that settle nothing. */
export function readVerdict(state: AmqpValue): Verdict | undefined {
  if (!(state instanceof AmqpDescribed)) return undefined;
  const code = codeOf(state.descriptor);
  const fields = Array.isArray(state.value) ? state.value : [];
  if (code === TRANSACTIONAL) return inTransaction(fields);
  const how = settlementOf(code, fields);
  return how && { code, how, transaction: undefined };
}

function inTransaction([id, outcome]: readonly AmqpValue[]): Verdict | undefined {
  if (!Buffer.isBuffer(id)) throw new Refusal('bad_request', 'The transactional state names no transaction.');
  const verdict = readVerdict(outcome ?? null);
  return verdict && { ...verdict, transaction: id };
}

function settlementOf(code: number, fields: readonly AmqpValue[]): Settlement | undefined {
  if (code === ACCEPTED) return { kind: 'complete' };
  if (code === RELEASED) return { kind: 'abandon', counted: false };
  if (code === REJECTED) return deadLetter(fields[0] ?? null);
  if (code !== MODIFIED) return undefined;
  const [, undeliverableHere, changes] = fields;
  return { kind: undeliverableHere === true ? 'defer' : 'abandon', properties: toProperties(changes ?? null) };
}

const SAID = ['DeadLetterReason', 'DeadLetterErrorDescription'] as const;

/** The error's info holds reason, description and properties to change; .NET sends no error when it has no reason. */
function deadLetter(error: AmqpValue): Settlement {
  const fields = error instanceof AmqpDescribed && Array.isArray(error.value) ? error.value : [];
  const info = new Map(textEntries(fields[2] ?? null));
  const [reason, description] = SAID.map((name) => info.get(name));
  for (const name of SAID) info.delete(name);
  return {
    kind: 'deadLetter',
    ...(typeof reason === 'string' ? { reason } : {}),
    ...(typeof description === 'string' ? { description } : {}),
    properties: toProperties(new Map(info)),
  };
}

export function toProperties(changes: AmqpValue): Record<string, PropertyValue> | undefined {
  const entries = textEntries(changes);
  if (entries.length === 0) return undefined;
  return Object.fromEntries(entries.map(([name, value]) => [name, toProperty(value)]));
}

const symbolic: Readonly<Record<string, number>> = {
  'amqp:accepted:list': ACCEPTED,
  'amqp:rejected:list': REJECTED,
  'amqp:released:list': RELEASED,
  'amqp:modified:list': MODIFIED,
  'amqp:transactional-state:list': TRANSACTIONAL,
};

function codeOf(descriptor: AmqpValue): number {
  return typeof descriptor === 'number' ? descriptor : (symbolic[String(descriptor)] ?? 0);
}
