// Log lines for people at a terminal: time, level, what, fields.
import type { Writable } from 'node:stream';
import { styleText } from 'node:util';

const LEVELS: Readonly<Record<string, string>> = {
  debug: styleText('dim', 'debug'),
  info: styleText('green', 'info '),
  warn: styleText('yellow', 'warn '),
  error: styleText('red', 'error'),
};

/** What pino writes to: takes its JSON lines, writes pretty ones. */
export function prettyStream(out: Pick<Writable, 'write'>): { write(line: string): void } {
  return {
    write: (line) => {
      out.write(prettyLine(line));
    },
  };
}

export function prettyLine(line: string): string {
  const { level, time, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const rest = Object.entries(fields).map(([name, value]) => `${styleText('dim', `${name}=`)}${shown(value)}`);
  const stack = typeof err === 'object' && err !== null && 'stack' in err ? `\n${String(err.stack)}` : '';
  const clock = styleText('dim', String(time).slice(11, 23));
  return `${[clock, LEVELS[String(level)] ?? String(level), msg, ...rest].join(' ')}${stack}\n`;
}

function shown(value: unknown): string {
  if (typeof value === 'number') return String(Math.round(value * 10) / 10);
  return typeof value === 'string' ? value : JSON.stringify(value);
}
