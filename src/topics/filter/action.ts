// Rule actions: SET and REMOVE statements that change a subscription's own copy of a message. Statements run in order
// and see what the earlier ones wrote. It is all or nothing: a fault in one writes none.
import { type Context, compileValue, spelled } from './compile.ts';
import { FilterFault } from './fault.ts';
import { type CompileOptions, contextOf, namesIn, type UsedName } from './filter.ts';
import { type Lookup, type PropertyValue, type Scope, type SystemProperty, systemProperties } from './lookup.ts';
import { parseAction } from './parse.ts';
import { invalid, type Property, type Statement } from './syntax.ts';
import { instant } from './values.ts';

/**
 * Sets a property, or removes it if `value` is undefined (user properties only). `name` is as the action wrote it; a
 * property that the message has in another spelling of `folded` is the same property.
 */
export type Write = (scope: Scope, name: string, value: PropertyValue | undefined, folded: string) => void;

export type Action = {
  readonly text: string;
  readonly statements: readonly Statement[];
  readonly usedNames: readonly UsedName[];
  /** Writes each changed property once, with its last value, or gives the fault and writes nothing. */
  apply(lookup: Lookup, write: Write): FilterFault | undefined;
};

type Changes = Map<string, { readonly scope: Scope; readonly name: string; readonly value: PropertyValue | undefined }>;
type Step = (lookup: Lookup, changes: Changes) => FilterFault | undefined;

/** Throws Refusal `filter_invalid`; a system property that a sender cannot set cannot be set here either. */
export function compileAction(text: string, options: CompileOptions = {}): Action {
  const context = contextOf(text, options);
  const statements = parseAction(text, context.limits);
  const steps = statements.map((statement) => step(statement, context));
  const usedNames = namesIn(statements.flatMap((s) => (s.kind === 'set' ? [s.target, s.value] : [s.target])));
  return { text, statements, usedNames, apply: (lookup, write) => apply(steps, lookup, write) };
}

function apply(steps: readonly Step[], lookup: Lookup, write: Write): FilterFault | undefined {
  const changes: Changes = new Map();
  const current: Lookup = (scope, name, folded) => {
    const change = changes.get(`${scope}.${folded}`);
    return change ? change.value : lookup(scope, name, folded);
  };
  for (const run of steps) {
    const fault = run(current, changes);
    if (fault) return fault;
  }
  for (const { scope, name, value } of changes.values()) write(scope, name, value, name.toLowerCase());
  return undefined;
}

function step(statement: Statement, context: Context): Step {
  const { scope, name, folded } = spelled(statement.target.scope, statement.target.name);
  const key = `${scope}.${folded}`;
  if (statement.kind === 'remove') {
    return (_lookup, changes) => {
      changes.set(key, { scope, name, value: undefined });
      return undefined;
    };
  }
  const value = compileValue(statement.value, context);
  const convert = scope === 'sys' ? intoSystem(statement.target, context.text) : intoUser;
  return (lookup, changes) => {
    const result = value(lookup);
    if (result instanceof FilterFault) return result;
    const converted = convert(result, lookup(scope, name, folded));
    if (converted instanceof FilterFault) return converted;
    changes.set(key, { scope, name, value: converted });
    return undefined;
  };
}

type Convert = (value: PropertyValue, present: PropertyValue | undefined) => PropertyValue | FilterFault;

/** A user property keeps its type where the new value can become that type, and else takes the new one. */
function intoUser(value: PropertyValue, present: PropertyValue | undefined): PropertyValue {
  const kind = present === undefined ? undefined : kindOf(present);
  return kind === undefined ? value : (become(value, kind) ?? value);
}

/** A system property has its type; a value that cannot become it is a fault. */
function intoSystem(target: Property, text: string): Convert {
  const known = systemProperties.get(target.name.toLowerCase());
  if (known && !known.settable) throw invalid(`The system property ${known.name} cannot be set`, text, target.at);
  const missing = new FilterFault('no_such_system_property', `There is no system property ${target.name}`, target.at);
  const unfit = new FilterFault('types_differ', `The value does not fit the system property ${target.name}`, target.at);
  return (value, present) => {
    if (present === undefined) return missing;
    return known === undefined ? value : (become(value, known.type) ?? (value === null ? null : unfit));
  };
}

type Kind = SystemProperty['type'] | 'boolean';

function kindOf(value: PropertyValue): Kind | undefined {
  if (value instanceof Date) return 'date';
  if (typeof value === 'bigint') return 'number';
  return value === null || value instanceof Uint8Array ? undefined : (typeof value as Kind);
}

/** The value as that kind; undefined if it has no such form. null becomes nothing. */
function become(value: PropertyValue, kind: Kind): PropertyValue | undefined {
  if (value === null || kindOf(value) === kind) return value ?? undefined;
  if (kind === 'string') return textOf(value);
  if (kind === 'date') return dateOf(value);
  if (typeof value !== 'string') return undefined;
  return kind === 'number' ? numberOf(value) : booleans.get(value.toLowerCase());
}

const booleans: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['false', false],
]);

function textOf(value: Exclude<PropertyValue, null>): string | undefined {
  if (value instanceof Uint8Array) return undefined;
  if (!(value instanceof Date)) return `${value}`;
  return Number.isNaN(value.getTime()) ? undefined : value.toISOString();
}

function dateOf(value: PropertyValue): Date | undefined {
  const time = instant(value);
  return time === undefined ? undefined : new Date(time);
}

/** Whole numbers keep all their 64 bits. */
function numberOf(text: string): number | bigint | undefined {
  if (!/^[+-]?\d{1,30}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,3})?$/.test(text)) return undefined;
  const plain = Number(text);
  if (Number.isSafeInteger(plain) || !/^-?\d+$/.test(text)) return Number.isFinite(plain) ? plain : undefined;
  const exact = BigInt(text);
  return BigInt.asIntN(64, exact) === exact ? exact : plain;
}
