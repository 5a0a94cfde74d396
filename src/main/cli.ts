// The command line: finds the command, runs it, turns what it throws into words and an exit status.
import { Refusal } from '../kit/refusal.ts';
import { start } from './start.ts';

const [command, ...argv] = process.argv.slice(2);
try {
  if (command === 'start') await start(argv, process.env);
  else throw new Refusal('bad_request', `unknown command ${command}`);
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  console.error(`carillon: ${error.message}`);
  process.exitCode = 1;
}
