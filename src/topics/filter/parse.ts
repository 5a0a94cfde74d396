// Text -> tree, by binding power: OR 1, AND 2, NOT 3, comparison (=, IN, LIKE, IS) 4, + - 5, * / % 6, sign 7.
// The grammar is that of Azure Service Bus SQL filters and rule actions (its "SQL filter syntax" and "SQL action
// syntax" pages). Two things are more lenient: a boolean property may be a condition by itself (`active AND ...`),
// and IS NULL and EXISTS also take `property(...)`.
import {
  type ArithmeticOperator,
  type CompareOperator,
  type ComputedProperty,
  childrenOf,
  type FilterLimits,
  invalid,
  type Node,
  type Property,
  type Statement,
} from './syntax.ts';
import { type Token, tokenize } from './tokens.ts';

type Cursor = {
  readonly text: string;
  readonly tokens: readonly Token[];
  readonly limits: FilterLimits;
  index: number;
  depth: number;
};

const INT64_MAX = 2n ** 63n - 1n;
const powers = new Map<string, number>([
  ['OR', 1],
  ['AND', 2],
  ...['=', '<>', '<', '<=', '>', '>=', 'IN', 'LIKE', 'IS', 'NOT'].map((sign) => [sign, 4] as const),
  ['+', 5],
  ['-', 5],
  ['*', 6],
  ['/', 6],
  ['%', 6],
]);

/** Throws Refusal `filter_invalid` with the position. */
export function parseFilter(text: string, limits: FilterLimits): Node {
  const cursor = open(text, limits, 'filter');
  const node = condition(cursor, expression(cursor, 1));
  if (peek(cursor).kind !== 'end') throw unexpected(cursor, 'Expected AND, OR or the end');
  checkDepth(cursor, node);
  return node;
}

/** Statements are separated by `;`, by `,` or by nothing at all. Throws Refusal `filter_invalid`. */
export function parseAction(text: string, limits: FilterLimits): Statement[] {
  const cursor = open(text, limits, 'action');
  const statements: Statement[] = [];
  while (peek(cursor).kind !== 'end') {
    if (statements.length >= limits.maxStatements) {
      throw unexpected(cursor, `An action holds at most ${limits.maxStatements} statements`);
    }
    statements.push(statement(cursor));
    if (!take(cursor, ';')) take(cursor, ',');
  }
  if (statements.length === 0) throw unexpected(cursor, 'An action needs at least one SET or REMOVE');
  return statements;
}

function open(text: string, limits: FilterLimits, what: string): Cursor {
  if (text.length > limits.maxLength) {
    const sentence = `The ${what} is ${text.length} characters long; at most ${limits.maxLength} are allowed`;
    throw invalid(sentence, text, limits.maxLength);
  }
  return { text, limits, tokens: tokenize(text), index: 0, depth: 0 };
}

function statement(cursor: Cursor): Statement {
  const { text, at } = peek(cursor);
  const verb = text.toUpperCase();
  if (peek(cursor).kind !== 'name' || (verb !== 'SET' && verb !== 'REMOVE')) {
    throw unexpected(cursor, 'Expected SET name = value, or REMOVE name');
  }
  cursor.index++;
  const target = property(cursor);
  if (verb === 'REMOVE') return removal(cursor, target, at);
  expect(cursor, '=', 'SET needs = after the name');
  const assigned = value(cursor, expression(cursor, 5));
  checkDepth(cursor, assigned);
  return { kind: 'set', target, value: assigned, at };
}

function removal(cursor: Cursor, target: Property, at: number): Statement {
  if (target.scope === 'user') return { kind: 'remove', target, at };
  throw invalid('A system property cannot be removed; set it to NULL', cursor.text, target.at);
}

function expression(cursor: Cursor, minimum: number): Node {
  if (++cursor.depth > cursor.limits.maxDepth) throw tooDeep(cursor, peek(cursor).at);
  let left = prefix(cursor, minimum);
  for (let power = powerOf(peek(cursor)); power >= minimum; power = powerOf(peek(cursor))) {
    left = infix(cursor, left, power);
  }
  cursor.depth--;
  return left;
}

function powerOf(token: Token): number {
  return token.kind === 'symbol' || token.kind === 'keyword' ? (powers.get(token.text) ?? 0) : 0;
}

function infix(cursor: Cursor, left: Node, power: number): Node {
  const { text: sign, at } = peek(cursor);
  if (power <= 2) return chain(cursor, left, sign, power, at);
  value(cursor, left);
  cursor.index++;
  if (power >= 5) {
    const right = value(cursor, expression(cursor, power + 1));
    // The table of binding powers has no other signs of 5 and 6.
    return { kind: 'arithmetic', operator: sign as ArithmeticOperator, left, right, at };
  }
  if (sign === 'IS') return nullTest(cursor, left, at);
  if (sign === 'NOT') return negatedTest(cursor, left, at);
  if (sign === 'IN') return inList(cursor, left, false, at);
  if (sign === 'LIKE') return like(cursor, left, false, at);
  const right = value(cursor, expression(cursor, 5));
  // What is left of power 4 are the comparison signs.
  return { kind: 'compare', operator: sign as CompareOperator, left, right, at };
}

/** A run of one operator is one node: thousands of ORs do not make a deep tree. */
function chain(cursor: Cursor, left: Node, sign: string, power: number, at: number): Node {
  const terms = [condition(cursor, left)];
  while (take(cursor, sign)) terms.push(condition(cursor, expression(cursor, power + 1)));
  return { kind: sign === 'OR' ? 'or' : 'and', terms, at };
}

function nullTest(cursor: Cursor, operand: Node, at: number): Node {
  const negated = take(cursor, 'NOT');
  expect(cursor, 'NULL', 'IS is followed by NULL or NOT NULL');
  if (operand.kind === 'property' || operand.kind === 'computed') return { kind: 'null', operand, negated, at };
  throw invalid('Only a property can be asked for IS NULL', cursor.text, operand.at);
}

function negatedTest(cursor: Cursor, left: Node, at: number): Node {
  if (take(cursor, 'IN')) return inList(cursor, left, true, at);
  if (take(cursor, 'LIKE')) return like(cursor, left, true, at);
  throw unexpected(cursor, 'Here NOT is followed by IN or LIKE');
}

function inList(cursor: Cursor, operand: Node, negated: boolean, at: number): Node {
  expect(cursor, '(', 'IN needs a list in parentheses');
  const list = [value(cursor, expression(cursor, 5))];
  while (take(cursor, ',')) list.push(value(cursor, expression(cursor, 5)));
  expect(cursor, ')', 'The list of IN needs a comma or a closing parenthesis here');
  return { kind: 'in', operand, list, negated, at };
}

function like(cursor: Cursor, operand: Node, negated: boolean, at: number): Node {
  const pattern = value(cursor, expression(cursor, 5));
  const escapeSign = take(cursor, 'ESCAPE') ? value(cursor, expression(cursor, 5)) : undefined;
  return { kind: 'like', operand, pattern, escape: escapeSign, negated, at };
}

function prefix(cursor: Cursor, minimum: number): Node {
  const token = peek(cursor);
  switch (token.kind) {
    case 'name':
    case 'delimited':
      return isCall(cursor) ? call(cursor) : property(cursor);
    case 'keyword':
      return keyword(cursor, token, minimum);
    case 'symbol':
      return symbol(cursor, token);
    case 'end':
      throw unexpected(cursor, 'The text ends where a value or a condition is expected');
    default:
      cursor.index++;
      return leaf(cursor, token);
  }
}

function leaf(cursor: Cursor, { kind, text, at }: Token): Node {
  if (kind === 'parameter') return { kind, name: text, at };
  if (kind === 'string') return { kind: 'literal', value: text, double: false, at };
  return numeral(cursor, kind === 'integer', text, '+', at);
}

function keyword(cursor: Cursor, { text, at }: Token, minimum: number): Node {
  cursor.index++;
  if (text === 'TRUE' || text === 'FALSE') return { kind: 'literal', value: text === 'TRUE', double: false, at };
  if (text === 'NULL') return { kind: 'literal', value: null, double: false, at };
  if (text === 'EXISTS') return exists(cursor, at);
  if (text === 'NOT' && minimum <= 3) {
    return { kind: 'not', operand: condition(cursor, expression(cursor, 3)), at };
  }
  const sentence = text === 'NOT' ? 'NOT with its condition needs parentheses here' : 'Expected a value or a condition';
  throw invalid(`${sentence}; put a name that is also a keyword into brackets, like [${text}]`, cursor.text, at);
}

function exists(cursor: Cursor, at: number): Node {
  expect(cursor, '(', 'EXISTS needs a property in parentheses');
  const operand = isCall(cursor) ? call(cursor) : property(cursor);
  if (operand.kind === 'newid') throw invalid('EXISTS takes a property', cursor.text, operand.at);
  expect(cursor, ')', 'EXISTS needs its closing parenthesis here');
  return { kind: 'exists', operand, at };
}

function symbol(cursor: Cursor, { text, at }: Token): Node {
  if (text === '(') {
    cursor.index++;
    const inner = expression(cursor, 1);
    expect(cursor, ')', 'A closing parenthesis is missing');
    return inner;
  }
  if (text !== '+' && text !== '-') throw unexpected(cursor, 'Expected a value or a condition');
  cursor.index++;
  const next = peek(cursor);
  if (next.kind !== 'integer' && next.kind !== 'decimal') {
    return { kind: 'sign', operator: text, operand: value(cursor, expression(cursor, 7)), at };
  }
  cursor.index++;
  return numeral(cursor, next.kind === 'integer', next.text, text, at);
}

/** A sign right before a number belongs to it, so that the smallest Int64 can be written. */
function numeral(cursor: Cursor, integer: boolean, digits: string, sign: '+' | '-', at: number): Node {
  if (integer) return integral(cursor, sign === '-' ? -BigInt(digits) : BigInt(digits), at);
  const amount = Number(digits);
  if (!Number.isFinite(amount)) throw invalid('The number is larger than a double can hold', cursor.text, at);
  return { kind: 'literal', value: sign === '-' ? -amount : amount, double: true, at };
}

function integral(cursor: Cursor, exact: bigint, at: number): Node {
  if (exact > INT64_MAX || exact < -INT64_MAX - 1n) {
    throw invalid(
      'A whole number has at most 64 bits; write it with a decimal point to mean a double',
      cursor.text,
      at,
    );
  }
  const plain = Number(exact);
  return { kind: 'literal', value: Number.isSafeInteger(plain) ? plain : exact, double: false, at };
}

function isCall(cursor: Cursor): boolean {
  const next = cursor.tokens[cursor.index + 1];
  return peek(cursor).kind === 'name' && next?.kind === 'symbol' && next.text === '(';
}

function call(cursor: Cursor): ComputedProperty | { readonly kind: 'newid'; readonly at: number } {
  const { text, at } = peek(cursor);
  const name = text.toLowerCase();
  if (name !== 'newid' && name !== 'property' && name !== 'p') {
    throw unexpected(cursor, 'There is no such function; there are newid(), property(name) and p(name)');
  }
  cursor.index += 2;
  if (name !== 'newid') return computed(cursor, at);
  expect(cursor, ')', 'newid() takes nothing');
  return { kind: 'newid', at };
}

function computed(cursor: Cursor, at: number): ComputedProperty {
  const name = value(cursor, expression(cursor, 5));
  expect(cursor, ')', 'property(name) takes one value and a closing parenthesis');
  return { kind: 'computed', name, at };
}

function property(cursor: Cursor): Property {
  const { kind, text, at } = peek(cursor);
  if (kind !== 'name' && kind !== 'delimited') throw unexpected(cursor, nameExpected(peek(cursor)));
  cursor.index++;
  if (!take(cursor, '.')) return { kind: 'property', scope: 'user', name: text, at };
  const scope = kind === 'name' ? text.toLowerCase() : '';
  const name = peek(cursor);
  if (scope !== 'sys' && scope !== 'user') {
    const whole = `[${text}.${name.text}]`;
    throw invalid(`A scope is sys or user; a name that holds a dot is written ${whole}`, cursor.text, at);
  }
  if (name.kind !== 'name' && name.kind !== 'delimited') throw unexpected(cursor, nameExpected(name));
  cursor.index++;
  return { kind: 'property', scope, name: name.text, at };
}

function nameExpected({ kind, text }: Token): string {
  const hint = kind === 'keyword' ? `; a name that is also a keyword is written [${text}]` : '';
  return `Expected the name of a property${hint}`;
}

/** Refuses a condition where a value belongs. */
function value(cursor: Cursor, node: Node): Node {
  switch (node.kind) {
    case 'and':
    case 'or':
    case 'not':
    case 'compare':
    case 'in':
    case 'like':
    case 'null':
    case 'exists':
      throw invalid('Here a value is expected, not a condition', cursor.text, node.at);
    default:
      return node;
  }
}

/** Refuses a value where a condition belongs; a boolean, NULL, property or parameter can be one. */
function condition(cursor: Cursor, node: Node): Node {
  const literal = node.kind === 'literal' && typeof node.value !== 'boolean' && node.value !== null;
  if (literal || node.kind === 'arithmetic' || node.kind === 'sign' || node.kind === 'newid') {
    throw invalid('Here a condition is expected, like name = value', cursor.text, node.at);
  }
  return node;
}

/** By a stack of its own: the tree may be as deep as the text is long. */
function checkDepth(cursor: Cursor, root: Node): void {
  let level: readonly Node[] = [root];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > cursor.limits.maxDepth) throw tooDeep(cursor, level[0]!.at);
    level = level.flatMap(childrenOf);
  }
}

function tooDeep(cursor: Cursor, at: number): Error {
  return invalid(`The text is nested more than ${cursor.limits.maxDepth} levels deep`, cursor.text, at);
}

function peek(cursor: Cursor): Token {
  return cursor.tokens[cursor.index]!;
}

function take(cursor: Cursor, text: string): boolean {
  const token = peek(cursor);
  if ((token.kind !== 'symbol' && token.kind !== 'keyword') || token.text !== text) return false;
  cursor.index++;
  return true;
}

function expect(cursor: Cursor, text: string, sentence: string): void {
  if (!take(cursor, text)) throw unexpected(cursor, sentence);
}

function unexpected(cursor: Cursor, sentence: string): Error {
  return invalid(sentence, cursor.text, peek(cursor).at);
}
