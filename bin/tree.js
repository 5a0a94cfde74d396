// Which packages of a lock file belong on this machine. Plain JavaScript for any Node >= 20.

/**
 * The paths (`node_modules/a`) of all that package.json leads to, `dev` also what it wants for tests, without optional
 * packages for other machines. Undefined when something that is needed is not in the lock file or does not run here.
 */
export function treeOf(packages, { dev }) {
  const paths = new Set();
  for (const at of walk(packages, dev, paths)) if (at === undefined) return undefined;
  return [...paths].sort((a, b) => a.localeCompare(b, 'en'));
}

function* walk(packages, dev, paths) {
  const waiting = [''];
  for (const at of waiting) {
    for (const { name, optional } of wantsOf(packages[at], at === '' && dev)) {
      const path = find(packages, at, name);
      const fits = path !== undefined && runsHere(packages[path]);
      if (!fits && !optional) yield undefined;
      if (!fits || paths.has(path)) continue;
      for (const each of packages[path].link ? [path, packages[path].resolved] : [path]) {
        paths.add(each);
        waiting.push(each);
        yield each;
      }
    }
  }
}

function wantsOf(entry, dev) {
  const { dependencies, optionalDependencies = {}, peerDependencies, peerDependenciesMeta } = entry;
  const names = Object.keys({ ...dependencies, ...peerDependencies, ...(dev ? entry.devDependencies : {}) });
  const needed = names.filter((name) => !(name in optionalDependencies));
  return [
    // An optional peer is installed where the lock file has it for somebody else's sake.
    ...needed.map((name) => ({ name, optional: peerDependenciesMeta?.[name]?.optional === true })),
    ...Object.keys(optionalDependencies).map((name) => ({ name, optional: true })),
  ];
}

/** Looks for `name` as Node does: inside the package that wants it, then further and further up. */
function find(packages, at, name) {
  for (let folder = at; ; folder = folder.replace(/(^|\/)node_modules\/[^/]+(\/[^/]+)?$|^(?!.*node_modules).*$/, '')) {
    const path = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (packages[path]) return path;
    if (folder === '') return undefined;
  }
}

/** Whether a package is for this system, processor and C library. */
export function runsHere({ os, cpu, libc }) {
  return fits(os, process.platform) && fits(cpu, process.arch) && (!libc || fits(libc, cLibrary()));
}

// npm's rule: none of those with an exclamation mark, and one of the others if there are any.
function fits(given, value) {
  const list = [given ?? 'any'].flat();
  if (list.length === 1 && list[0] === 'any') return true;
  if (list.includes(`!${value}`)) return false;
  return list.includes(value) || list.every((each) => each.startsWith('!'));
}

let known;
function cLibrary() {
  if (process.platform !== 'linux') return undefined;
  process.report.excludeNetwork = true;
  known ??= process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl';
  return known;
}
