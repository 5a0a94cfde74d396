// Where a consumer of events wants to begin: a filter of its source, in the words of a selector.
import { Refusal } from '../../../kit/refusal.ts';
import type { LogPosition } from '../../../topics/receive/log-reader.ts';
import { AmqpDescribed, AmqpSymbol, type AmqpValue } from '../amqp/decode.ts';

const SELECTOR_FILTER = 'apache.org:selector-filter:string';
const SELECTOR = /^\s*amqp\.annotation\.x-opt-(offset|sequence-number|enqueued-time)\s*(>=?)\s*'?([^']*?)'?\s*$/i;

/** The oldest event, where the filters say nothing of it. Refuses a selector that it does not know. */
export function positionOf(filters: ReadonlyMap<string, AmqpValue>): LogPosition {
  const given = filters.get(SELECTOR_FILTER);
  if (given === undefined || given === null) return 'oldest';
  const text = textOf(given instanceof AmqpDescribed ? given.value : given);
  const [, what, operator, value] = SELECTOR.exec(text) ?? [];
  if (what === undefined || value === undefined) throw wrong(text);
  if (value === '@latest') return 'end';
  const number = /^-?\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw wrong(text);
  const from = operator === '>' ? number + 1 : number;
  if (what.toLowerCase() === 'enqueued-time') return { time: new Date(Math.max(0, Math.min(from, LATEST_MS))) };
  return from <= 0 ? 'oldest' : { sequence: from };
}

/** The last moment that JavaScript has a date for. */
const LATEST_MS = 8_640_000_000_000_000;

function textOf(value: AmqpValue): string {
  if (value instanceof AmqpSymbol) return value.text;
  return typeof value === 'string' ? value : '';
}

function wrong(text: string): Refusal {
  const words = `The filter '${text.slice(0, 200)}' is no place in a partition.`;
  return new Refusal('bad_request', words, { condition: 'com.microsoft:argument-error' });
}
