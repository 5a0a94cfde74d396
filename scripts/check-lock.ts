// `npm ci` refuses a lock file that lacks a package which another one names. npm itself leaves such gaps when it cannot
// fetch an optional package for another platform while it writes the lock file, so it is looked at here, without npm.
import { readFileSync } from 'node:fs';

type Entry = {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
};
type Packages = Readonly<Record<string, Entry>>;

/** What the lock file names and does not hold: `@scope/name (for node_modules/other)`. */
export function lockGaps(file: URL): string[] {
  const { packages } = JSON.parse(readFileSync(file, 'utf8')) as { packages: Packages };
  return Object.entries(packages).flatMap(([path, { dependencies, optionalDependencies }]) =>
    Object.keys({ ...dependencies, ...optionalDependencies })
      .filter((name) => !holds(packages, path, name))
      .map((name) => `${name} (for ${path || 'package.json'})`),
  );
}

/** Looks for `name` as Node does: beside the package that needs it, then further and further up. */
function holds(packages: Packages, path: string, name: string): boolean {
  for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    if (packages[at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`]) return true;
    if (at === '') return false;
  }
}

export const lockFile = new URL('../package-lock.json', import.meta.url);
