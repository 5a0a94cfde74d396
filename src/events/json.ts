// JSON from strangers. The text is walked once before it is parsed: the walk finds how deep it nests (JSON.parse takes
// any depth, and whoever recurses over the result later dies of it), and where each member of the outermost object
// stands, so that a part can be kept exactly as it was written.
import { Refusal } from '../kit/refusal.ts';

export type Span = { readonly start: number; readonly end: number };

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;

/** UTF-8 bytes to text; a broken sequence is a refusal, not a question mark. A byte order mark is dropped. */
export function decodeUtf8(bytes: Uint8Array, what = 'The body'): string {
  try {
    return strictUtf8.decode(bytes);
  } catch (cause) {
    throw new Refusal('bad_request', `${what} is not valid UTF-8.`, {}, cause);
  }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

/** Parses JSON that nests at most `maxDepth` deep. */
export function parseJson(text: string, maxDepth: number, what = 'The body'): unknown {
  checkDepth(text, maxDepth, what);
  try {
    return JSON.parse(text);
  } catch (cause) {
    // V8's words name the place and are safe to show: they quote only what the caller sent.
    throw new Refusal('bad_request', `${what} is not valid JSON: ${(cause as SyntaxError).message}`, {}, cause);
  }
}

/** Refuses text that nests deeper than `maxDepth`. It need not be valid JSON. */
export function checkDepth(text: string, maxDepth: number, what: string): void {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) i = endOfString(text, i);
    else if (code === 0x7b || code === 0x5b) {
      if (++depth > maxDepth) throw new Refusal('bad_request', `${what} nests deeper than ${maxDepth} levels.`);
    } else if (code === 0x7d || code === 0x5d) depth--;
  }
}

/** The elements of the outermost array of `text`, which is known to be valid JSON. */
export function elementSpans(text: string): Span[] {
  const spans: Span[] = [];
  let at = skipBlank(text, text.indexOf('[') + 1);
  while (text[at] !== ']') {
    const end = endOfValue(text, at);
    spans.push({ start: at, end });
    at = skipBlank(text, end);
    if (text.charCodeAt(at) === COMMA) at = skipBlank(text, at + 1);
  }
  return spans;
}

/** Where the value of member `name` of the object at `span` stands; the last one counts, as in JSON.parse. */
export function memberSpan(text: string, span: Span, name: string): Span | undefined {
  let found: Span | undefined;
  let at = skipBlank(text, text.indexOf('{', span.start) + 1);
  while (text.charCodeAt(at) === QUOTE) {
    const endOfName = endOfString(text, at) + 1;
    const isIt = JSON.parse(text.slice(at, endOfName)) === name;
    const colon = skipBlank(text, endOfName);
    if (text.charCodeAt(colon) !== COLON) return undefined;
    const start = skipBlank(text, colon + 1);
    const end = endOfValue(text, start);
    if (isIt) found = { start, end };
    at = skipBlank(text, end);
    if (text.charCodeAt(at) === COMMA) at = skipBlank(text, at + 1);
  }
  return found;
}

function endOfValue(text: string, start: number): number {
  const first = text.charCodeAt(start);
  if (first === QUOTE) return endOfString(text, start) + 1;
  if (first !== 0x7b && first !== 0x5b) return endOfScalar(text, start);
  let depth = 0;
  for (let i = start; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) i = endOfString(text, i);
    else if (code === 0x7b || code === 0x5b) depth++;
    else if ((code === 0x7d || code === 0x5d) && --depth === 0) return i + 1;
  }
  return text.length;
}

function endOfScalar(text: string, start: number): number {
  let at = start;
  while (at < text.length && !',]} \t\r\n'.includes(text[at]!)) at++;
  return at;
}

/** The index of the quote that closes the string which opens at `start` (the text's end if none does). */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end !== -1 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end === -1 ? text.length : end;
}

function isEscaped(text: string, at: number): boolean {
  let slashes = 0;
  while (text.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes++;
  return slashes % 2 === 1;
}

function skipBlank(text: string, from: number): number {
  let at = from;
  while (at < text.length && ' \t\r\n'.includes(text[at]!)) at++;
  return at;
}
