#!/usr/bin/env node
// Runs one of our own TypeScript files with everything installed: `node bin/run.js scripts/check.ts`.
import { install, runTool } from './bootstrap.js';

const [entry, ...rest] = process.argv.slice(2);
try {
  if (!entry) throw new Error('usage: node bin/run.js <file.ts> [arguments]');
  await install({ dev: true });
  await runTool(entry, rest);
} catch (error) {
  console.error(`carillon: ${error.message}`);
  process.exitCode = 1;
}
