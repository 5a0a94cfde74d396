// XML as the administration clients of both hubs and topics write it: elements, attributes and text, by local names. No DTD, no processing instructions but
// the declaration, no entities but the five of XML: what else can be written in XML has no place in a request here.
import { Refusal } from './refusal.ts';

export type Element = {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly Element[];
  readonly text: string;
};

const MAX_DEPTH = 20;
const MAX_ELEMENTS = 20_000;

const TOKEN =
  /<!--[\s\S]*?-->|<!\[CDATA\[([\s\S]*?)\]\]>|<\/([^\s<>/]+)\s*>|<([^\s<>/!?]+)((?:\s+[^\s=<>]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|([^<]+)/y;
const ATTRIBUTE = /([^\s=]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;

type Open = { name: string; raw: string; attributes: Map<string, string>; children: Element[]; text: string };

/** Reads a document. Refuses with `bad_request` what is not well-formed. */
export function parseXml(document: string): Element {
  const text = document.replace(/^\uFEFF?\s*(?:<\?xml[^?]*\?>)?/, '');
  if (text.includes('\0')) throw broken('holds a zero character');
  const root: Open = { name: '', raw: '', attributes: new Map(), children: [], text: '' };
  const open: Open[] = [root];
  let elements = 0;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const token = TOKEN.exec(text);
    if (!token) throw broken('is not well-formed');
    const [, cdata, closing, opening, attributes = '', empty, plain] = token;
    const top = open.at(-1)!;
    if (cdata !== undefined) top.text += cdata;
    else if (plain !== undefined) top.text += unescapeXml(plain);
    else if (closing !== undefined) close(open, closing);
    else if (opening !== undefined) {
      if (++elements > MAX_ELEMENTS || open.length > MAX_DEPTH) throw broken('is too large');
      open.push(begin(opening, attributes));
      if (empty === '/') close(open, opening);
    }
  }
  if (open.length !== 1 || root.children.length !== 1) throw broken('ends too early');
  return root.children[0]!;
}

function begin(raw: string, attributes: string): Open {
  const pairs = [...attributes.matchAll(ATTRIBUTE)].map(
    ([, name = '', double, single]) => [local(name), unescapeXml(double ?? single ?? '')] as const,
  );
  return { name: local(raw), raw, attributes: new Map(pairs), children: [], text: '' };
}

function close(open: Open[], raw: string): void {
  const done = open.pop()!;
  const parent = open.at(-1);
  if (!parent || done.raw !== raw) throw broken(`closes "${raw.slice(0, 50)}" where it is not open`);
  parent.children.push({ name: done.name, attributes: done.attributes, children: done.children, text: done.text });
}

function local(name: string): string {
  return name.slice(name.indexOf(':') + 1);
}

const NAMED: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

function unescapeXml(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]{1,6})|#([0-9]{1,7})|([a-z]+));|&/gi, (all, hex, decimal, name) => {
    const code = hex ? Number.parseInt(hex, 16) : decimal ? Number(decimal) : undefined;
    if (code !== undefined && code > 0 && code <= 0x10ffff) return String.fromCodePoint(code);
    const known = name === undefined ? undefined : NAMED[name];
    if (known === undefined) throw broken(`has the unknown entity "${all.slice(0, 20)}"`);
    return known;
  });
}

function broken(how: string): Refusal {
  return new Refusal('bad_request', `The XML of the request ${how}.`);
}

export function child(element: Element | undefined, name: string): Element | undefined {
  return element?.children.find((each) => each.name === name);
}

/** The text of a child; `undefined` if it is absent or empty. */
export function childText(element: Element | undefined, name: string): string | undefined {
  const text = child(element, name)?.text.trim();
  return text === '' ? undefined : text;
}

/** Clients keep white space between elements as content, so nothing is printed between them. */
export function tag(name: string, content: string | undefined, attributes = ''): string {
  if (content === undefined) return '';
  return `<${name}${attributes === '' ? '' : ` ${attributes}`}>${content}</${name}>`;
}

export function textTag(name: string, text: string | number | boolean | undefined): string {
  return text === undefined ? '' : tag(name, escapeXml(String(text)));
}

/** Control characters have no place in XML 1.0, escaped or not; nobody can have meant them. */
export function escapeXml(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that XML cannot hold
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '')
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
  );
}
