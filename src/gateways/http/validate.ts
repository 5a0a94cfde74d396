// Requests against their schemas. A path or a query is text, so "10" may stand for 10 there; a body is taken as it is:
// a number where a string belongs is a mistake that the sender wants to hear of. All faults are told at once, by field.
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/schema';
import { isRecord } from '../../kit/record.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { FieldFault } from './problem.ts';

/** What the validator says of one place in the request. */
type Fault = {
  readonly keyword: string;
  readonly schemaPath: string;
  readonly instancePath: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly message: string;
};

type Verdict = { readonly value: unknown } | { readonly error: Refusal };

/** Fastify's validator compiler. `part` is `body`, `params`, `querystring` or `headers`. */
export function compileValidator(schema: TSchema, part: string): (value: unknown) => Verdict {
  const compiled = Compile(schema);
  const properties = propertiesOf(schema);
  const place = part === 'body' ? '' : part === 'querystring' ? 'query ' : `${part} `;
  return (given) => {
    const value = withDefaults(properties, part === 'body' ? given : fromText(properties, given));
    if (compiled.Check(value)) return { value };
    const [, faults] = compiled.Errors(value);
    return { error: refusalOf(fieldFaults(faults as Fault[], place)) }; // params differ by keyword, and are read as such
  };
}

/** `typebox/value` could do these two as well, but its loading costs every start of the server a tenth of a second. */
function withDefaults(properties: Properties, given: unknown): unknown {
  if (!isRecord(given)) return given;
  const value: Record<string, unknown> = { ...given };
  for (const [name, { default: preset }] of properties) {
    if (preset !== undefined && value[name] === undefined) value[name] = preset;
  }
  return value;
}

function fromText(properties: Properties, given: unknown): Record<string, unknown> {
  const value: Record<string, unknown> = { ...(given as Record<string, unknown>) }; // Fastify parsed it to a record
  for (const [name, { type }] of properties) {
    const text = value[name];
    if (typeof text !== 'string') continue;
    if ((type === 'integer' || type === 'number') && /^-?\d{1,17}(?:\.\d+)?$/.test(text)) value[name] = Number(text);
    if (type === 'boolean' && (text === 'true' || text === 'false')) value[name] = text === 'true';
  }
  return value;
}

type Properties = readonly [string, { readonly type?: string; readonly default?: unknown }][];

function propertiesOf(schema: TSchema): Properties {
  return Object.entries(('properties' in schema ? schema.properties : {}) as Record<string, Properties[number][1]>); // an object schema's
}

function refusalOf(errors: readonly FieldFault[]): Refusal {
  const words = errors.map(({ field, problem }) => `${field} ${problem}`).join('; ');
  return new Refusal('bad_request', `The request is not valid: ${words}.`, { errors });
}

function fieldFaults(faults: readonly Fault[], place: string): FieldFault[] {
  // Of a choice between forms only the choice itself is told, not how each form fails.
  const choices = faults.filter(({ keyword }) => keyword === 'anyOf').map(({ schemaPath }) => `${schemaPath}/anyOf/`);
  return faults
    .filter(
      ({ keyword, schemaPath }) => keyword !== 'boolean' && !choices.some((choice) => schemaPath.startsWith(choice)),
    )
    .flatMap((fault) => oneOrMore(fault, place));
}

function oneOrMore({ keyword, instancePath, params, message }: Fault, place: string): FieldFault[] {
  const path = instancePath.slice(1).replaceAll('/', '.');
  const at = (name: unknown) => place + ([path, name].filter(Boolean).join('.').slice(0, 200) || 'body');
  const names = (list: unknown) => (list as readonly string[]).slice(0, 20); // both keywords list names
  if (keyword === 'required')
    return names(params.requiredProperties).map((name) => ({ field: at(name), problem: 'is missing' }));
  if (keyword === 'additionalProperties')
    return names(params.additionalProperties).map((name) => ({ field: at(name), problem: 'is not known here' }));
  return [{ field: at(''), problem: problemOf(keyword, params, message) }];
}

function problemOf(keyword: string, params: Fault['params'], message: string): string {
  if (keyword === 'enum') return `must be one of ${JSON.stringify(params.allowedValues)}`;
  if (keyword === 'anyOf') return 'has none of the forms that are possible here';
  return message;
}
