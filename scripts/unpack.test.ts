// An installation from npm's cache against the one of npm itself: the same packages, files, modes and links.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
// Plain JavaScript, because it runs before anything is installed.
// @ts-expect-error it has no types
import { treeOf as treeOfIn } from '../bin/tree.js';
// @ts-expect-error it has no types
import { unpackAll as unpackAllIn } from '../bin/unpack.js';

type Packages = Record<string, { integrity?: string }>;
type Lock = { packages: Packages };
const treeOf = treeOfIn as (packages: Packages, options: { dev: boolean }) => string[] | undefined;
const unpackAll = unpackAllIn as (root: string, lock: Lock, paths?: string[], cache?: string) => Promise<boolean>;

const run = promisify(execFile);
const LONG = `${'deep/'.repeat(30)}file.txt`;
const other = { os: ['plan9'], cpu: ['mips'] };

/** What the registry has: package.json, and files beside it. */
const PUBLISHED: readonly (readonly [manifest: Record<string, unknown>, files?: Record<string, string>])[] = [
  [
    {
      name: 'tool',
      version: '1.0.0',
      bin: { tool: 'run.sh' },
      dependencies: { part: '1.0.0' },
      peerDependencies: { peer: '*', testing: '*' },
      peerDependenciesMeta: { testing: { optional: true } },
    },
    { 'run.sh': '#!/bin/sh\r\n', [LONG]: 'far down', 'empty.txt': '' },
  ],
  [{ name: 'part', version: '1.0.0', bin: './part.js' }, { 'part.js': '// one' }],
  [
    { name: 'part', version: '2.0.0', bin: './part.js' },
    { 'part.js': '// two', 'big.bin': 'x'.repeat(3_000_000) },
  ],
  [{ name: '@scope/named', version: '1.0.0', optionalDependencies: { 'for-plan9': '1.0.0' } }],
  [{ name: 'for-plan9', version: '1.0.0', ...other, dependencies: { 'its-part': '1.0.0' } }],
  [{ name: 'its-part', version: '1.0.0' }],
  [{ name: 'peer', version: '1.0.0' }],
  [{ name: 'testing', version: '1.0.0' }],
];

describe('an installation from the cache of npm', () => {
  let folder: string;
  let registry: Server;
  let lock: Lock;
  const at = (...parts: string[]) => join(folder, ...parts);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'carillon-unpack-'));
    registry = await serve(await pack(at('published')));
    await mkdir(at('npm/local'), { recursive: true });
    await writeFile(at('npm/local/package.json'), JSON.stringify({ name: 'local', version: '1.0.0' }));
    await writeFile(
      at('npm/package.json'),
      JSON.stringify({
        name: 'root',
        version: '1.0.0',
        dependencies: { '@scope/named': '1.0.0', local: 'file:local', part: '2.0.0', tool: '1.0.0' },
        devDependencies: { testing: '1.0.0' },
      }),
    );
    await npm(['install', '--no-audit', '--no-fund'], at('npm'));
    lock = JSON.parse(await readFile(at('npm/package-lock.json'), 'utf8')) as Lock;
  });

  afterAll(async () => {
    registry?.close();
    await rm(folder, { recursive: true, force: true });
  });

  for (const dev of [true, false]) {
    it(`lays down what npm does, ${dev ? 'with' : 'without'} the packages for tests`, async () => {
      const root = await project(dev ? 'all' : 'without-dev');
      await npm(['ci', '--no-audit', '--no-fund', ...(dev ? [] : ['--omit=dev'])], at('npm'));
      expect(await unpackAll(root, lock, treeOf(lock.packages, { dev }), at('cache/npm'))).toBe(true);
      expect(await listing(join(root, 'node_modules'))).toEqual(await listing(at('npm/node_modules')));
      const hidden = async (of: string) =>
        (JSON.parse(await readFile(join(of, 'node_modules/.package-lock.json'), 'utf8')) as Lock).packages;
      expect(await hidden(root)).toEqual(await hidden(at('npm')));
    });
  }

  it('leaves everything as it was when the cache lacks a package', async () => {
    const root = await project('lacking');
    await mkdir(join(root, 'node_modules/kept'), { recursive: true });
    await cp(at('cache/npm'), at('cache/lacking'), { recursive: true });
    await rm(contentOf('cache/lacking', 'node_modules/tool'));
    expect(await unpackAll(root, lock, treeOf(lock.packages, { dev: false }), at('cache/lacking'))).toBe(false);
    expect(await readdir(join(root, 'node_modules'))).toEqual(['kept']);
  });

  it('does not take a damaged package, nor count as done', async () => {
    const root = await project('damaged');
    await cp(at('cache/npm'), at('cache/damaged'), { recursive: true });
    await appendFile(contentOf('cache/damaged', 'node_modules/tool'), 'more');
    const done = unpackAll(root, lock, treeOf(lock.packages, { dev: false }), at('cache/damaged'));
    await expect(done).rejects.toThrow('node_modules/tool is damaged');
    await expect(stat(join(root, 'node_modules/.package-lock.json'))).rejects.toThrow('ENOENT');
    // The other packages are done by then: npm begins now, and nothing is written beside it.
    expect((await stat(join(root, 'node_modules/part/big.bin'))).size).toBe(3_000_000);
  });

  it('does not count as done when it is stopped while it clears away what was there', async () => {
    const root = await project('stopped');
    await mkdir(join(root, 'node_modules/old'), { recursive: true });
    await writeFile(join(root, 'node_modules/.package-lock.json'), '{}');
    const remove = fs.rmSync;
    const stopped = vi.spyOn(fs, 'rmSync').mockImplementation((path, options) => {
      if (options?.recursive) throw new Error('stopped');
      remove(path, options);
    });
    syncBuiltinESMExports();
    const done = unpackAll(root, lock, treeOf(lock.packages, { dev: false }), at('cache/npm'));
    await expect(done).rejects.toThrow('stopped');
    stopped.mockRestore();
    syncBuiltinESMExports();
    expect(await readdir(join(root, 'node_modules'))).toEqual(['old']);
  });

  it('leaves it to npm when the lock file lacks a package, or has one that does not run here', () => {
    const without = { ...lock.packages };
    delete without['node_modules/peer'];
    expect(treeOf(without, { dev: false })).toBeUndefined();
    const foreign = { ...lock.packages, 'node_modules/peer': { ...lock.packages['node_modules/peer'], ...other } };
    expect(treeOf(foreign, { dev: false })).toBeUndefined();
  });

  async function project(name: string): Promise<string> {
    await cp(at('npm/local'), at(name, 'local'), { recursive: true });
    return at(name);
  }

  function contentOf(cache: string, path: string): string {
    const [algorithm, digest] = lock.packages[path]!.integrity!.split('-') as [string, string];
    const hex = Buffer.from(digest, 'base64').toString('hex');
    return at(cache, '_cacache/content-v2', algorithm, hex.slice(0, 2), hex.slice(2, 4), hex.slice(4));
  }

  function npm(args: readonly string[], cwd: string) {
    const env = {
      PATH: process.env.PATH,
      HOME: folder,
      npm_config_cache: at('cache/npm'),
      npm_config_registry: `http://127.0.0.1:${(registry?.address() as AddressInfo | undefined)?.port ?? 9}/`,
      npm_config_update_notifier: 'false',
    };
    return run('npm', [...args], { cwd, env });
  }

  /** The archives of the packages, as `npm pack` makes them. */
  async function pack(into: string): Promise<Map<string, Buffer>> {
    const sources: string[] = [];
    for (const [manifest, files = {}] of PUBLISHED) {
      const source = join(into, `source-${sources.length}`);
      sources.push(source);
      for (const [name, text] of Object.entries({ 'package.json': JSON.stringify(manifest), ...files })) {
        await mkdir(dirname(join(source, name)), { recursive: true });
        await writeFile(join(source, name), text, { mode: name.endsWith('.sh') ? 0o755 : 0o640 });
      }
    }
    await npm(['pack', '--silent', ...sources], into);
    const names = (await readdir(into)).filter((name) => name.endsWith('.tgz'));
    return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(into, name))] as const)));
  }
});

/** A package registry, as far as npm needs one to install. */
async function serve(archives: ReadonlyMap<string, Buffer>): Promise<Server> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url!);
    const archive = archives.get(basename(path));
    if (archive) return response.end(archive);
    const url = `http://${request.headers.host}/`;
    const versions = PUBLISHED.map(([manifest]) => manifest as { name: string; version: string })
      .filter(({ name }) => `/${name}` === path)
      .map((manifest) => {
        const archive = `${manifest.name.replace('@', '').replace('/', '-')}-${manifest.version}.tgz`;
        const digest = createHash('sha512').update(archives.get(archive)!).digest('base64');
        const dist = { tarball: url + archive, integrity: `sha512-${digest}` };
        return [manifest.version, { ...manifest, dist }] as const;
      });
    const latest = versions.at(-1)?.[0];
    response.end(
      JSON.stringify({ name: path.slice(1), 'dist-tags': { latest }, versions: Object.fromEntries(versions) }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

/** Every file below `folder` with its mode and what is in it; the hidden lock file is looked at on its own. */
async function listing(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const lines = entries
    .filter(({ name }) => name !== '.package-lock.json')
    .map(async (entry) => {
      const path = join(entry.parentPath, entry.name);
      const mode = ((await stat(path)).mode & 0o777).toString(8);
      const what = entry.isSymbolicLink() ? await readlink(path) : entry.isFile() ? await readFile(path, 'latin1') : '';
      return [path.slice(folder.length), `${mode} ${what}`] as const;
    });
  return Object.fromEntries(await Promise.all(lines));
}
