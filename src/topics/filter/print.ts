// Tree -> text: the same tree comes back when the text is parsed. For rules that were made from a tree, for messages to
// people, and for tests.
import type { Literal, Node, Property, Statement } from './syntax.ts';
import { isPlainName } from './tokens.ts';

export function printFilter(node: Node): string {
  switch (node.kind) {
    case 'or':
      return node.terms.map((term) => printAt(term, 2)).join(' OR ');
    case 'and':
      return node.terms.map((term) => printAt(term, 3)).join(' AND ');
    case 'not':
      return `NOT ${printAt(node.operand, 3)}`;
    case 'compare':
      return `${printAt(node.left, 5)} ${node.operator} ${printAt(node.right, 5)}`;
    case 'null':
      return `${printFilter(node.operand)} IS ${node.negated ? 'NOT ' : ''}NULL`;
    case 'exists':
      return `EXISTS(${printFilter(node.operand)})`;
    case 'in':
      return `${printAt(node.operand, 5)}${node.negated ? ' NOT' : ''} IN (${node.list.map(printFilter).join(', ')})`;
    case 'like':
      return printLike(node);
    default:
      return printValue(node);
  }
}

/** Statements one after the other, each with its semicolon. */
export function printAction(statements: readonly Statement[]): string {
  return statements.map((statement) => `${printStatement(statement)};`).join(' ');
}

function printStatement(statement: Statement): string {
  const target = printProperty(statement.target);
  return statement.kind === 'set' ? `SET ${target} = ${printFilter(statement.value)}` : `REMOVE ${target}`;
}

function printLike(node: Extract<Node, { kind: 'like' }>): string {
  const sign = node.negated ? 'NOT LIKE' : 'LIKE';
  const escaped = node.escape ? ` ESCAPE ${printAt(node.escape, 5)}` : '';
  return `${printAt(node.operand, 5)} ${sign} ${printAt(node.pattern, 5)}${escaped}`;
}

function printValue(node: Node): string {
  switch (node.kind) {
    case 'literal':
      return printLiteral(node);
    case 'property':
      return printProperty(node);
    case 'computed':
      return `property(${printFilter(node.name)})`;
    case 'parameter':
      return `@${node.name}`;
    case 'sign':
      return `${node.operator}${printOperand(node.operand)}`;
    case 'arithmetic':
      return `${printAt(node.left, powerOf(node))} ${node.operator} ${printAt(node.right, powerOf(node) + 1)}`;
    default:
      return 'newid()';
  }
}

/** A number right behind a sign would be read as one with it. */
function printOperand(node: Node): string {
  const number = node.kind === 'literal' && (typeof node.value === 'number' || typeof node.value === 'bigint');
  return number ? `(${printLiteral(node)})` : printAt(node, 7);
}

function printAt(node: Node, power: number): string {
  return powerOf(node) < power ? `(${printFilter(node)})` : printFilter(node);
}

/** The binding power of a node's outermost operator; 8 for what needs no parentheses. */
function powerOf(node: Node): number {
  switch (node.kind) {
    case 'or':
      return 1;
    case 'and':
      return 2;
    case 'not':
      return 3;
    case 'compare':
    case 'null':
    case 'in':
    case 'like':
      return 4;
    case 'arithmetic':
      return node.operator === '+' || node.operator === '-' ? 5 : 6;
    case 'sign':
      return 7;
    default:
      return 8;
  }
}

function printLiteral({ value, double }: Literal): string {
  if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`;
  if (typeof value === 'boolean' || value === null) return String(value).toUpperCase();
  if (!double) return String(value);
  const digits = Object.is(value, -0) ? '-0' : String(value);
  return /[.e]/.test(digits) ? digits : `${digits}.0`;
}

function printProperty({ scope, name }: Property): string {
  return `${scope === 'sys' ? 'sys.' : ''}${isPlainName(name) ? name : `[${name.replaceAll(']', ']]')}]`}`;
}
