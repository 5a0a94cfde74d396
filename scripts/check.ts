// `npm run check`: types, lint and format, arrows between rooms, printed pages. Everything that needs no server.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { lockFile, lockGaps } from './check-lock.ts';
import { checkRooms, sourceFolder } from './check-rooms.ts';
import { stalePages } from './print.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

export type CheckResult = { readonly name: string; readonly problem: string | undefined; readonly tookMs: number };

/** Runs every check; `report` hears of each as it ends. */
export function runChecks(report: (result: CheckResult) => void): Promise<CheckResult[]> {
  const web = join(root, 'web/tsconfig.json');
  const checks: [string, () => Promise<string | undefined>][] = [
    ['types', () => tool('tsc', ['-p', '.'])],
    ...(existsSync(web)
      ? [['types of the pages', () => tool('tsc', ['-p', 'web'])] as [string, () => Promise<string | undefined>]]
      : []),
    ['lint and format', () => tool('biome', ['check', '--max-diagnostics=50'])],
    ['arrows between rooms', async () => roomProblems()],
    ['printed pages', async () => pageProblems()],
    ['lock file', async () => lockProblems()],
  ];
  return Promise.all(
    checks.map(async ([name, check]) => {
      const began = performance.now();
      const result = { name, problem: await check(), tookMs: performance.now() - began };
      report(result);
      return result;
    }),
  );
}

export function printCheck({ name, problem, tookMs }: CheckResult): void {
  const time = `${(tookMs / 1000).toFixed(1)} s`;
  console.log(problem === undefined ? `ok      ${name} (${time})` : `FAILED  ${name} (${time})\n${problem}`);
}

async function tool(name: string, args: readonly string[]): Promise<string | undefined> {
  const child = spawn(join(root, 'node_modules/.bin', name), args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const status = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  const [said, complaint] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return (await status) === 0 ? undefined : `${said}${complaint}`;
}

function roomProblems(): string | undefined {
  const lines = checkRooms(sourceFolder).map(({ file, line, problem }) => `src/${file}:${line}: ${problem}`);
  return lines.length === 0 ? undefined : lines.join('\n');
}

function pageProblems(): string | undefined {
  const stale = stalePages();
  return stale.length === 0 ? undefined : `Not what the code prints: ${stale.join(', ')}. Run: npm run print`;
}

function lockProblems(): string | undefined {
  const gaps = lockGaps(lockFile);
  return gaps.length === 0
    ? undefined
    : `package-lock.json lacks ${gaps.join(', ')}. Run: node scripts/check-lock.ts --fix`;
}

if (import.meta.main) {
  const results = await runChecks(printCheck);
  process.exitCode = results.some(({ problem }) => problem !== undefined) ? 1 : 0;
}
