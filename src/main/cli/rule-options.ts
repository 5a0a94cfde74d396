// Filters and actions as flags, for the HTTP API and for the client library of Service Bus. Without a filter a rule takes
// everything.
import type { CorrelationRuleFilter, SqlRuleFilter } from '@azure/service-bus';
import { CORRELATION_FIELDS } from '../../topics/entities/rule.ts';
import { type Call, type Option, pairsOption, stringOption, UsageError } from './command.ts';

type Scalar = string | number | boolean;
export type GivenRule = { readonly filter: GivenFilter; readonly action: string | undefined };
export type GivenFilter =
  | { readonly type: 'sql'; readonly expression: string; readonly parameters: Readonly<Record<string, Scalar>> }
  | {
      readonly type: 'correlation';
      readonly fields: Readonly<Record<string, string>>;
      readonly properties: Readonly<Record<string, Scalar>>;
    }
  | { readonly type: 'true' | 'false' };

const TYPED = 'name=text, or name:=json for a number, true or false';

export const ruleOptions: Readonly<Record<string, Option>> = {
  sql: { type: 'string', shows: 'filter', sentence: `An SQL filter, such as "level > 3 AND sys.Label LIKE 'hr.%'".` },
  parameter: {
    type: 'string',
    shows: 'name=value',
    multiple: true,
    sentence: `A value for @name in the SQL filter: ${TYPED}; repeatable.`,
  },
  correlation: {
    type: 'string',
    shows: 'field=value',
    multiple: true,
    sentence: `A field that must be equal: ${CORRELATION_FIELDS.join(', ')}; repeatable.`,
  },
  property: {
    type: 'string',
    shows: 'name=value',
    multiple: true,
    sentence: `A property that must be equal: ${TYPED}; repeatable.`,
  },
  all: { type: 'boolean', sentence: 'Take everything: what a rule without a filter does.' },
  none: { type: 'boolean', sentence: 'Take nothing.' },
  action: { type: 'string', shows: 'sql', sentence: `What to change on the copy, such as "SET urgency = 'high'".` },
};

/** What the flags say; `undefined` where none of them names a filter. */
export function readRule(call: Call): { filter: GivenFilter | undefined; action: string | undefined } {
  return { filter: readFilter(call), action: stringOption(call, 'action') };
}

function readFilter(call: Call): GivenFilter | undefined {
  const sql = stringOption(call, 'sql');
  const [fields, properties, parameters] = [
    pairsOption(call, 'correlation', 'field=value'),
    scalars(call, 'property'),
    scalars(call, 'parameter'),
  ];
  const isCorrelation = fields.length + Object.keys(properties).length > 0;
  const kinds = [sql !== undefined, isCorrelation, call.options.all === true, call.options.none === true];
  if (kinds.filter(Boolean).length > 1)
    throw new UsageError('Give one filter: --sql, or --correlation and --property, or --all, or --none.');
  if (sql === undefined && Object.keys(parameters).length > 0)
    throw new UsageError('--parameter gives values to --sql.');
  if (sql !== undefined) return { type: 'sql', expression: sql, parameters };
  if (isCorrelation) return { type: 'correlation', fields: knownFields(fields), properties };
  if (call.options.none) return { type: 'false' };
  return call.options.all ? { type: 'true' } : undefined;
}

function knownFields(pairs: readonly [string, string][]): Record<string, string> {
  const names: readonly string[] = CORRELATION_FIELDS;
  const unknown = pairs.find(([name]) => !names.includes(name));
  if (unknown)
    throw new UsageError(
      `--correlation: there is no field ${unknown[0]}; there are ${names.join(', ')}. Other names are properties: --property.`,
    );
  return Object.fromEntries(pairs);
}

/** `name=text`, or `name:=json` of a number or a truth value. */
export function scalars(call: Call, option: string): Record<string, Scalar> {
  return Object.fromEntries(
    pairsOption(call, option).map(([name, text]) =>
      name.endsWith(':') && name.length > 1 ? [name.slice(0, -1), scalar(option, text)] : [name, text],
    ),
  );
}

function scalar(option: string, text: string): Scalar {
  try {
    const value: unknown = JSON.parse(text);
    if (['string', 'number', 'boolean'].includes(typeof value)) return value as Scalar; // as was just checked
  } catch {
    // It is told below, like any other value.
  }
  throw new UsageError(`--${option}: behind := stands a number, true or false; it is "${text}".`);
}

/** A filter in the words of the HTTP API. */
export function filterForApi(filter: GivenFilter): Record<string, unknown> {
  if (filter.type === 'correlation') return { type: 'correlation', ...filter.fields, properties: filter.properties };
  return filter;
}

/** A filter in the words of the client library. */
export function filterForBus(filter: GivenFilter): SqlRuleFilter | CorrelationRuleFilter {
  if (filter.type === 'correlation') return { ...filter.fields, applicationProperties: filter.properties };
  if (filter.type === 'sql')
    return {
      sqlExpression: filter.expression,
      ...(Object.keys(filter.parameters).length > 0 ? { sqlParameters: atNames(filter.parameters) } : {}),
    };
  return { sqlExpression: filter.type === 'true' ? '1=1' : '1=0' };
}

function atNames(parameters: Readonly<Record<string, Scalar>>): Record<string, Scalar> {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [name.startsWith('@') ? name : `@${name}`, value]),
  );
}
