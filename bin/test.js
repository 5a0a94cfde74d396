#!/usr/bin/env node
// `npm test` on a fresh clone: installs what the tests need, then runs all of them.
import { install, runEntry } from './bootstrap.js';

try {
  await install({ dev: true });
  await runEntry('scripts/test.ts', process.argv.slice(2));
} catch (error) {
  console.error(`carillon: ${error.message}`);
  process.exitCode = 1;
}
