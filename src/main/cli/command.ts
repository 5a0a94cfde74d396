// What a command of the command line is: its words, what it takes, what it does. Help and docs/commands.md are printed
// from these records, arguments are parsed by them.
import { parseArgs } from 'node:util';
import type { Client } from './client.ts';
import type { Output } from './output.ts';

export type Option = {
  readonly type: 'string' | 'boolean';
  /** What stands after the flag in help, for strings. */
  readonly shows?: string;
  readonly multiple?: boolean;
  readonly sentence: string;
};

export type Argument = { readonly name: string; readonly optional?: boolean; readonly sentence: string };

export type Call = {
  /** The arguments by name. Required ones are there; optional ones may be absent. */
  readonly args: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string | boolean | readonly string[] | undefined>>;
  readonly client: () => Promise<Client>;
  readonly out: Output;
  readonly env: NodeJS.ProcessEnv;
};

export type Command = {
  /** `topic list` */
  readonly words: string;
  readonly summary: string;
  readonly details?: string;
  readonly args?: readonly Argument[];
  readonly options?: Readonly<Record<string, Option>>;
  readonly examples?: readonly string[];
  /** Takes arguments as they are: `start` reads its own table. */
  readonly raw?: (argv: readonly string[], env: NodeJS.ProcessEnv) => Promise<void>;
  readonly run?: (call: Call) => Promise<void>;
};

/** The user asked for something that the command line does not have: exit status 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What every command but `start` takes. */
export const commonOptions: Readonly<Record<string, Option>> = {
  url: { type: 'string', shows: 'url', sentence: 'The server to talk to; without it the server of the data folder.' },
  key: { type: 'string', shows: 'key', sentence: 'The key to send; without it the admin key of the data folder.' },
  'data-dir': { type: 'string', shows: 'folder', sentence: 'The data folder in which to look for them.' },
  json: { type: 'boolean', sentence: 'Print JSON: one document, or one per line for what does not end.' },
  help: { type: 'boolean', sentence: 'Print this help.' },
};

export type ParsedArguments = Pick<Call, 'args' | 'options'>;

export function parseArguments(command: Command, argv: readonly string[]): ParsedArguments {
  const known = { ...commonOptions, ...command.options };
  const options = Object.fromEntries(
    Object.entries(known).map(([name, { type, multiple }]) => [name, { type, multiple: multiple ?? false }]),
  );
  try {
    const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true, strict: true });
    return { args: values.help ? {} : nameArguments(command, positionals), options: values as Call['options'] };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    // parseArgs says in its first sentence what is wrong, then gives hints that do not fit here.
    throw new UsageError(`${(error as Error).message.split('. ')[0]}.`);
  }
}

function nameArguments(command: Command, given: readonly string[]): Record<string, string> {
  const wanted = command.args ?? [];
  const missing = wanted.find(({ optional }, i) => !optional && given[i] === undefined);
  if (missing) throw new UsageError(`<${missing.name}> is missing: ${missing.sentence}`);
  if (given.length > wanted.length) throw new UsageError(`"${given[wanted.length]}" is not expected here.`);
  return Object.fromEntries(given.map((value, i) => [wanted[i]!.name, value]));
}

/** A string option, if it was given. */
export function stringOption({ options }: Pick<Call, 'options'>, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}

/** Of an option that is `multiple`: all that were given. */
export function listOption({ options }: Pick<Call, 'options'>, name: string): readonly string[] {
  return (options[name] ?? []) as readonly string[]; // the option is `multiple`
}

/** The same, of texts such as `name=value`. */
export function pairsOption(call: Pick<Call, 'options'>, option: string, shows = 'name=value'): [string, string][] {
  return listOption(call, option).map((text) => {
    const [, name, value] = /^([^=]+)=([\s\S]*)$/.exec(text) ?? [];
    if (name === undefined) throw new UsageError(`--${option} wants ${shows}; it is "${text}".`);
    return [name, value!];
  });
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `30s`, `5m`, `7d`, or in ISO 8601 as Azure's tools take it: `PT30S`, `P7D`. In milliseconds. */
export function milliseconds(text: string, flag: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? [];
  if (number !== undefined) return Math.round(Number(number) * UNITS[unit!]!); // the expression names the units
  const iso = /^P(?=.)(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/i.exec(text);
  if (!iso) throw new UsageError(`--${flag} wants a duration such as 30s, 5m, 12h, 7d or PT30S; it is "${text}".`);
  const [days, hours, minutes, seconds] = iso.slice(1).map((part) => Number(part ?? 0)) as [number, ...number[]];
  return Math.round((((days * 24 + hours!) * 60 + minutes!) * 60 + seconds!) * 1_000);
}
