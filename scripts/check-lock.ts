// `npm ci` refuses a lock file that lacks a package which another one names. npm itself leaves such gaps when it cannot
// fetch an optional package for another platform while it writes the lock file, so it is looked at here, without npm.
// `check-lock.ts --fix` fills the gaps: such packages say in their names which platform they are for.
import { readFileSync, writeFileSync } from 'node:fs';

type Entry = {
  readonly version?: string;
  readonly dev?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
};
type Packages = Record<string, Entry>;
type Gap = { readonly name: string; readonly wanted: string; readonly for: string; readonly dev: boolean };

/** What the lock file names and does not hold: `@scope/name (for node_modules/other)`. */
export function lockGaps(file: URL): string[] {
  return findGaps(readLock(file).packages).map((gap) => `${gap.name} (for ${gap.for || 'package.json'})`);
}

/** Adds what is missing for other platforms. Returns what it added. */
export function fillGaps(file: URL): string[] {
  const lock = readLock(file);
  const added = findGaps(lock.packages).flatMap((gap) => {
    const platform = platformOf(gap.name);
    if (!platform || !/^\d/.test(gap.wanted)) return [];
    const entry = { version: gap.wanted, ...platform, ...(gap.dev ? { dev: true } : {}), optional: true };
    lock.packages[`node_modules/${gap.name}`] = entry;
    return [gap.name];
  });
  const { '': root, ...rest } = lock.packages;
  const sorted = Object.entries(rest).sort(([a], [b]) => a.localeCompare(b, 'en'));
  const packages = { '': root, ...Object.fromEntries(sorted) };
  if (added.length > 0) writeFileSync(file, `${JSON.stringify({ ...lock, packages }, null, 2)}\n`);
  return added;
}

function readLock(file: URL): { packages: Packages } {
  return JSON.parse(readFileSync(file, 'utf8')) as { packages: Packages };
}

function findGaps(packages: Packages): Gap[] {
  return Object.entries(packages).flatMap(([path, { dev = false, dependencies, optionalDependencies }]) =>
    Object.entries({ ...dependencies, ...optionalDependencies })
      .filter(([name]) => !holds(packages, path, name))
      .map(([name, wanted]) => ({ name, wanted, for: path, dev })),
  );
}

/** Looks for `name` as Node does: beside the package that needs it, then further and further up. */
function holds(packages: Packages, path: string, name: string): boolean {
  for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    if (packages[at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`]) return true;
    if (at === '') return false;
  }
}

/** `@scope/cli-linux-x64-musl`: for Linux, x64, musl. */
function platformOf(name: string): Record<string, string[]> | undefined {
  const [, os, cpu, libc] =
    /[-/](aix|android|darwin|freebsd|linux|netbsd|openbsd|sunos|win32)-(arm64|arm|ia32|ppc64|s390x|x64)(?:-(musl|gnu))?/.exec(
      name,
    ) ?? [];
  if (!os || !cpu) return undefined;
  return { cpu: [cpu], os: [os], ...(libc ? { libc: [libc === 'gnu' ? 'glibc' : libc] } : {}) };
}

export const lockFile = new URL('../package-lock.json', import.meta.url);

if (import.meta.main && process.argv.includes('--fix'))
  console.log(`added: ${fillGaps(lockFile).join(', ') || 'nothing'}`);
