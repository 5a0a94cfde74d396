// The one reader of settings: flag before environment before file before default. It reports every problem at once,
// and refuses names that it does not know, because a misspelt setting that is ignored is found out in production.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Refusal } from '../kit/refusal.ts';
import {
  clientTable,
  environmentName,
  flagName,
  type Settings,
  settingsTable,
  type Table,
  type Values,
} from './settings-table.ts';

export type Origin = 'flag' | 'environment' | 'file' | 'default';
export type Source = { readonly origin: Origin; readonly name: string };
type Environment = Readonly<Record<string, string | undefined>>;
type Given = { readonly text: string; readonly source: Source };

export type ReadSettings<T extends Table> = {
  readonly values: Values<T>;
  /** Where each value came from; settings without a value are absent. */
  readonly sources: Readonly<Partial<Record<keyof T, Source>>>;
};

/** Reads the server's settings. Throws a Refusal (`invalid_setting`) that lists every problem, one per line. */
export function readSettings(argv: readonly string[], env: Environment): ReadSettings<typeof settingsTable> {
  const problems = unknownNames(env);
  const flags = readFlags(settingsTable, argv, problems);
  return finish(readTable(settingsTable, flags, env, problems), problems);
}

/** Reads some settings from the environment alone, for the client commands; other problems are not theirs. */
export function readEnvironment<T extends Table>(table: T, env: Environment): Values<T> {
  const problems: string[] = [];
  return finish(readTable(table, {}, env, problems), problems).values;
}

function finish<T extends Table>(result: ReadSettings<T>, problems: readonly string[]): ReadSettings<T> {
  if (problems.length === 0) return result;
  const intro = problems.length === 1 ? 'A setting is wrong' : `${problems.length} settings are wrong`;
  throw new Refusal('invalid_setting', `${intro}:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`, {
    problems,
  });
}

function readTable<T extends Table>(
  table: T,
  flags: Readonly<Record<string, string>>,
  env: Environment,
  problems: string[],
): ReadSettings<T> {
  const values: Record<string, unknown> = {};
  const sources: Partial<Record<string, Source>> = {};
  for (const [key, setting] of Object.entries(table)) {
    const given = find(key, setting, flags[flagName(key)], env, problems);
    if (!given) continue;
    sources[key] = given.source;
    try {
      values[key] = setting.kind.parse(given.text);
    } catch (error) {
      const shown = setting.secret ? '' : `; it is "${given.text}"`;
      problems.push(`${given.source.name} ${(error as Error).message}${shown}.`);
    }
  }
  // The loop went over every key of the table; a missing value was reported as a problem.
  return { values: values as Values<T>, sources: sources as ReadSettings<T>['sources'] };
}

function find(
  key: string,
  setting: Table[string],
  flag: string | undefined,
  env: Environment,
  problems: string[],
): Given | undefined {
  const name = environmentName(key);
  if (flag !== undefined) return { text: flag, source: { origin: 'flag', name: `--${flagName(key)}` } };
  // An empty variable counts as absent: that is how compose files and shells say "not set".
  if (env[name]) return { text: env[name], source: { origin: 'environment', name } };
  const file = setting.secret ? env[`${name}_FILE`] : undefined;
  if (file) return readSecretFile(`${name}_FILE`, file, problems);
  return setting.default === undefined ? undefined : { text: setting.default, source: { origin: 'default', name } };
}

function readSecretFile(name: string, file: string, problems: string[]): Given | undefined {
  try {
    return { text: readFileSync(file, 'utf8').trim(), source: { origin: 'file', name } };
  } catch (error) {
    problems.push(`${name} names a file that cannot be read (${(error as NodeJS.ErrnoException).code}): ${file}.`);
    return undefined;
  }
}

function readFlags(table: Table, argv: readonly string[], problems: string[]): Record<string, string> {
  const names = Object.entries(table).flatMap(([key, { secret }]) => (secret ? [] : [flagName(key)]));
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]));
  const flags: Record<string, string> = {};
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, tokens: true });
  for (const [i, token] of tokens.entries()) {
    const before = tokens[i - 1];
    // What follows an unknown flag is taken for its value.
    const valueOfUnknown = before?.kind === 'option' && !before.inlineValue && !names.includes(before.name);
    if (token.kind === 'positional' && !valueOfUnknown) problems.push(`"${token.value}" is not expected here.`);
    if (token.kind !== 'option') continue;
    if (!names.includes(token.name)) problems.push(unknownFlag(table, token.name, names));
    else if (token.value === undefined) problems.push(`--${token.name} needs a value.`);
    else flags[token.name] = token.value;
  }
  return flags;
}

function unknownFlag(table: Table, name: string, names: readonly string[]): string {
  const secret = Object.keys(table).find((key) => flagName(key) === name);
  if (secret)
    return `--${name} is a secret and has no flag; set ${environmentName(secret)} or ${environmentName(secret)}_FILE.`;
  return `--${name} is not a known flag.${suggestion(name, names, '--')}`;
}

function unknownNames(env: Environment): string[] {
  const tables: Table = { ...settingsTable, ...clientTable };
  const known = Object.entries(tables).flatMap(([key, { secret }]) => {
    const name = environmentName(key);
    return secret ? [name, `${name}_FILE`] : [name];
  });
  return Object.keys(env)
    .filter((name) => name.startsWith('CARILLON_') && !known.includes(name))
    .map((name) => `${name} is not a known setting.${suggestion(name, known, '')}`);
}

function suggestion(name: string, known: readonly string[], prefix: string): string {
  const [best] = known
    .map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
    .sort((a, b) => a.distance - b.distance);
  return best && best.distance <= 4 ? ` Did you mean ${prefix}${best.candidate}?` : '';
}

/** How many letters must be put in, taken out or changed to make `b` of `a`. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length]!;
}

export type { Settings };
