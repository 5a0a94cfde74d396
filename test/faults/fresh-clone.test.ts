// `npm start` as a newcomer runs it: a clone in a folder that only its owner may enter, an empty home, whatever Node and
// npm the system has. The packages come from npm's cache or the registry.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processesIn } from '../../src/main/engine/pidfile.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';

describe('a fresh clone', () => {
  let folder: string;
  let cache: string;
  let npmProcess: ChildProcess | undefined;
  const clone = () => join(folder, 'clone');

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'carillon-clone-'));
    cache = execFileSync('npm', ['config', 'get', 'cache'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    await mkdir(join(folder, 'home'));
    // As it would be if everything were committed now.
    const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      encoding: 'utf8',
    })
      .split('\0')
      .filter(Boolean);
    for (const file of files) await cp(file, join(clone(), file)).catch(ignoreDeleted);
  }, 120_000);
  afterAll(async () => {
    npmProcess?.kill('SIGKILL');
    for (const pid of await processesIn(join(clone(), '.carillon/postgres'))) process.kill(pid, 'SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });

  async function start(): Promise<{ port: number; output: () => string; tookMs: number }> {
    const port = await freePort();
    // The pinned Node of this project must not help: it is what the first start installs.
    const path = (process.env.PATH ?? '').split(delimiter).filter((part) => !part.includes('node_modules'));
    const env = {
      PATH: path.join(delimiter),
      HOME: join(folder, 'home'),
      npm_config_cache: cache,
      CARILLON_AMQP_PORT: '0',
      CARILLON_AMQP_HTTP_PORT: '0',
      CARILLON_TLS_PORT: '0',
    };
    const began = performance.now();
    const child = spawn('npm', ['start', '--', '--port', String(port)], {
      cwd: clone(),
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    npmProcess = child;
    let seen = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (seen += chunk));
    await eventually(async () => {
      if (child.exitCode !== null) throw new Error(seen);
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
      expect(answer.status, seen).toBe(200);
    }, 120_000);
    return { port, output: () => seen, tookMs: performance.now() - began };
  }

  async function stop(signal: NodeJS.Signals): Promise<void> {
    const ended = new Promise((resolve) => npmProcess!.once('close', resolve));
    npmProcess!.kill(signal);
    await ended;
  }

  it('starts, serves its pages, stops with npm, and starts again', async () => {
    const first = await start();
    console.log(`first start: ${(first.tookMs / 1000).toFixed(1)} s`);
    expect(first.output()).toContain('installing packages');
    expect((await fetch(`http://127.0.0.1:${first.port}/`)).status).toBe(200);
    await stop('SIGTERM');
    await eventually(async () => expect(await processesIn(join(clone(), '.carillon/postgres'))).toEqual([]));
    const second = await start();
    console.log(`second start: ${(second.tookMs / 1000).toFixed(1)} s`);
    expect(second.output()).not.toContain('installing packages');
    await stop('SIGINT');
    await eventually(async () => expect(await processesIn(join(clone(), '.carillon/postgres'))).toEqual([]));
  });
});

// Deleted, and not yet committed so.
function ignoreDeleted(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
