// Cuts the text of a filter or an action into tokens. Keywords are case-insensitive; names may be [delimited] or
// "quoted", with the closing sign doubled inside.
import { invalid } from './syntax.ts';

export type Token = {
  readonly kind: 'name' | 'delimited' | 'keyword' | 'string' | 'integer' | 'decimal' | 'parameter' | 'symbol' | 'end';
  /** A keyword in upper case; a name, string or parameter without its signs; else as written. */
  readonly text: string;
  readonly at: number;
  readonly end: number;
};

const keywords = new Set(['AND', 'OR', 'NOT', 'IN', 'LIKE', 'ESCAPE', 'IS', 'NULL', 'EXISTS', 'TRUE', 'FALSE']);
const space = /\s*/uy;
const word = /\p{L}[\p{L}\p{Nd}_]*/uy;
const number = /(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?/uy;
const parameter = /@[\p{L}_][\p{L}\p{Nd}_]*/uy;
const symbol = /<>|!=|<=|>=|[=<>+\-*/%(),;.]/uy;

/** Whether a name may stand without brackets. */
export function isPlainName(name: string): boolean {
  return match(word, name, 0) === name && !keywords.has(name.toUpperCase());
}

/** The tokens, with an `end` token at the end. Throws Refusal `filter_invalid`. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = match(space, text, 0).length;
  while (at < text.length) {
    const token = tokenAt(text, at);
    tokens.push(token);
    at = token.end + match(space, text, token.end).length;
  }
  tokens.push({ kind: 'end', text: '', at, end: at });
  return tokens;
}

function tokenAt(text: string, at: number): Token {
  const first = text[at]!;
  if (first === "'") return delimited(text, at, "'", 'string');
  if (first === '[') return delimited(text, at, ']', 'delimited');
  if (first === '"') return delimited(text, at, '"', 'delimited');
  return wordAt(text, at) ?? numberAt(text, at) ?? parameterAt(text, at) ?? symbolAt(text, at);
}

function wordAt(text: string, at: number): Token | undefined {
  const found = match(word, text, at);
  if (found === '') return undefined;
  const upper = found.toUpperCase();
  const end = at + found.length;
  return keywords.has(upper) ? { kind: 'keyword', text: upper, at, end } : { kind: 'name', text: found, at, end };
}

function numberAt(text: string, at: number): Token | undefined {
  const found = match(number, text, at);
  if (found === '') return undefined;
  const end = at + found.length;
  if (match(word, text, end) !== '' || text[end] === '_') {
    throw invalid('A number must not run into a name; put a name that begins with a digit into brackets', text, at);
  }
  return { kind: /^\d+$/.test(found) ? 'integer' : 'decimal', text: found, at, end };
}

function parameterAt(text: string, at: number): Token | undefined {
  const found = match(parameter, text, at);
  return found === '' ? undefined : { kind: 'parameter', text: found.slice(1), at, end: at + found.length };
}

function symbolAt(text: string, at: number): Token {
  const found = match(symbol, text, at);
  if (found !== '') return { kind: 'symbol', text: found === '!=' ? '<>' : found, at, end: at + found.length };
  throw invalid('This character has no meaning here; put a name that holds it into brackets, like [my-name]', text, at);
}

/** Text up to the closing sign; the sign doubled stands for itself. */
function delimited(text: string, at: number, close: string, kind: 'string' | 'delimited'): Token {
  let end = text.indexOf(close, at + 1);
  while (end !== -1 && text[end + 1] === close) end = text.indexOf(close, end + 2);
  if (end === -1) throw invalid(`The closing ${close} is missing`, text, at);
  const inner = text.slice(at + 1, end).replaceAll(close + close, close);
  if (kind === 'delimited' && inner === '') throw invalid('A name must not be empty', text, at);
  return { kind, text: inner, at, end: end + 1 };
}

/** What a sticky pattern finds at this very place, or ''. */
function match(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? '';
}
