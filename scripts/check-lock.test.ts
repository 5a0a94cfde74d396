import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { fillGaps, lockGaps } from './check-lock.ts';

describe('the lock file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'carillon-lock-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('is told to lack packages for other platforms, and is completed', () => {
    const file = join(folder, 'package-lock.json');
    const tool = {
      version: '1.0.0',
      dev: true,
      dependencies: { a: '^1' },
      optionalDependencies: { 'tool-linux-x64-musl': '1.0.0' },
    };
    const packages = {
      '': { dependencies: { tool: '1.0.0' } },
      'node_modules/tool': tool,
      'node_modules/tool/node_modules/a': {},
    };
    writeFileSync(file, JSON.stringify({ lockfileVersion: 3, packages }));
    const url = pathToFileURL(file);
    expect(lockGaps(url)).toEqual(['tool-linux-x64-musl (for node_modules/tool)']);
    expect(fillGaps(url)).toEqual(['tool-linux-x64-musl']);
    expect(lockGaps(url)).toEqual([]);
    expect(fillGaps(url)).toEqual([]);
  });
});
