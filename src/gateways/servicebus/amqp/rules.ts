// Rules as AMQP has them. In a listing they are described lists whose descriptors are numbers of Microsoft's (a filter's
// has one hexadecimal zero fewer than a rule's or an action's); in a request to add one they are plain maps.
import { Refusal } from '../../../kit/refusal.ts';
import {
  CORRELATION_FIELDS,
  type CorrelationFilter,
  type Rule,
  type RuleFilter,
} from '../../../topics/entities/rule.ts';
import type { PropertyValue } from '../../../topics/message.ts';
import { type AmqpValue, textEntries } from './decode.ts';
import * as to from './encode.ts';
import { toProperty } from './incoming.ts';

const RULE = 0x13700000004n;
const EMPTY_ACTION = 0x13700000005n;
const SQL_ACTION = 0x13700000006n;
const SQL_FILTER = 0x1370000006n;
const TRUE_FILTER = 0x1370000007n;
const FALSE_FILTER = 0x1370000008n;
const CORRELATION_FILTER = 0x1370000009n;
const COMPATIBILITY_LEVEL = 20;

export function encodeRule(rule: Rule): to.Encoded {
  const action = rule.action
    ? to.described(SQL_ACTION, to.list([to.string(rule.action), to.int(COMPATIBILITY_LEVEL)]))
    : to.described(EMPTY_ACTION, to.list([]));
  const createdAt = to.timestamp(rule.createdAt ?? new Date(0));
  return to.described(RULE, to.list([encodeFilter(rule.filter), action, to.string(rule.name), createdAt]));
}

function encodeFilter(filter: RuleFilter): to.Encoded {
  if (filter.type === 'true') return to.described(TRUE_FILTER, to.list([]));
  if (filter.type === 'false') return to.described(FALSE_FILTER, to.list([]));
  if (filter.type === 'sql')
    return to.described(SQL_FILTER, to.list([to.string(filter.expression), to.int(COMPATIBILITY_LEVEL)]));
  const texts = CORRELATION_FIELDS.map((name) => {
    const value = filter[name];
    return value === undefined ? to.nothing() : to.string(value);
  });
  const properties = Object.entries(filter.properties ?? {}).flatMap(([name, value]) => [
    to.string(name),
    to.encode(value instanceof Uint8Array ? Buffer.from(value) : value),
  ]);
  return to.described(CORRELATION_FILTER, to.list([...texts, to.map(properties)]));
}

/** The names of the fields in a request, in the order of CORRELATION_FIELDS. */
const WIRE_NAMES = [
  'correlation-id',
  'message-id',
  'to',
  'reply-to',
  'label',
  'session-id',
  'reply-to-session-id',
  'content-type',
] as const;

/** Reads the map of an `add-rule` request; keys that are absent may be null. */
export function readRule(name: string, description: AmqpValue): Rule {
  const given = new Map(textEntries(description));
  const sql = given.get('sql-filter');
  const correlation = given.get('correlation-filter');
  const action = new Map(textEntries(given.get('sql-rule-action') ?? null)).get('expression');
  return {
    name,
    filter: filterOf(sql ?? null, correlation ?? null),
    ...(typeof action === 'string' ? { action } : {}),
  };
}

function filterOf(sql: AmqpValue, correlation: AmqpValue): RuleFilter {
  if (sql !== null) {
    const expression = new Map(textEntries(sql)).get('expression');
    if (typeof expression !== 'string') throw new Refusal('filter_invalid', 'The SQL filter has no expression.');
    return sqlFilter(expression);
  }
  if (correlation === null) return { type: 'true' };
  const given = new Map(textEntries(correlation));
  const texts = CORRELATION_FIELDS.map((name, i) => [name, textOf(given.get(WIRE_NAMES[i]!) ?? null)] as const);
  const properties = textEntries(given.get('properties') ?? null).map(
    ([key, value]) => [key, toProperty(value)] as const,
  );
  return correlationFilter(texts, properties);
}

/** `1=1` and `1=0` are how clients spell the filters that take everything and nothing. */
export function sqlFilter(expression: string): RuleFilter {
  const plain = expression.replaceAll(/\s/g, '');
  if (plain === '1=1') return { type: 'true' };
  return plain === '1=0' ? { type: 'false' } : { type: 'sql', expression };
}

type Field = (typeof CORRELATION_FIELDS)[number];

export function correlationFilter(
  texts: readonly (readonly [Field, string | undefined])[],
  properties: readonly (readonly [string, PropertyValue])[],
): CorrelationFilter {
  return {
    type: 'correlation',
    ...Object.fromEntries(texts.filter(([, value]) => value !== undefined)),
    ...(properties.length > 0 ? { properties: Object.fromEntries(properties) } : {}),
  };
}

function textOf(value: AmqpValue): string | undefined {
  if (value === null || value === '') return undefined;
  return typeof value === 'object' && !('toString' in value) ? undefined : String(value);
}
