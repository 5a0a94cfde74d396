// Help, printed from the commands.
import { settingsHelp } from '../settings-print.ts';
import { type Command, commonOptions, type Option } from './command.ts';

export function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ words }) => words.length));
  return [
    'Carillon: the broker that knows people.',
    '',
    'usage: carillon <command> [arguments]',
    '',
    ...commands.map(({ words, summary }) => `  ${words.padEnd(width)}  ${summary}`),
    '',
    'carillon <command> --help says more. All commands but start talk to a server: to the one of the data folder,',
    'or to the one that --url and --key (CARILLON_URL, CARILLON_KEY) name. --json prints JSON.',
    'Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no server answers.',
    '',
    'Flags of start, each with its environment variable:',
    '',
    settingsHelp(),
  ].join('\n');
}

/** Of commands with the same first word. */
export function helpOfGroup(commands: readonly Command[]): string {
  const [word] = commands[0]!.words.split(' ');
  const rows = commands.map(({ words, summary }) => [words, summary] as const);
  return [
    `usage: carillon ${word} <command> [arguments]`,
    ...section('commands', rows),
    '',
    `carillon ${word} <command> --help says more.`,
  ].join('\n');
}

export function helpOf(command: Command): string {
  if (command.raw) return ['usage: carillon start [flags]', '', settingsHelp()].join('\n');
  const args = (command.args ?? []).map(({ name, sentence }) => [`<${name}>`, sentence] as const);
  return [
    usage(command),
    '',
    `${command.summary}.${command.details ? ` ${command.details}` : ''}`,
    ...section('arguments', args),
    ...section('options', optionRows(command.options ?? {})),
    ...section('common options', optionRows(commonOptions)),
    ...(command.examples ? ['', 'examples', ...command.examples.map((example) => `  ${example}`)] : []),
  ].join('\n');
}

export function usage({ words, args = [] }: Command): string {
  const shown = args.map(({ name, optional }) => (optional ? ` [${name}]` : ` <${name}>`)).join('');
  return `usage: carillon ${words}${shown} [options]`;
}

export function optionRows(options: Readonly<Record<string, Option>>): (readonly [string, string])[] {
  return Object.entries(options).map(([name, { shows, sentence }]) => [
    `--${name}${shows ? ` <${shows}>` : ''}`,
    sentence,
  ]);
}

function section(title: string, rows: readonly (readonly [string, string])[]): string[] {
  if (rows.length === 0) return [];
  const width = Math.max(...rows.map(([name]) => name.length));
  return ['', title, ...rows.map(([name, sentence]) => `  ${name.padEnd(width)}  ${sentence}`)];
}
