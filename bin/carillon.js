#!/usr/bin/env node
// The command line. Plain JavaScript for any Node >= 20, so that it runs on a fresh clone with nothing installed.
import { install, runEntry } from './bootstrap.js';

const [command, ...rest] = process.argv.slice(2);
try {
  await install({ dev: false });
  if (command === 'dev') await runEntry('src/main/cli.ts', ['start', ...rest], ['--watch', '--watch-preserve-output']);
  else await runEntry('src/main/cli.ts', process.argv.slice(2));
} catch (error) {
  console.error(`carillon: ${error.message}`);
  process.exitCode = 1;
}
