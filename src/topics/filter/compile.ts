// Tree -> closures, once per filter. A closure asks the lookup and returns a value; it allocates nothing in the common
// cases (a property against a constant). AND and OR go from left to right and stop where the result is certain: a fault
// to the right of a false AND is never met, one to the left is the result.
import { randomUUID } from 'node:crypto';
import { type FaultCode, FilterFault } from './fault.ts';
import { likeMatcher, type Matcher } from './like.ts';
import { type Lookup, type PropertyValue, type Scope, systemProperties } from './lookup.ts';
import { childrenOf, type FilterLimits, invalid, type Node, type NodeOf } from './syntax.ts';
import { calculate, compare, last, signed, type Truth, type Value } from './values.ts';

export type Evaluate = (lookup: Lookup) => Value;
export type Test = (lookup: Lookup) => Truth;

/** What a compilation needs beside the tree. Parameters are by folded name without @. */
export type Context = {
  readonly text: string;
  readonly limits: FilterLimits;
  readonly parameters: ReadonlyMap<string, PropertyValue>;
};

/** Compiles a condition. Throws Refusal `filter_invalid` for a parameter without value or an impossible pattern. */
export function compileTest(node: Node, context: Context): Test {
  const test = testOf(node, context);
  if (!isConstant(node)) return test;
  const result = test(noLookup);
  return () => result;
}

function testOf(node: Node, context: Context): Test {
  switch (node.kind) {
    case 'and':
      return all(node.terms.map((term) => compileTest(term, context)));
    case 'or':
      return any(node.terms.map((term) => compileTest(term, context)));
    case 'not':
      return not(compileTest(node.operand, context));
    case 'compare':
      return comparison(node, context);
    case 'in':
      return membership(node, context);
    case 'like':
      return likeness(node, context);
    case 'null':
      return nullness(node, context);
    case 'exists':
      return existence(node, context);
    default:
      return bare(node, context);
  }
}

function all(terms: readonly Test[]): Test {
  return (lookup) => {
    let result: Truth = true;
    for (let i = 0; i < terms.length; i++) {
      const term = terms[i]!(lookup);
      if (term === null) result = null;
      else if (term !== true) return term;
    }
    return result;
  };
}

function any(terms: readonly Test[]): Test {
  return (lookup) => {
    let result: Truth = false;
    for (let i = 0; i < terms.length; i++) {
      const term = terms[i]!(lookup);
      if (term === null) result = null;
      else if (term !== false) return term;
    }
    return result;
  };
}

function not(operand: Test): Test {
  return (lookup) => negate(operand(lookup), true);
}

function negate(truth: Truth, negated: boolean): Truth {
  return typeof truth === 'boolean' ? truth !== negated : truth;
}

function comparison(node: NodeOf<'compare'>, context: Context): Test {
  const { operator } = node;
  const fault = faultAt(node, 'types_differ', `The values on both sides of ${operator} cannot be compared`);
  const left = compileValue(node.left, context);
  const right = compileValue(node.right, context);
  const constant = node.right.kind === 'literal' ? node.right.value : undefined;
  if (typeof constant === 'string' && (operator === '=' || operator === '<>')) {
    const equal = operator === '=';
    return (lookup) => {
      const value = left(lookup);
      return typeof value === 'string' ? (value === constant) === equal : compare(operator, value, constant, fault);
    };
  }
  return (lookup) => compare(operator, left(lookup), right(lookup), fault);
}

/** `x IN (a, b)` is `x = a OR x = b`, with x evaluated once. */
function membership(node: NodeOf<'in'>, context: Context): Test {
  const fault = faultAt(node, 'types_differ', 'A value of IN cannot be compared with the value before it');
  const operand = compileValue(node.operand, context);
  const list = node.list.map((item) => compileValue(item, context));
  const strings = stringSet(node.list);
  return (lookup) => {
    const value = operand(lookup);
    if (strings && typeof value === 'string') return strings.has(value) !== node.negated;
    if (value === null || value instanceof FilterFault) return value;
    return negate(isOneOf(value, list, lookup, fault), node.negated);
  };
}

/** All the strings of a list that holds nothing else. */
function stringSet(list: readonly Node[]): ReadonlySet<string> | undefined {
  const strings = new Set<string>();
  for (const item of list) {
    if (item.kind !== 'literal' || typeof item.value !== 'string') return undefined;
    strings.add(item.value);
  }
  return strings;
}

function isOneOf(value: PropertyValue, list: readonly Evaluate[], lookup: Lookup, fault: FilterFault): Truth {
  let result: Truth = false;
  for (const item of list) {
    const equal = compare('=', value, item(lookup), fault);
    if (equal === null) result = null;
    else if (equal !== false) return equal;
  }
  return result;
}

/** Operand, pattern, escape: the first fault of these is the result; then unknown, then a wrong type. */
function likeness(node: NodeOf<'like'>, context: Context): Test {
  const fault = faultAt(node, 'types_differ', 'LIKE compares strings only');
  const operand = compileValue(node.operand, context);
  const matcherFor = matcherOf(node, context, fault);
  return (lookup) => {
    const value = operand(lookup);
    if (value instanceof FilterFault) return value;
    const matcher = matcherFor(lookup);
    if (matcher instanceof FilterFault) return matcher;
    if (value === null || matcher === null) return null;
    return typeof value === 'string' ? matcher(value) !== node.negated : fault;
  };
}

type MatcherFor = (lookup: Lookup) => Matcher | null | FilterFault;

function matcherOf(node: NodeOf<'like'>, context: Context, fault: FilterFault): MatcherFor {
  const computed = computedMatcher(node, context, fault);
  if (node.pattern.kind !== 'literal' || (node.escape && node.escape.kind !== 'literal')) return computed;
  const constant = computed(noLookup);
  if (constant instanceof FilterFault) throw invalid(constant.message, context.text, constant.position);
  return () => constant;
}

/** A pattern that comes with the message: its last matcher is kept, because the next message mostly has the same. */
function computedMatcher(node: NodeOf<'like'>, context: Context, fault: FilterFault): MatcherFor {
  const bad = faultAt(node, 'bad_pattern', 'ESCAPE takes one character, which must not be the last of the pattern');
  const long = faultAt(node, 'bad_pattern', `A pattern has at most ${context.limits.maxLength} characters`);
  const pattern = compileValue(node.pattern, context);
  const escapeSign = node.escape ? compileValue(node.escape, context) : () => '';
  let kept: { pattern: string; escape: string; matcher: Matcher } | undefined;
  return (lookup) => {
    const wanted = pattern(lookup);
    if (wanted instanceof FilterFault) return wanted;
    const sign = escapeSign(lookup);
    if (wanted === null || sign === null || sign instanceof FilterFault)
      return sign instanceof FilterFault ? sign : null;
    if (typeof wanted !== 'string' || typeof sign !== 'string') return fault;
    if (kept?.pattern === wanted && kept.escape === sign) return kept.matcher;
    if (wanted.length > context.limits.maxLength) return long;
    if (node.escape && sign.length !== 1) return bad;
    const matcher = likeMatcher(wanted, sign === '' ? undefined : sign);
    if (!matcher) return bad;
    kept = { pattern: wanted, escape: sign, matcher };
    return matcher;
  };
}

function nullness(node: NodeOf<'null'>, context: Context): Test {
  const operand = compileValue(node.operand, context);
  return (lookup) => {
    const value = operand(lookup);
    return value instanceof FilterFault ? value : (value === null) !== node.negated;
  };
}

/** A user property exists even if it is null; a system property exists if it is set. Asking is never a fault. */
function existence(node: NodeOf<'exists'>, context: Context): Test {
  if (node.operand.kind === 'computed') return computedExistence(node.operand, context);
  const { scope, name, folded } = spelled(node.operand.scope, node.operand.name);
  if (scope === 'user') return (lookup) => lookup(scope, name, folded) !== undefined;
  return (lookup) => (lookup(scope, name, folded) ?? null) !== null;
}

function computedExistence(node: NodeOf<'computed'>, context: Context): Test {
  const name = nameOf(node, context);
  return (lookup) => {
    const found = name(lookup);
    if (found === null || found instanceof FilterFault) return found;
    return lookup('user', found, found.toLowerCase()) !== undefined;
  };
}

/** A value as a condition by itself: it must be a boolean. */
function bare(node: Node, context: Context): Test {
  const fault = faultAt(node, 'not_a_condition', 'The value is not a boolean, so it cannot be a condition by itself');
  const operand = compileValue(node, context);
  return (lookup) => {
    const value = operand(lookup);
    return typeof value === 'boolean' || value === null || value instanceof FilterFault ? value : fault;
  };
}

/** Compiles a value. Throws Refusal `filter_invalid` for a parameter without value. */
export function compileValue(node: Node, context: Context): Evaluate {
  switch (node.kind) {
    case 'literal':
      return () => node.value;
    case 'parameter': {
      const value = parameterValue(node, context);
      return () => value;
    }
    case 'newid':
      return () => randomUUID();
    case 'property':
      return property(node);
    case 'computed':
      return computedProperty(node, context);
    case 'sign':
      return sign(node, context);
    case 'arithmetic':
      return arithmetic(node, context);
    default:
      throw new Error(`The parser let a ${node.kind} through as a value`);
  }
}

function parameterValue(node: NodeOf<'parameter'>, context: Context): PropertyValue {
  const value = context.parameters.get(node.name.toLowerCase());
  if (value !== undefined) return value;
  throw invalid(`The parameter @${node.name} has no value`, context.text, node.at);
}

function property(node: NodeOf<'property'>): Evaluate {
  const { scope, name, folded } = spelled(node.scope, node.name);
  if (scope === 'user') return (lookup) => lookup(scope, name, folded) ?? null;
  const fault = faultAt(node, 'no_such_system_property', `There is no system property ${node.name}`);
  return (lookup) => {
    const value = lookup(scope, name, folded);
    return value === undefined ? fault : value;
  };
}

/** The name by which a lookup is asked: system properties have one spelling. */
export function spelled(scope: Scope, name: string): { scope: Scope; name: string; folded: string } {
  const folded = name.toLowerCase();
  const known = scope === 'sys' ? systemProperties.get(folded)?.name : undefined;
  return known === undefined ? { scope, name, folded } : { scope, name: known, folded: known.toLowerCase() };
}

/** `property(name)` reads user properties. */
function computedProperty(node: NodeOf<'computed'>, context: Context): Evaluate {
  const name = nameOf(node, context);
  return (lookup) => {
    const found = name(lookup);
    if (found === null || found instanceof FilterFault) return found;
    return lookup('user', found, found.toLowerCase()) ?? null;
  };
}

function nameOf(node: NodeOf<'computed'>, context: Context): (lookup: Lookup) => string | null | FilterFault {
  const fault = faultAt(node, 'types_differ', 'The name for property() is not a string');
  const name = compileValue(node.name, context);
  return (lookup) => {
    const value = name(lookup);
    return typeof value === 'string' || value === null || value instanceof FilterFault ? value : fault;
  };
}

function sign(node: NodeOf<'sign'>, context: Context): Evaluate {
  const types = faultAt(node, 'types_differ', `The sign ${node.operator} takes a number`);
  const overflow = faultAt(node, 'overflow', 'The result has more than 64 bits');
  const operand = numericOperand(node.operand, context);
  return (lookup) => signed(node.operator, operand(lookup), types, overflow);
}

function arithmetic(node: NodeOf<'arithmetic'>, context: Context): Evaluate {
  const { operator } = node;
  const { maxValueLength } = context.limits;
  const faults = {
    types: faultAt(node, 'types_differ', `The values on both sides of ${operator} cannot be combined`),
    zero: faultAt(node, 'division_by_zero', 'A whole number is divided by zero'),
    overflow: faultAt(node, 'overflow', 'The result has more than 64 bits'),
    length: faultAt(node, 'too_long', `The string would be longer than ${maxValueLength} characters`),
    maxLength: maxValueLength,
  };
  const left = numericOperand(node.left, context);
  const right = numericOperand(node.right, context);
  return (lookup) => {
    const a = left(lookup);
    const double = last.double;
    const b = right(lookup);
    return calculate(operator, a, b, double || last.double, faults);
  };
}

/** An operand of arithmetic leaves in `last.double` whether its value is a double. */
function numericOperand(node: Node, context: Context): Evaluate {
  const operand = compileValue(node, context);
  if (node.kind === 'arithmetic' || node.kind === 'sign') return operand;
  const double = node.kind === 'literal' && node.double;
  return (lookup) => {
    const value = operand(lookup);
    last.double = double || (typeof value === 'number' && !Number.isSafeInteger(value));
    return value;
  };
}

/** Whether a condition is the same for every message. */
export function isConstant(node: Node): boolean {
  if (node.kind === 'property' || node.kind === 'computed' || node.kind === 'newid') return false;
  return childrenOf(node).every(isConstant);
}

export const noLookup: Lookup = () => undefined;

function faultAt(node: Node, code: FaultCode, message: string): FilterFault {
  return new FilterFault(code, message, node.at);
}
