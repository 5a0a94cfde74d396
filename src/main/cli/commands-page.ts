// docs/commands.md, printed from the commands.
import type { Command } from './command.ts';
import { commonOptions } from './command.ts';
import { commands } from './commands.ts';
import { optionRows, usage } from './help.ts';

export function commandsPage(): string {
  return [
    '# Commands',
    '',
    'Printed from `src/main/cli/commands.ts` by `npm run print`; do not edit.',
    '',
    'In the project folder `npx carillon <command>` runs a command. `start` takes [the settings](settings.md) as flags;',
    'all other commands are clients of the HTTP API and take these options:',
    '',
    ...bullets(optionRows(commonOptions)),
    '',
    'Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no server answers.',
    ...commands.filter(({ raw }) => !raw).flatMap(section),
    '',
  ].join('\n');
}

function section(command: Command): string[] {
  const args = (command.args ?? []).map(({ name, sentence }) => [`<${name}>`, sentence] as const);
  const rows = [...args, ...optionRows(command.options ?? {})];
  return [
    '',
    `## carillon ${command.words}`,
    '',
    `${command.summary}.${command.details ? ` ${command.details}` : ''}`,
    '',
    '```',
    usage(command).replace('usage: ', ''),
    ...(command.examples ?? []),
    '```',
    ...(rows.length > 0 ? ['', ...bullets(rows)] : []),
  ];
}

function bullets(rows: readonly (readonly [string, string])[]): string[] {
  return rows.map(([name, sentence]) => `- \`${name}\`: ${sentence}`);
}
