// Processes that install into the same clone at the same time, as real processes.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { eventually } from '../test/support/eventually.ts';

// As npm's work does, it keeps the process from looking at anything else.
const script = `
  import { appendFileSync } from 'node:fs';
  import { alone } from ${JSON.stringify(new URL('../bin/alone.js', import.meta.url).href)};
  const [folder, name, ms] = process.argv.slice(1);
  const say = (word) => appendFileSync(folder + '/log', word + ' ' + name + '\\n');
  const work = async () => {
    say('begins');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(ms));
    say('ends');
  };
  await alone(folder, work, () => say('waits'));
`;
let folder: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'carillon-alone-'));
  writeFileSync(join(folder, 'log'), '');
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});
const begin = (name: string, ms: number) => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, folder, name, String(ms)]);
  children.push(child);
  return child;
};
const said = () => readFileSync(join(folder, 'log'), 'utf8').split('\n').filter(Boolean);
const hasSaid = (words: string) => eventually(() => expect(said()).toContain(words));

it('one waits for the other, and says so', async () => {
  begin('a', 500);
  await hasSaid('begins a');
  begin('b', 1);
  begin('c', 1);
  await eventually(() => expect(said().filter((line) => line.startsWith('ends'))).toHaveLength(3));
  const work = said().filter((line) => !line.startsWith('waits'));
  expect(work.slice(0, 2)).toEqual(['begins a', 'ends a']);
  for (let i = 0; i < 6; i += 2) expect(work[i + 1]).toBe(work[i]!.replace('begins', 'ends'));
  expect(said()).toEqual(expect.arrayContaining(['waits b', 'waits c']));
});

it('goes on when the one that it waits for is killed, and finds what that left behind', async () => {
  const first = begin('a', 600_000);
  await hasSaid('begins a');
  begin('b', 1);
  await hasSaid('waits b');
  first.kill('SIGKILL');
  await hasSaid('ends b');
  const second = begin('c', 600_000);
  await hasSaid('begins c');
  second.kill('SIGKILL');
  await new Promise((resolve) => second.once('close', resolve));
  begin('d', 1);
  await hasSaid('ends d');
  expect(said()).not.toContain('waits d');
});
