// `npm test`: the tools that tests need, the checks, every test. Ends with one line for the whole run. A skipped test
// counts as failed: what is not run is not known to work. A test that passes only when it is tried again is named with what
// went wrong at first, for a person to look into.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensurePages } from '../src/main/pages.ts';
import { printCheck, runChecks } from './check.ts';
import { ensureTools } from './tools.ts';

type Result = { readonly status: string; readonly fullName: string; readonly failureMessages?: readonly string[] };
type File = { readonly name: string; readonly status: string; readonly assertionResults: readonly Result[] };
type Report = { readonly numPassedTests: number; readonly testResults: readonly File[] };
type Count = { readonly passed: number; readonly failed: number };

const root = fileURLToPath(new URL('..', import.meta.url));
const filters = process.argv.slice(2);

await ensureTools();
await ensurePages();
const checks = await runChecks(printCheck);
const failedChecks = checks.filter(({ problem }) => problem !== undefined).length;
const tests = await runVitest(filters);
const passed = checks.length - failedChecks + tests.passed;
const failed = failedChecks + tests.failed;
process.exitCode = failed === 0 ? 0 : 1;
console.log(`${passed} passed, ${failed} failed`);

async function runVitest(args: readonly string[]): Promise<Count> {
  const folder = mkdtempSync(join(tmpdir(), 'carillon-report-'));
  const file = join(folder, 'report.json');
  const flags = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const child = spawn(process.execPath, [join(root, 'node_modules/vitest/vitest.mjs'), ...flags, ...args], {
    cwd: root,
    stdio: 'inherit',
  });
  const status = await new Promise<number | null>((resolve, reject) =>
    child.once('error', reject).once('close', resolve),
  );
  const report = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Report) : undefined;
  rmSync(folder, { recursive: true });
  return count(report, status);
}

function count(report: Report | undefined, status: number | null): Count {
  if (!report) return { passed: 0, failed: 1 };
  const tests = report.testResults.flatMap((file) => file.assertionResults);
  for (const file of report.testResults) tellFlaky(file);
  const skipped = tests.filter((test) => test.status !== 'passed' && test.status !== 'failed');
  for (const test of skipped) console.log(`NOT RUN  ${test.fullName}`);
  // A file that does not load has no tests; an error outside of any test shows in the exit status alone.
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed'),
  );
  const failed = tests.filter((test) => test.status === 'failed').length + skipped.length + broken.length;
  return { passed: report.numPassedTests, failed: failed === 0 && status !== 0 ? 1 : failed };
}

function tellFlaky({ name, assertionResults }: File): void {
  for (const { status, fullName, failureMessages = [] } of assertionResults) {
    if (status !== 'passed' || failureMessages.length === 0) continue;
    console.log(`FLAKY  ${relative(root, name)} > ${fullName}`);
    for (const message of failureMessages) console.log(`       ${inShort(message)}`);
  }
}

/** What went wrong, and the first place of ours. */
function inShort(failure: string): string {
  const lines = failure.split('\n').map((line) => line.trim());
  const place = lines.find((line) => line.startsWith('at ') && !line.includes('node_modules'));
  return [lines[0], place].filter(Boolean).join(' ');
}
