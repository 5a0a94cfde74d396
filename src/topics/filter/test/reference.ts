// A second evaluator of filters for the tests: slow, obvious, and sharing nothing with the compiler but the tree. Every
// value carries its type, every whole number is a bigint, truth comes from tables, and LIKE tries everything.
import type { PropertyValue } from '../lookup.ts';
import type { Node } from '../syntax.ts';

type Typed =
  | { type: 'unknown' }
  | { type: 'string'; value: string }
  | { type: 'int'; value: bigint }
  | { type: 'double'; value: number }
  | { type: 'boolean'; value: boolean }
  | { type: 'date'; value: number }
  | { type: 'bytes'; value: string };

/** T, F, U or a fault, whose code is its name. */
export type Result = 'T' | 'F' | 'U' | `fault ${string}`;

class Fault extends Error {}

export type World = {
  readonly user: Readonly<Record<string, PropertyValue>>;
  readonly sys: Readonly<Record<string, PropertyValue>>;
};

const andTable: Record<string, Result> = {
  TT: 'T',
  TF: 'F',
  TU: 'U',
  FT: 'F',
  FF: 'F',
  FU: 'F',
  UT: 'U',
  UF: 'F',
  UU: 'U',
};
const orTable: Record<string, Result> = {
  TT: 'T',
  TF: 'T',
  TU: 'T',
  FT: 'T',
  FF: 'F',
  FU: 'U',
  UT: 'T',
  UF: 'U',
  UU: 'U',
};
const notTable = { T: 'F', F: 'T', U: 'U' } as const;

export function evaluate(node: Node, world: World): Result {
  try {
    return truth(node, world);
  } catch (error) {
    if (error instanceof Fault) return `fault ${error.message}`;
    throw error;
  }
}

function truth(node: Node, world: World): 'T' | 'F' | 'U' {
  switch (node.kind) {
    case 'and':
      return fold(node.terms, world, andTable, 'T', 'F');
    case 'or':
      return fold(node.terms, world, orTable, 'F', 'T');
    case 'not':
      return notTable[truth(node.operand, world)];
    case 'compare':
      return compared(node.operator, evaluated(node.left, world), evaluated(node.right, world));
    case 'in': {
      const left = evaluated(node.operand, world);
      if (left.type === 'unknown') return 'U';
      let result = 'F' as 'T' | 'F' | 'U';
      for (const item of node.list) {
        result = orTable[result + compared('=', left, evaluated(item, world))] as typeof result;
        if (result === 'T') break;
      }
      return node.negated ? notTable[result] : result;
    }
    case 'like':
      return like(node, world);
    case 'null':
      return bool((evaluated(node.operand, world).type === 'unknown') !== node.negated);
    case 'exists':
      return exists(node.operand, world);
    default: {
      const value = evaluated(node, world);
      if (value.type === 'unknown') return 'U';
      if (value.type !== 'boolean') throw new Fault('not_a_condition');
      return bool(value.value);
    }
  }
}

/** From left to right, stopping where the result is certain. */
function fold(terms: readonly Node[], world: World, table: Record<string, Result>, start: 'T' | 'F', end: 'T' | 'F') {
  let result: 'T' | 'F' | 'U' = start;
  for (const term of terms) {
    result = table[result + truth(term, world)] as typeof result;
    if (result === end) break;
  }
  return result;
}

function bool(value: boolean): 'T' | 'F' {
  return value ? 'T' : 'F';
}

function exists(node: Node, world: World): 'T' | 'F' | 'U' {
  if (node.kind === 'property' && node.scope === 'sys') {
    const value = find(world.sys, canonical(node.name));
    return bool(value !== undefined && value !== null);
  }
  const name = node.kind === 'property' ? ({ type: 'string', value: node.name } as const) : computedName(node, world);
  return name.type === 'unknown' ? 'U' : bool(find(world.user, name.value) !== undefined);
}

function computedName(node: Node, world: World): { type: 'unknown' } | { type: 'string'; value: string } {
  if (node.kind !== 'computed') throw new Error('not a computed property');
  const name = evaluated(node.name, world);
  if (name.type !== 'unknown' && name.type !== 'string') throw new Fault('types_differ');
  return name;
}

function find(values: Readonly<Record<string, PropertyValue>>, name: string): PropertyValue | undefined {
  const exact = Object.entries(values).find(([key]) => key === name);
  return (exact ?? Object.entries(values).find(([key]) => key.toLowerCase() === name.toLowerCase()))?.[1];
}

function canonical(name: string): string {
  return name.toLowerCase() === 'label' ? 'Subject' : name;
}

function evaluated(node: Node, world: World): Typed {
  switch (node.kind) {
    case 'literal':
      if (node.double) return { type: 'double', value: node.value as number };
      return typed(node.value);
    case 'property': {
      const value = node.scope === 'sys' ? find(world.sys, canonical(node.name)) : find(world.user, node.name);
      if (value === undefined && node.scope === 'sys') throw new Fault('no_such_system_property');
      return typed(value ?? null);
    }
    case 'computed': {
      const name = computedName(node, world);
      return name.type === 'unknown' ? name : typed(find(world.user, name.value) ?? null);
    }
    case 'sign':
      return signed(node.operator, evaluated(node.operand, world));
    case 'arithmetic':
      return calculated(node.operator, evaluated(node.left, world), evaluated(node.right, world));
    default:
      throw new Error(`the reference knows no ${node.kind}`);
  }
}

function typed(value: PropertyValue): Typed {
  if (value === null) return { type: 'unknown' };
  if (typeof value === 'string') return { type: 'string', value };
  if (typeof value === 'bigint') return { type: 'int', value };
  if (typeof value === 'boolean') return { type: 'boolean', value };
  if (value instanceof Date) return { type: 'date', value: value.getTime() };
  if (typeof value !== 'number') return { type: 'bytes', value: [...value].join(' ') };
  return Number.isSafeInteger(value) ? { type: 'int', value: BigInt(value) } : { type: 'double', value };
}

function compared(operator: string, a: Typed, b: Typed): 'T' | 'F' | 'U' {
  if (a.type === 'unknown' || b.type === 'unknown') return 'U';
  const numbers = isNumber(a) && isNumber(b);
  if (a.type === 'boolean' || a.type === 'bytes') {
    if (a.type !== b.type || !['=', '<>'].includes(operator)) throw new Fault('types_differ');
    return bool((a.value === b.value) === (operator === '='));
  }
  if (a.type !== b.type && !numbers) return compared(operator, dated(a, b), dated(b, a));
  const less = a.value < (b.value as typeof a.value);
  const more = a.value > (b.value as typeof a.value);
  const nan = Number.isNaN(a.value) || Number.isNaN(b.value);
  const equal = !less && !more && !nan;
  const results: Record<string, boolean> = {
    '=': equal,
    '<>': !equal,
    '<': less,
    '>': more,
    '<=': less || equal,
    '>=': more || equal,
  };
  return bool(results[operator]!);
}

function isNumber(value: Typed): boolean {
  return value.type === 'int' || value.type === 'double';
}

/** A string beside a date becomes a date. */
function dated(value: Typed, other: Typed): Typed {
  if (value.type === 'date') return value;
  if (value.type !== 'string' || other.type !== 'date') throw new Fault('types_differ');
  const time = /^\d{4}-\d\d-\d\d/.test(value.value) ? Date.parse(value.value) : Number.NaN;
  if (Number.isNaN(time)) throw new Fault('types_differ');
  return { type: 'date', value: time };
}

function signed(operator: string, a: Typed): Typed {
  if (a.type === 'unknown') return a;
  if (a.type === 'double') return operator === '-' ? { type: 'double', value: -a.value } : a;
  if (a.type !== 'int') throw new Fault('types_differ');
  return operator === '-' ? int64(-a.value) : a;
}

function calculated(operator: string, a: Typed, b: Typed): Typed {
  if (a.type === 'unknown' || b.type === 'unknown') return { type: 'unknown' };
  if (a.type === 'int' && b.type === 'int') return wholes(operator, a.value, b.value);
  if (isNumber(a) && isNumber(b)) return doubles(operator, Number(a.value), Number(b.value));
  const simple = [a, b].every(({ type }) => ['string', 'int', 'double', 'boolean'].includes(type));
  if (operator !== '+' || !simple || (a.type !== 'string' && b.type !== 'string')) throw new Fault('types_differ');
  return { type: 'string', value: String(a.value) + String(b.value) };
}

function doubles(operator: string, a: number, b: number): Typed {
  const value = { '+': a + b, '-': a - b, '*': a * b, '/': a / b, '%': a % b }[operator]!;
  return { type: 'double', value };
}

function wholes(operator: string, a: bigint, b: bigint): Typed {
  if ('/%'.includes(operator) && b === 0n) throw new Fault('division_by_zero');
  const results: Record<string, () => bigint> = {
    '+': () => a + b,
    '-': () => a - b,
    '*': () => a * b,
    '/': () => a / b,
    '%': () => a % b,
  };
  return int64(results[operator]!());
}

function int64(value: bigint): Typed {
  if (value >= 2n ** 63n || value < -(2n ** 63n)) throw new Fault('overflow');
  return { type: 'int', value };
}

function like(node: Extract<Node, { kind: 'like' }>, world: World): 'T' | 'F' | 'U' {
  const text = evaluated(node.operand, world);
  const pattern = evaluated(node.pattern, world);
  const sign: Typed = node.escape ? evaluated(node.escape, world) : { type: 'string', value: '' };
  if (pattern.type === 'unknown' || sign.type === 'unknown') return 'U';
  if (pattern.type !== 'string' || sign.type !== 'string') throw new Fault('types_differ');
  const parts = pieces(pattern.value, sign.value, node.escape !== undefined);
  if (text.type === 'unknown') return 'U';
  if (text.type !== 'string') throw new Fault('types_differ');
  return bool(fits(text.value, parts) !== node.negated);
}

type Piece = { any: 'run' | 'one' | undefined; unit?: string };

function pieces(pattern: string, sign: string, hasEscape: boolean): Piece[] {
  if (hasEscape && sign.length !== 1) throw new Fault('bad_pattern');
  const found: Piece[] = [];
  for (let i = 0; i < pattern.length; i++) {
    if (hasEscape && pattern[i] === sign) {
      if (i + 1 === pattern.length) throw new Fault('bad_pattern');
      found.push({ any: undefined, unit: pattern[++i]! });
    } else if (pattern[i] === '%') found.push({ any: 'run' });
    else found.push(pattern[i] === '_' ? { any: 'one' } : { any: undefined, unit: pattern[i]! });
  }
  return found;
}

/** reached[j]: the pieces so far can end at j. */
function fits(text: string, parts: readonly Piece[]): boolean {
  let reached = Array.from({ length: text.length + 1 }, (_, j) => j === 0);
  for (const part of parts) {
    const next = reached.map((_, j) => {
      if (part.any === 'run') return reached.slice(0, j + 1).includes(true);
      return j > 0 && reached[j - 1]! && (part.any === 'one' || part.unit === text[j - 1]);
    });
    reached = next;
  }
  return reached[text.length]!;
}
