// Delivery states as the door writes them (AMQP 1.0, part 3.4, and part 4.5 for those inside a transaction).

import * as to from './amqp/encode.ts';
import { box, type Typed } from './amqp/rhea-internals.ts';
import type { AmqpError } from './errors.ts';

const RECEIVED = 0x23;
export const ACCEPTED = 0x24;
export const REJECTED = 0x25;
export const RELEASED = 0x26;
export const MODIFIED = 0x27;
export const DECLARED = 0x33;
export const TRANSACTIONAL = 0x34;

/** Outcomes that end a delivery; `received` does not. */
export function isOutcome(code: number): boolean {
  return code > RECEIVED;
}

export function accepted(): to.Encoded {
  return to.described(ACCEPTED, to.list([]));
}

/** The same outcome as the client's, without an error in it: the answer that every SDK takes for success. */
export function confirmation(code: number): to.Encoded {
  if (code === MODIFIED) return to.described(code, to.list([to.nothing(), to.nothing(), to.nothing()]));
  return to.described(code, code === REJECTED ? to.list([to.nothing()]) : to.list([]));
}

export function rejected({ condition, description }: AmqpError): to.Encoded {
  const error = to.described(0x1d, to.list([to.symbol(condition), to.string(description), to.nothing()]));
  return to.described(REJECTED, to.list([error]));
}

export function declared(transaction: Uint8Array): to.Encoded {
  return to.described(DECLARED, to.list([to.binary(transaction)]));
}

export function inTransaction(transaction: Uint8Array, outcome: to.Encoded): to.Encoded {
  return to.described(TRANSACTIONAL, to.list([to.binary(transaction), outcome]));
}

export function boxed(outcome: to.Encoded): Typed {
  return box(outcome);
}
