// The command line: finds the command, runs it, turns what it throws into words and an exit status.
import { Refusal } from '../kit/refusal.ts';
import { Client, findServer, Refused, Unreachable } from './cli/client.ts';
import { type Command, parseArguments, UsageError } from './cli/command.ts';
import { commands } from './cli/commands.ts';
import { helpOf, helpOfGroup, overview, usage } from './cli/help.ts';
import { Output } from './cli/output.ts';
import { version } from './version.ts';

const argv = process.argv.slice(2);
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0); // `carillon ... | head`
  throw error;
});
await main(argv).catch((error: unknown) => {
  process.exitCode = explain(error, argv.includes('--json'));
});

async function main(given: readonly string[]): Promise<void> {
  if (given[0] === 'help' && given.length > 1) return main([...given.slice(1), '--help']);
  if (given.length === 0 || ['help', '--help', '-h'].includes(given[0]!)) return console.log(overview(commands));
  if (['--version', '-v', 'version'].includes(given[0]!)) return console.log(version);
  const group = groupOf(given);
  if (group.length > 0 && (given[1] === '--help' || given[1] === '-h')) return console.log(helpOfGroup(group));
  const command = find(given);
  const rest = given.slice(command.words.split(' ').length);
  if (rest.includes('--help') || rest.includes('-h')) return console.log(helpOf(command));
  if (command.raw) return command.raw(rest, process.env);
  await run(command, rest);
}

function find(given: readonly string[]): Command {
  const command = commands.find(({ words }) => words.split(' ').every((word, i) => given[i] === word));
  if (command) return command;
  const siblings = groupOf(given);
  if (siblings.length === 0) throw new UsageError(`There is no command "${given[0]}"; see: carillon --help`);
  throw new UsageError(`Say what to do: ${siblings.map(({ words }) => words).join(', ')}.`);
}

/** The commands of two words whose first word this is. */
function groupOf([first]: readonly string[]): Command[] {
  return commands.filter(({ words }) => words.startsWith(`${first} `));
}

async function run(command: Command, rest: readonly string[]): Promise<void> {
  try {
    const parsed = parseArguments(command, rest);
    const env = process.env;
    const client = async () => {
      const { url, key } = await findServer({ options: parsed.options, env });
      return new Client(url, key);
    };
    await command.run?.({ ...parsed, env, client, out: new Output(parsed.options.json === true) });
  } catch (error) {
    if (error instanceof UsageError) error.message += `\n${usage(command)}`;
    throw error;
  }
}

/** Says what went wrong; returns the exit status. */
function explain(error: unknown, json: boolean): number {
  const [status, detail] = judge(error);
  if (json) console.error(JSON.stringify(detail));
  else console.error(`carillon: ${(error as Error).message}`);
  return status;
}

function judge(error: unknown): [status: number, detail: Record<string, unknown>] {
  if (error instanceof UsageError) return [2, { error: 'usage', detail: error.message }];
  if (error instanceof Unreachable) return [3, { error: 'unreachable', detail: error.message }];
  if (error instanceof Refused) return [1, { error: 'refused', ...error.problem }];
  if (error instanceof Refusal) return [1, { error: error.code, detail: error.message, ...error.details }];
  if (error instanceof Error && error.message.startsWith('PostgreSQL '))
    return [1, { error: 'engine', detail: error.message }];
  throw error;
}
