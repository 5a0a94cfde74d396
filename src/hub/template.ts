// Templates: a payload in the platform's own form whose values are expressions. A template is read once, when the device registers it, into
// a list of ready texts and expressions; rendering joins them, each value escaped for its place (JSON or XML), so no property can break out.

import { checkDepth } from '../events/json.ts';
import { Refusal } from '../kit/refusal.ts';
import { Bytes } from './bytes.ts';
import { xml } from './drivers/payloads.ts';
import { mostJsonDepth } from './message.ts';
import {
  type Expression,
  evaluate,
  type Form,
  isJsonNumber,
  isWhole,
  type Properties,
  parseValue,
} from './template-expression.ts';

export type Template = {
  /** Appends what it comes to. */
  write(properties: Properties, out: Bytes): void;
  render(properties: Properties): string;
  /** The same template for which these properties are settled: what rendering it costs is only what differs. */
  fill(settled: ReadonlyMap<string, string>): Template;
  /** What it looks at, in lower case. */
  readonly names: ReadonlySet<string>;
};

type Write = (hole: Form, properties: Properties, out: Bytes) => void;
/** Where a property goes, and how it is written there. */
type Hole = { readonly form: Form; readonly write: Write };
type Piece = string | Hole;

/** Of a send, by their names in lower case; numbers and booleans count as their text. */
export function sentProperties(sent: Readonly<Record<string, unknown>>): ReadonlyMap<string, string> {
  const properties = new Map<string, string>();
  for (const [name, value] of Object.entries(sent))
    if (value !== null && value !== undefined) properties.set(name.toLowerCase(), String(value));
  return properties;
}

/** The send's properties over the device's own (push variables), whose names may have any case. Nothing is copied: a broadcast asks for it per device. */
export function withVariables(properties: Properties, pushVariables: Readonly<Record<string, string>>): Properties {
  for (const _ in pushVariables) return new Layered(properties, pushVariables);
  return properties;
}

class Layered implements Properties {
  readonly #over: Properties;
  readonly #under: Readonly<Record<string, string>>;

  constructor(over: Properties, under: Readonly<Record<string, string>>) {
    this.#over = over;
    this.#under = under;
  }

  get(name: string): string | undefined {
    const over = this.#over.get(name);
    if (over !== undefined) return over;
    const exact = Object.hasOwn(this.#under, name)
      ? name
      : Object.keys(this.#under).findLast((each) => each.toLowerCase() === name);
    // Variables were checked to be texts, but numbers may stand in rows that others wrote.
    return exact === undefined ? undefined : String(this.#under[exact]);
  }
}

/** For all platforms but Windows' XML. Throws Refusal('bad_request') when it is no JSON or an expression is wrong. */
export function jsonTemplate(body: string): Template {
  const pieces: Piece[] = [];
  appendJson(parseJson(body), '$', pieces);
  return template(pieces);
}

/** Attribute values and the text of elements without children are expressions; everything else stays as it is written. */
export function xmlTemplate(body: string): Template {
  const pieces: Piece[] = [];
  let rest = withoutDeclaration(body);
  let opened = false;
  while (rest !== '') {
    const found = xmlParts.exec(rest);
    if (found === null)
      throw new Refusal('bad_request', `The template is not well-formed XML near "${rest.slice(0, 30)}".`);
    const [whole, markup, text] = found;
    rest = rest.slice(whole.length);
    const leaf = opened && rest.startsWith('</');
    opened = markup !== undefined && /^<[^/!?]/.test(markup) && !markup.endsWith('/>');
    if (markup !== undefined) appendTag(markup, pieces);
    else if (leaf) pieces.push(...xmlValue(text!, 'in the text of an element'));
    else pieces.push(text!);
  }
  return template(pieces);
}

/** A header value or an expiry: the text alone. */
export function textTemplate(value: string): Template {
  return template(piecesOf(parseValue(value, 'of a header'), (text) => text, writeText));
}

/** What is fixed lies together in bytes; `ends[i]` is where the hole `i` comes. */
function template(pieces: readonly Piece[]): Template {
  const fixed = new Bytes(256);
  const ends: number[] = [];
  const holes: Hole[] = [];
  for (const piece of pieces)
    if (typeof piece === 'string') fixed.text(piece);
    else {
      holes.push(piece);
      ends.push(fixed.length);
    }
  const write = (properties: Properties, out: Bytes): void => {
    let at = 0;
    for (let i = 0; i < holes.length; i += 1) {
      const hole = holes[i]!;
      out.append(fixed, at, ends[i]);
      hole.write(hole.form, properties, out);
      at = ends[i]!;
    }
    out.append(fixed, at);
  };
  return {
    names: new Set(holes.map(({ form }) => form.name)),
    write,
    render: (properties) => textOf((out) => write(properties, out)),
    fill: (settled) => template(pieces.map((piece) => fillPiece(piece, settled))),
  };
}

function fillPiece(piece: Piece, settled: ReadonlyMap<string, string>): Piece {
  if (typeof piece === 'string' || !settled.has(piece.form.name)) return piece;
  return textOf((out) => piece.write(piece.form, settled, out));
}

function textOf(write: (out: Bytes) => void): string {
  const out = new Bytes(256);
  write(out);
  return out.slice(0, out.length);
}

/** An expression as pieces; `fix` escapes its own texts. */
function piecesOf(expression: Expression, fix: (text: string) => string, write: Write): Piece[] {
  const parts = expression.kind === 'join' ? expression.parts : [expression];
  return parts.map((part) => (part.kind === 'text' ? fix(part.text) : { form: part, write }));
}

function parseJson(body: string): unknown {
  // `$body` would put the whole message in the place of the template: Azure refuses it.
  if (body.trim() === '$body') throw new Refusal('bad_request', '$body is not allowed as a template.');
  checkDepth(body, mostJsonDepth, 'The template');
  try {
    return JSON.parse(body);
  } catch (cause) {
    throw new Refusal('bad_request', 'The template is not JSON.', {}, cause);
  }
}

function appendJson(value: unknown, path: string, pieces: Piece[]): void {
  if (typeof value === 'string') appendJsonText(value, path, pieces);
  else if (Array.isArray(value)) {
    value.forEach((item, i) => {
      pieces.push(i === 0 ? '[' : ',');
      appendJson(item, `${path}[${i}]`, pieces);
    });
    pieces.push(value.length === 0 ? '[]' : ']');
  } else if (typeof value === 'object' && value !== null) appendObject(Object.entries(value), path, pieces);
  else pieces.push(JSON.stringify(value));
}

function appendObject(entries: readonly (readonly [string, unknown])[], path: string, pieces: Piece[]): void {
  entries.forEach(([name, value], i) => {
    pieces.push(`${i === 0 ? '{' : ','}${JSON.stringify(name)}:`);
    appendJson(value, `${path}.${name}`, pieces);
  });
  pieces.push(entries.length === 0 ? '{}' : '}');
}

function appendJsonText(text: string, path: string, pieces: Piece[]): void {
  const expression = parseValue(text, `at ${path}`);
  if (expression.kind === 'number') pieces.push({ form: expression, write: writeNumber });
  else pieces.push('"', ...piecesOf(expression, insideJson, writeInside), '"');
}

function writeNumber(form: Form, properties: Properties, out: Bytes): void {
  const text = evaluate(form, properties);
  out.text(isJsonNumber(text) ? text : JSON.stringify(text));
}

function writeInside(form: Form, properties: Properties, out: Bytes): void {
  if (isWhole(form) && properties.copy?.(form.name, out)) return;
  out.text(insideJson(evaluate(form, properties)));
}

/** A text as it stands between the quotes. */
function insideJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

// A tag with its attributes, a comment, a CDATA section, or the text up to the next of them.
const xmlParts =
  /^(?:(<!--[\s\S]*?-->|<!\[CDATA\[[\s\S]*?\]\]>|<\?[\s\S]*?\?>|<\/?[A-Za-z_:][^\s/>]*(?:\s+[^\s=/>]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*\s*\/?>)|([^<]+))/;

/** .NET clients prefix one that claims UTF-16, though the bytes are not. */
function withoutDeclaration(body: string): string {
  return body.replace(/^\ufeff?\s*<\?xml[^>]*\?>\s*/, '');
}

function appendTag(markup: string, pieces: Piece[]): void {
  if (!/^<[A-Za-z_:]/.test(markup)) {
    pieces.push(markup);
    return;
  }
  let from = 0;
  for (const found of markup.matchAll(/=\s*("[^"]*"|'[^']*')/g)) {
    const quoted = found[1]!;
    const start = found.index + found[0].length - quoted.length + 1;
    pieces.push(markup.slice(from, start), ...xmlValue(quoted.slice(1, -1), 'in an attribute'));
    from = start + quoted.length - 2;
  }
  pieces.push(markup.slice(from));
}

/** Literal text keeps its own escapes; only an expression is read without them. */
function xmlValue(written: string, where: string): Piece[] {
  const expression = parseValue(unescapeXml(written).trim(), where);
  if (expression.kind === 'text') return [written];
  if (expression.kind === 'number')
    throw new Refusal('bad_request', `A number expression ${where} has no meaning in XML.`);
  return piecesOf(expression, xml, (form, properties, out) => out.text(xml(evaluate(form, properties))));
}

function writeText(form: Form, properties: Properties, out: Bytes): void {
  out.text(evaluate(form, properties));
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function unescapeXml(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|apos);/g, (_, name: string) => entities[name]!);
}
