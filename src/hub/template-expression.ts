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
import type { Bytes } from './bytes.ts';

/** Asked for names in lower case. */
export type Properties = {
  get(name: string): string | undefined;
  /** Appends the property as it stands inside a JSON text. False: whoever wants it has to get it. */
  copy?(name: string, out: Bytes): boolean;
};

/** One property, and what is done with it. */
export type Form =
  | {
      readonly kind: 'property';
      readonly name: string;
      readonly most: number | undefined;
      readonly dots: boolean;
      readonly absent: string;
    }
  | { readonly kind: 'uri' | 'number'; readonly name: string };
type Text = { readonly kind: 'text'; readonly text: string };
export type Expression = Text | Form | { readonly kind: 'join'; readonly parts: readonly (Text | Form)[] };

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

/** The text of the form for these properties. */
export function evaluate(form: Form, properties: Properties): string {
  const text = properties.get(form.name);
  if (form.kind === 'property') return clip(text ?? form.absent, form.most, form.dots);
  return form.kind === 'uri' ? encodeUri(text ?? '') : (text ?? '');
}

/** Whether it is the property as it is. */
export function isWhole(form: Form): boolean {
  return form.kind === 'property' && form.most === undefined;
}

/** Whether the text may stand in JSON as a number. */
export function isJsonNumber(text: string): boolean {
  return jsonNumber.test(text);
}

type Scanner = { readonly text: string; at: number; readonly where: string };

function parseForm(scanner: Scanner): Form | undefined {
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
  const parts: (Text | Form)[] = [];
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

function parsePart(scanner: Scanner): Text | Form {
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
