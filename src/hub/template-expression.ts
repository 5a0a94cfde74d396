// The expressions of the template language of Azure Notification Hubs.
//
//   value      := literal, unless it begins with one of $ . % # {
//   value      := one expression, from the first character to the last
//   expression := '$(' name [',' n] [':{' default '}'] ')'      the property; clipped to n characters; a default when it is absent
//               | '.(' name ',' n ')'                          clipped to n characters, the last three of them '...' when it was cut
//               | '%(' name ')'                                URI-encoded
//               | '#(' name ')'                                JSON only, whole value only: a JSON number when the text is one
//               | '{' part ('+' part)* '}'                     concatenation of expressions and 'text' or "text" (quotes doubled to escape)
//
// Property names compare without regard to case; an absent property is empty. The form with a default stands in the SDKs' validator only.

import { Refusal } from '../kit/refusal.ts';

/** Asked for names in lower case. */
export type Properties = { get(name: string): string | undefined };

export type Expression =
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'property';
      readonly name: string;
      readonly most: number | undefined;
      readonly dots: boolean;
      readonly absent: string;
    }
  | { readonly kind: 'uri' | 'number'; readonly name: string }
  | { readonly kind: 'join'; readonly parts: readonly Expression[] };

const name = '[A-Za-z0-9_]{1,120}';
const forms = {
  property: new RegExp(`\\$\\(\\s*(${name})\\s*(?:,\\s*(\\d{1,9})\\s*)?(?::\\{((?:\\\\\\}|[^}])*)\\}\\s*)?\\)`, 'y'),
  clipped: new RegExp(`\\.\\(\\s*(${name})\\s*,\\s*(\\d{1,9})\\s*\\)`, 'y'),
  uri: new RegExp(`%\\(\\s*(${name})\\s*\\)`, 'y'),
  number: new RegExp(`#\\(\\s*(${name})\\s*\\)`, 'y'),
  quoted: /'((?:[^']|'')*)'|"((?:[^"]|"")*)"/y,
  space: /\s*/y,
} as const;
const jsonNumber = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

/** Throws Refusal('bad_request') for what begins like an expression and is none. `where` names the place in messages. */
export function parseValue(text: string, where: string): Expression {
  if (!/^[$.%#{]/.test(text)) return { kind: 'text', text };
  const scanner = { text, at: 0, where };
  const expression = text.startsWith('{') ? parseJoin(scanner) : parseForm(scanner);
  if (expression === undefined || scanner.at !== text.length) throw invalid(scanner);
  return expression;
}

/** The text of the expression for these properties. */
export function evaluate(expression: Expression, properties: Properties): string {
  switch (expression.kind) {
    case 'text':
      return expression.text;
    case 'property':
      return clip(properties.get(expression.name) ?? expression.absent, expression.most, expression.dots);
    case 'uri':
      return encodeUri(properties.get(expression.name) ?? '');
    case 'number':
      return properties.get(expression.name) ?? '';
    case 'join':
      return joinedText(expression.parts, properties);
  }
}

function joinedText(parts: readonly Expression[], properties: Properties): string {
  let out = '';
  for (const part of parts) out += evaluate(part, properties);
  return out;
}

/** The expression for which some properties are settled: their text stands in it, what differs is left. */
export function fillExpression(expression: Expression, settled: ReadonlyMap<string, string>): Expression {
  if (expression.kind === 'text') return expression;
  if (expression.kind === 'join') return { kind: 'join', parts: joinTexts(expression.parts, settled) };
  return settled.has(expression.name) ? { kind: 'text', text: evaluate(expression, settled) } : expression;
}

function joinTexts(parts: readonly Expression[], settled: ReadonlyMap<string, string>): readonly Expression[] {
  const joined: Expression[] = [];
  for (const part of parts.map((each) => fillExpression(each, settled))) {
    const last = joined.at(-1);
    if (part.kind === 'text' && last?.kind === 'text')
      joined[joined.length - 1] = { kind: 'text', text: last.text + part.text };
    else joined.push(part);
  }
  return joined;
}

/** Whether the text may stand in JSON as a number. */
export function isJsonNumber(text: string): boolean {
  return jsonNumber.test(text);
}

/** Every property that the expression looks at, in lower case. */
export function namesIn(expression: Expression): readonly string[] {
  if (expression.kind === 'text') return [];
  return expression.kind === 'join' ? expression.parts.flatMap(namesIn) : [expression.name];
}

type Scanner = { readonly text: string; at: number; readonly where: string };

function parseForm(scanner: Scanner): Expression | undefined {
  const property = take(scanner, forms.property);
  if (property !== undefined) {
    const [, found, most, absent] = property;
    const byDefault = absent?.replaceAll('\\}', '}') ?? '';
    return {
      kind: 'property',
      name: found!.toLowerCase(),
      most: most === undefined ? undefined : Number(most),
      dots: false,
      absent: byDefault,
    };
  }
  const clipped = take(scanner, forms.clipped);
  if (clipped !== undefined)
    return { kind: 'property', name: clipped[1]!.toLowerCase(), most: Number(clipped[2]), dots: true, absent: '' };
  const uri = take(scanner, forms.uri);
  if (uri !== undefined) return { kind: 'uri', name: uri[1]!.toLowerCase() };
  const number = take(scanner, forms.number);
  return number === undefined ? undefined : { kind: 'number', name: number[1]!.toLowerCase() };
}

function parseJoin(scanner: Scanner): Expression {
  const parts: Expression[] = [];
  do {
    scanner.at += 1;
    take(scanner, forms.space);
    parts.push(parsePart(scanner));
    take(scanner, forms.space);
  } while (scanner.text[scanner.at] === '+');
  if (scanner.text[scanner.at] !== '}') throw invalid(scanner);
  scanner.at += 1;
  return { kind: 'join', parts };
}

function parsePart(scanner: Scanner): Expression {
  const quoted = take(scanner, forms.quoted);
  if (quoted !== undefined)
    return { kind: 'text', text: quoted[1]?.replaceAll("''", "'") ?? quoted[2]!.replaceAll('""', '"') };
  const form = parseForm(scanner);
  // A number inside a text is a text: the language does not allow it.
  if (form === undefined || form.kind === 'number') throw invalid(scanner);
  return form;
}

function take(scanner: Scanner, form: RegExp): RegExpExecArray | undefined {
  form.lastIndex = scanner.at;
  const found = form.exec(scanner.text);
  if (found === null) return undefined;
  scanner.at = form.lastIndex;
  return found;
}

function clip(text: string, most: number | undefined, dots: boolean): string {
  if (most === undefined || text.length <= most) return text;
  if (!dots) return text.slice(0, wholeCharacters(text, most));
  if (most <= 3) return '...'.slice(0, most);
  return `${text.slice(0, wholeCharacters(text, most - 3))}...`;
}

/** A cut through a surrogate pair would leave half a character, which no JSON reader likes. */
function wholeCharacters(text: string, length: number): number {
  const last = text.charCodeAt(length - 1);
  return last >= 0xd800 && last < 0xdc00 ? length - 1 : length;
}

function encodeUri(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

function invalid({ text, at, where }: Scanner): Refusal {
  const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  return new Refusal(
    'bad_request',
    `The template expression "${shown}" ${where} is not valid at character ${at + 1}.`,
    { position: at },
  );
}
