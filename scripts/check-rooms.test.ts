import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { checkRooms, sourceFolder } from './check-rooms.ts';

describe('the arrows between rooms', () => {
  const folders: string[] = [];
  afterEach(() => {
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
  });

  function problems(file: string, text: string): string[] {
    const folder = mkdtempSync(join(tmpdir(), 'carillon-rooms-'));
    folders.push(folder);
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text);
    return checkRooms(folder).map(({ line, problem }) => `${line}: ${problem}`);
  }

  it('hold in the sources', () => {
    expect(checkRooms(sourceFolder)).toEqual([]);
  });

  it.each([
    ['a value import', `import { start } from '../main/start.ts';`],
    ['a type import', `import type { Settings } from '../main/settings-table.ts';`],
    ['a side effect import', `import '../main/cli.ts';`],
    ['a re-export', `export * from '../main/cli.ts';`],
    ['a dynamic import', `const cli = await import('../main/cli.ts');`],
    ['an import type expression', `type S = import('../main/settings-table.ts').Settings;`],
    ['a require', `const cli = require('../main/cli.ts');`],
    ['a detour', `import { x } from '../kit/../main/start.ts';`],
    ['a worker', `new Worker(new URL('../main/worker.ts', import.meta.url));`],
    ['an import over several lines', `import {\n  a,\n  b,\n} from\n  "../main/start.ts";`],
  ])('refuse main to topics by %s', (_, text) => {
    expect(problems('topics/broker.ts', text)).toEqual([expect.stringContaining('topics may not import main')]);
  });

  it.each([
    ['topics/a.ts', `import { x } from '../people/recipient.ts';`, 'topics may not import people'],
    ['hub/a.ts', `import { x } from '../topics/broker.ts';`, 'hub may not import topics'],
    ['hub/a.ts', `import { x } from '../deliveries/dispatcher.ts';`, 'hub may not import deliveries'],
    ['kit/a.ts', `import type { x } from '../events/cloudevent.ts';`, 'kit may not import events'],
    ['people/a.ts', `import { x } from '../topics/broker.ts';`, 'people may not import topics'],
    ['gateways/http/a.ts', `import { x } from '../servicebus/sas.ts';`, 'gateway http imports gateway servicebus'],
    ['topics/a.ts', `import fastify from 'fastify';`, 'stays in gateways'],
    ['gateways/http/a.ts', `import rhea from 'rhea';`, 'stays in gateways/servicebus'],
    ['topics/a.ts', `const x = await import(path);`, 'computed'],
    ['topics/a.ts', 'const x = await import(`../main/x.ts`);', 'computed'],
    ['topics/a.ts', `import { x } from '#main';`, 'hides where it leads'],
    ['topics/a.ts', `import { x } from 'carillon';`, 'hides where it leads'],
    ['topics/a.ts', `import { x } from '../../test/support/database.ts';`, 'outside of the rooms'],
    ['topics/a.ts', `import { x } from './a.test.ts';`, 'imports the test'],
    ['billing/a.ts', `import { x } from '../kit/ids.ts';`, 'has no arrows'],
    ['topics/a.ts', `const home = process.env.HOME;`, 'reads the environment'],
    ['topics/a.ts', `const home = process['env'].HOME;`, 'reads the environment'],
    ['topics/a.ts', `const { env } = process;`, 'reads the environment'],
    ['topics/a.ts', `import { env } from 'node:process';`, 'reads the environment'],
  ])('refuse %s: %s', (file, text, problem) => {
    expect(problems(file, text)).toEqual([expect.stringContaining(problem)]);
  });

  it('refuse a symbolic link', () => {
    const folder = mkdtempSync(join(tmpdir(), 'carillon-rooms-'));
    folders.push(folder);
    mkdirSync(join(folder, 'topics'));
    symlinkSync('/etc/hostname', join(folder, 'topics/a.ts'));
    expect(checkRooms(folder)).toEqual([{ file: 'topics/a.ts', line: 1, problem: 'is a symbolic link' }]);
  });

  it.each([
    ['handler/a.ts', `import { x } from '../topics/broker.ts';\nimport { y } from '../inbox/append.ts';`],
    ['people/a.ts', `import { x } from '../topics/filter/filter.ts';`],
    ['email/a.ts', `import type { Channel } from '../deliveries/channel.ts';`],
    ['main/a.ts', `import { x } from '../gateways/http/server.ts';\nconst home = process.env.HOME;`],
    ['topics/a.ts', `// like import { x } from '../main/start.ts'\nconst url = 'http://x';\n/* process.env */`],
    ['topics/a.test.ts', `import { x } from '../../test/support/database.ts';`],
    ['topics/a.ts', `if (process.platform === 'linux') process.kill(1);`],
  ])('let %s be', (file, text) => {
    expect(problems(file, text)).toEqual([]);
  });
});
