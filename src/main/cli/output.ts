// What commands print: tables and fields for people, JSON for programs.
import { styleText } from 'node:util';

type Row = Readonly<Record<string, unknown>>;

export class Output {
  readonly json: boolean;
  readonly #write: (text: string) => void;

  constructor(json: boolean, write: (text: string) => void = (text) => process.stdout.write(text)) {
    this.json = json;
    this.#write = write;
  }

  line(text: string): void {
    this.#write(`${text}\n`);
  }

  /** The result of a command: as JSON, or in words. */
  result(value: unknown, words: () => string): void {
    this.line(this.json ? JSON.stringify(value, null, 2) : words());
  }

  /** One of many results that come over time: one JSON document per line, or in words. */
  item(value: unknown, words: () => string): void {
    this.line(this.json ? JSON.stringify(value) : words());
  }

  /** A page of a list with the columns that people see. */
  list(page: { readonly items: readonly Row[]; readonly next?: string | null }, columns: readonly string[]): void {
    this.result(page, () => table(page.items, columns) + (page.next ? `\n(more: --cursor ${page.next})` : ''));
  }

  fields(value: Row): void {
    this.result(value, () => fieldLines(value));
  }
}

export function table(rows: readonly Row[], columns: readonly string[]): string {
  if (rows.length === 0) return '(none)';
  const cells = [columns, ...rows.map((row) => columns.map((column) => cell(row[column])))];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i]!.length)));
  const lines = cells.map((line) =>
    line
      .map((text, i) => text.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  );
  return [styleText('bold', lines[0]!), ...lines.slice(1)].join('\n');
}

export function fieldLines(value: Row): string {
  const width = Math.max(0, ...Object.keys(value).map((name) => name.length));
  return Object.entries(value)
    .map(([name, field]) => `${name.padEnd(width)}  ${cell(field)}`)
    .join('\n');
}

function cell(value: unknown): string {
  if (value === undefined || value === null) return '-';
  if (Array.isArray(value) && value.every((entry) => typeof entry !== 'object')) return value.join(', ');
  if (value instanceof Date) return value.toISOString();
  return printable(typeof value === 'object' ? JSON.stringify(value) : String(value));
}

/** A newline or an escape sequence from outside must not reach the terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it removes
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
}
