// Installs from npm's cache without npm: when all packages are in it, they are unpacked from there, in a tenth of the time
// of `npm ci`, which asks the registry about every package and works on one core. What comes of it is what npm lays down:
// the same files, modes, links and `node_modules/.package-lock.json`. Plain JavaScript for any Node >= 20.
//
// The cache holds each archive as the registry sent it, in a file that is named by its checksum (cacache's `content-v2`).
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { createGunzip } from 'node:zlib';
import { readTar } from './tar.js';

const AT_ONCE = 4;
const CHUNK_BYTES = 256 * 1024;
const FIRST_LINE_BYTES = 2_048;

/**
 * Fills `root/node_modules` with the packages at `paths` of the lock file; what was there goes. Returns false, and has
 * changed nothing, when the cache does not hold all of them. What it throws is for npm to judge, which can still do it all.
 */
export async function unpackAll(root, lock, paths, cache = cacheFolder()) {
  const chosen = paths.map((path) => ({ path, entry: lock.packages[path] }));
  const packed = chosen.filter(({ path, entry }) => /(^|\/)node_modules\//.test(path) && !entry.link);
  const archives = packed.map(({ path, entry }) => archiveOf(cache, path, entry));
  if (process.platform === 'win32' || archives.includes(undefined)) return false;
  const installed = join(root, 'node_modules/.package-lock.json');
  fs.rmSync(installed, { force: true }); // First: whoever is stopped from here on leaves nothing that counts as installed.
  fs.rmSync(join(root, 'node_modules'), { recursive: true, force: true });
  // The largest first, so that none of them is left over for the end.
  const waiting = archives.sort((a, b) => b.bytes - a.bytes).values();
  const ends = await Promise.allSettled(Array.from({ length: AT_ONCE }, () => unpackEach(root, waiting)));
  // Not before all of them have ended: npm begins then, and nobody may write into its work.
  for (const { reason } of ends) if (reason) throw reason;
  for (const { path, entry } of chosen) if (entry.link) link(join(root, entry.resolved), join(root, path));
  for (const { path, entry } of packed) linkPrograms(root, path, entry.bin ?? {});
  // Last: with it the folder counts as installed.
  const packages = Object.fromEntries(chosen.map(({ path, entry }) => [path, entry]));
  fs.writeFileSync(installed, `${JSON.stringify({ ...lock, packages }, null, 2)}\n`);
  return true;
}

// npm tells its scripts where it is.
function cacheFolder() {
  return process.env.npm_config_cache ?? join(homedir(), '.npm');
}

function archiveOf(cache, path, entry) {
  const [, algorithm, digest] = /^(sha512)-([\w+/=]+)$/.exec(entry.integrity ?? '') ?? [];
  if (!digest || entry.inBundle) return undefined;
  const hex = Buffer.from(digest, 'base64').toString('hex');
  const file = join(cache, '_cacache/content-v2', algorithm, hex.slice(0, 2), hex.slice(2, 4), hex.slice(4));
  const bytes = fs.statSync(file, { throwIfNoEntry: false })?.size;
  return bytes === undefined ? undefined : { path, file, bytes, algorithm, digest };
}

async function unpackEach(root, waiting) {
  for (const { path, file, algorithm, digest } of waiting) {
    const archive = fs.readFileSync(file);
    if (createHash(algorithm).update(archive).digest('base64') !== digest)
      throw new Error(`what npm's cache has for ${path} is damaged`);
    await unpack(archive, join(root, path));
  }
}

async function unpack(archive, folder) {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  gunzip.end(archive);
  const made = new Set();
  await readTar(gunzip, async ({ name, mode }, body) => {
    const parts = name.split('/').slice(1);
    if (parts.length === 0 || parts.includes('..')) throw new Error(`an archive has a file named ${name}`);
    const file = join(folder, ...parts);
    const into = dirname(file);
    if (!made.has(into)) fs.mkdirSync(into, { recursive: true });
    made.add(into);
    await write(file, 0o666 | (mode & 0o777), body);
  });
}

// Not asynchronously: twenty thousand small files take four times as long that way.
async function write(file, mode, body) {
  const to = fs.openSync(file, 'w', mode);
  try {
    for await (const part of body) fs.writeSync(to, part);
  } finally {
    fs.closeSync(to);
  }
}

/** Puts the programs of a package into the `.bin` beside it. The first one of a name stays. */
function linkPrograms(root, path, programs) {
  const folder = join(root, path.slice(0, path.lastIndexOf('node_modules/')), 'node_modules/.bin');
  for (const [name, file] of Object.entries(programs)) {
    const program = join(root, path, file);
    if (!fs.existsSync(program)) continue;
    fs.chmodSync(program, 0o777 & ~process.umask());
    mendFirstLine(program);
    link(program, join(folder, name));
  }
}

// Written on Windows, a script would ask the system for an interpreter whose name ends in a carriage return.
function mendFirstLine(program) {
  const file = fs.openSync(program);
  const head = Buffer.alloc(FIRST_LINE_BYTES);
  const first = head.latin1Slice(0, fs.readSync(file, head));
  fs.closeSync(file);
  if (!/^#![^\n]+\r\n/.test(first)) return;
  fs.writeFileSync(program, fs.readFileSync(program, 'latin1').replace('\r\n', '\n'), 'latin1');
}

function link(target, at) {
  fs.mkdirSync(dirname(at), { recursive: true });
  if (!fs.lstatSync(at, { throwIfNoEntry: false })) fs.symlinkSync(relative(dirname(at), target), at);
}
