// What `bin/bootstrap.js` thinks is missing, and what it says when that cannot be had.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
// Plain JavaScript, because it runs before anything is installed.
// @ts-expect-error it has no types
import { missing as missingIn, nodePath } from '../bin/bootstrap.js';

type Entry = Readonly<Record<string, unknown>>;
const missing = missingIn as (
  wanted: Record<string, Entry>,
  installed: Record<string, Entry>,
  dev: boolean,
) => [string, Entry][];

describe('the bootstrap', () => {
  const here = { os: [process.platform], cpu: [process.arch], optional: true };
  const wanted = {
    '': { name: 'root' },
    'node_modules/a': { version: '1.0.0' },
    'node_modules/b': { version: '1.0.0', dev: true },
    'node_modules/here': { version: '1.0.0', ...here },
    'node_modules/other': { version: '1.0.0', optional: true, os: ['plan9'], cpu: ['mips'] },
    'node_modules/libc': { version: '1.0.0', ...here, libc: ['musl'] },
    'node_modules/linked': { link: true },
  };

  function missingNames(installed: Record<string, Entry>, dev: boolean): string[] {
    return missing(wanted, installed, dev).map(([path]) => path.replace('node_modules/', ''));
  }

  it('wants the packages of this platform, those for tests only when asked', () => {
    expect(missingNames({}, false)).toEqual(['a', 'here']);
    expect(missingNames({}, true)).toEqual(['a', 'b', 'here']);
  });

  it('wants a package again when its version changed', () => {
    const installed = { 'node_modules/a': { version: '0.9.0' }, 'node_modules/here': { version: '1.0.0' } };
    expect(missingNames(installed, false)).toEqual(['a']);
  });

  it('wants nothing when all is there', () => {
    const installed = { 'node_modules/a': { version: '1.0.0' }, 'node_modules/here': { version: '1.0.0' } };
    expect(missingNames(installed, false)).toEqual([]);
  });

  it('runs a tool as the main module, also by the pinned Node itself, which npm puts first on the path', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'carillon-tool-')), 'tool.mjs');
    writeFileSync(file, 'console.log(import.meta.main, process.argv.slice(2).join()); process.exitCode = 3;');
    try {
      const node = (nodePath as () => string)();
      const result = spawnSync(node, ['bin/run.js', relative(process.cwd(), file), 'a', 'b'], { encoding: 'utf8' });
      expect(result).toMatchObject({ status: 3, stdout: 'true a,b\n', stderr: '' });
    } finally {
      rmSync(dirname(file), { recursive: true });
    }
  });

  it('says what to do when the registry cannot be reached', () => {
    const folder = mkdtempSync(join(tmpdir(), 'carillon-bootstrap-'));
    try {
      for (const path of ['bin', 'package.json', 'package-lock.json', 'web/icons', 'web/carousel'])
        cpSync(path, join(folder, path), { recursive: true });
      // A list that was cut short when the power went counts for nothing.
      mkdirSync(join(folder, 'node_modules'));
      writeFileSync(join(folder, 'node_modules/.package-lock.json'), '');
      const result = spawnSync(process.execPath, [join(folder, 'bin/carillon.js'), '--version'], {
        encoding: 'utf8',
        env: {
          PATH: process.env.PATH,
          HOME: folder,
          npm_config_cache: join(folder, 'cache'),
          npm_config_registry: 'http://127.0.0.1:9/',
          npm_config_fetch_retries: '0',
        },
      });
      expect(result.status).toBe(1);
      expect(result.stderr).toMatch(/installing packages.*could not be installed.*registry cannot be reached/s);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
