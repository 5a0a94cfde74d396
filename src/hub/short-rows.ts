// The devices of a page as the database wrote them, one JSON text after the other, read where they lie. Nearly all are in the short form
// that its function device_push makes of them: [id, platform, address, key of the templates, variables]. Of these is only noted where
// each part begins and ends: to make objects and texts of them costs ten times that. Which are not in this form is told.

import { Bytes, sameBytes } from './bytes.ts';
import type { InstallationPlatform } from './installation.ts';
import { withVariables } from './template.ts';
import type { Properties } from './template-expression.ts';

/** What the devices of one app have in common. */
export type App = {
  readonly platform: InstallationPlatform;
  /** Of their templates. */
  readonly key: string;
  /** The first of them here. */
  readonly row: number;
};

// Where the spans stand of a row.
const idStart = 0;
const idEnd = 1;
const addressStart = 2;
const addressEnd = 3;
const variablesStart = 4;
const variablesEnd = 5;
const rowStart = 6;
const rowEnd = 7;
const columns = 8;

const quote = 0x22;
const comma = 0x2c;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

export class ShortRows {
  readonly bytes: Bytes;
  readonly length: number;
  readonly apps: App[] = [];
  readonly #spans: Int32Array;
  readonly #apps: Int16Array;
  readonly #plain: Uint8Array;
  readonly #places = new Map<string, number>();
  /** The app of the short row before, and what stands there between the ends of id, address and variables: neighbours are mostly alike. */
  #app = -1;
  readonly #platform = new Between();
  readonly #key = new Between();

  /** `text`: so many rows, separated by commas. */
  constructor(text: string, length: number) {
    this.bytes = Bytes.of(text);
    this.length = length;
    this.#spans = new Int32Array(length * columns);
    this.#apps = new Int16Array(length).fill(-1);
    this.#plain = new Uint8Array(length);
    for (let row = 0, at = 0; row < length; row += 1) {
      const short = this.#read(row, at);
      const end = short < 0 ? endOfValue(this.bytes, at) : short;
      this.#spans[row * columns + rowStart] = at;
      this.#spans[row * columns + rowEnd] = end;
      at = end + 1;
    }
  }

  /** The place of its app among `apps`; -1: it is not in the short form. */
  appAt(row: number): number {
    return this.#apps[row]!;
  }

  /** It is in the short form, and its id and its address are texts that are written as they are. */
  isPlain(row: number): boolean {
    return this.#plain[row] === 1;
  }

  idStart(row: number): number {
    return this.#spans[row * columns + idStart]!;
  }

  idEnd(row: number): number {
    return this.#spans[row * columns + idEnd]!;
  }

  addressStart(row: number): number {
    return this.#spans[row * columns + addressStart]!;
  }

  addressEnd(row: number): number {
    return this.#spans[row * columns + addressEnd]!;
  }

  variablesStart(row: number): number {
    return this.#spans[row * columns + variablesStart]!;
  }

  variablesEnd(row: number): number {
    return this.#spans[row * columns + variablesEnd]!;
  }

  /** Of a short row. */
  idAt(row: number): string {
    return JSON.parse(this.bytes.slice(this.idStart(row) - 1, this.idEnd(row) + 1)) as string;
  }

  /** All of it, as JSON. */
  text(row: number): string {
    return this.bytes.slice(this.#spans[row * columns + rowStart]!, this.#spans[row * columns + rowEnd]!);
  }

  /** Where the row ends; -1: it is in another form. */
  #read(row: number, at: number): number {
    const { bytes } = this;
    if (bytes.buffer[at] !== openBracket) return -1;
    const id = at + 2;
    const idTo = endOfPlain(bytes, id);
    const endOfId = idTo < 0 ? ~idTo : idTo;
    const isPlatformAsBefore = this.#platform.isAt(bytes, endOfId);
    if (!isPlatformAsBefore) this.#platform.learn(endOfId, endOfText(bytes, endOfId + 3) + 2);
    const quoted = endOfId + this.#platform.length;
    const isText = bytes.buffer[quoted] === quote;
    const addressTo = isText ? endOfPlain(bytes, quoted + 1) : ~endOfValue(bytes, quoted);
    const endOfAddress = (addressTo < 0 ? ~addressTo : addressTo) + (isText ? 1 : 0);
    const isKeyAsBefore = this.#key.isAt(bytes, endOfAddress);
    if (!isKeyAsBefore) this.#key.learn(endOfAddress, endOfText(bytes, endOfAddress + 2) + 2);
    if (!isPlatformAsBefore || !isKeyAsBefore) this.#app = this.#placeOf(row, endOfId, endOfAddress);
    const variables = endOfAddress + this.#key.length;
    const end = endOfValue(bytes, variables);
    const spans = this.#spans;
    const first = row * columns;
    spans[first + idStart] = id;
    spans[first + idEnd] = endOfId;
    spans[first + addressStart] = quoted + 1;
    spans[first + addressEnd] = endOfAddress - 1;
    spans[first + variablesStart] = variables;
    spans[first + variablesEnd] = end;
    this.#plain[row] = idTo < 0 || addressTo < 0 ? 0 : 1;
    this.#apps[row] = this.#app;
    return end + 1;
  }

  /** Of the app whose platform and key stand behind these. */
  #placeOf(row: number, endOfId: number, endOfAddress: number): number {
    // The database wrote what was checked when it was registered.
    const app: App = {
      platform: this.bytes.slice(endOfId + 3, endOfId + this.#platform.length - 2) as InstallationPlatform,
      key: this.bytes.slice(endOfAddress + 2, endOfAddress + this.#key.length - 2),
      row,
    };
    const name = `${app.platform} ${app.key}`;
    const known = this.#places.get(name);
    if (known !== undefined) return known;
    const place = this.apps.push(app) - 1;
    this.#places.set(name, place);
    return place;
  }
}

/** What stood between two parts of the row before. */
class Between {
  length = 0;
  #start = 0;

  learn(start: number, end: number): void {
    this.#start = start;
    this.length = end - start;
  }

  isAt(bytes: Bytes, at: number): boolean {
    return this.length > 0 && sameBytes(bytes, at, at + this.length, bytes, this.#start);
  }
}

/** The properties of a send over the variables of one device after the other, as these stand in their rows. */
export class RowProperties implements Properties {
  readonly #sent: Properties;
  readonly #rows: ShortRows;
  #row = 0;
  #read: Properties | undefined;

  constructor(sent: Properties, rows: ShortRows) {
    this.#sent = sent;
    this.#rows = rows;
  }

  moveTo(row: number): void {
    this.#row = row;
    this.#read = undefined;
  }

  get(name: string): string | undefined {
    const rows = this.#rows;
    this.#read ??= withVariables(
      this.#sent,
      // The database wrote what was checked when it was registered.
      (JSON.parse(rows.bytes.slice(rows.variablesStart(this.#row), rows.variablesEnd(this.#row))) ?? {}) as Record<
        string,
        string
      >,
    );
    return this.#read.get(name);
  }

  /** Only a text under just this name; whoever gets another looks closer. */
  copy(name: string, out: Bytes): boolean {
    if (this.#sent.get(name) !== undefined) return false;
    const { bytes } = this.#rows;
    const { buffer } = bytes;
    let at = this.#rows.variablesStart(this.#row);
    if (buffer[at] !== openBrace) return false;
    do {
      const key = skipSpace(buffer, at + 1);
      if (buffer[key] !== quote) return false;
      const endOfKey = endOfText(bytes, key + 1);
      const value = skipSpace(buffer, skipSpace(buffer, endOfKey + 1) + 1);
      if (buffer[value] !== quote) return false;
      const endOfValue = endOfText(bytes, value + 1);
      if (isText(buffer, key + 1, endOfKey, name)) {
        out.append(bytes, value + 1, endOfValue);
        return true;
      }
      at = skipSpace(buffer, endOfValue + 1);
    } while (buffer[at] === comma);
    return false;
  }
}

/** Where the text ends whose first character is at `start`. */
function endOfText(bytes: Bytes, start: number): number {
  let at = indexOfQuoteOrEscape(bytes, start);
  while (bytes.buffer[at] === backslash) at = indexOfQuoteOrEscape(bytes, at + 2);
  return at;
}

/** The same; negative (`~end`) when it is not written as it is. */
function endOfPlain(bytes: Bytes, start: number): number {
  const at = indexOfQuoteOrEscape(bytes, start);
  return bytes.buffer[at] === backslash ? ~endOfText(bytes, at) : at;
}

const ones = 0x0101_0101;
const highs = 0x8080_8080 | 0;
const quotes = quote * ones;
const backslashes = backslash * ones;

/** Four bytes at a time: of a number, the lowest byte that is 0 is the lowest whose high bit comes out set (Mycroft). */
function indexOfQuoteOrEscape({ view, length }: Bytes, start: number): number {
  for (let at = start; at < length; at += 4) {
    const four = view.getInt32(at, true);
    const [a, b] = [four ^ quotes, four ^ backslashes];
    const found = (((a - ones) & ~a) | ((b - ones) & ~b)) & highs;
    if (found !== 0) return at + ((31 - Math.clz32(found & -found)) >>> 3);
  }
  return length;
}

/** Where the JSON value at `start` ends, which others follow. */
function endOfValue(bytes: Bytes, start: number): number {
  const { buffer, length } = bytes;
  let depth = 0;
  let at = start;
  for (; at < length; at += 1) {
    const byte = buffer[at]!;
    if (byte === quote) at = endOfText(bytes, at + 1);
    else if (byte === openBrace || byte === openBracket) depth += 1;
    else if (byte === closeBrace || byte === closeBracket) {
      if (depth <= 1) return depth === 1 ? at + 1 : at;
      depth -= 1;
    } else if (byte === comma && depth === 0) return at;
  }
  return at;
}

function skipSpace(buffer: Buffer, start: number): number {
  let at = start;
  while (buffer[at]! <= 0x20) at += 1;
  return at;
}

function isText(buffer: Buffer, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i += 1) if (buffer[start + i] !== text.charCodeAt(i)) return false;
  return true;
}
