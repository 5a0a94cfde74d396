// The program as people meet it: started, started twice, started wrongly, killed, stopped.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Database } from '../../src/kit/database.ts';
import { processesIn } from '../../src/main/engine/pidfile.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';

type Run = { readonly child: ChildProcess; readonly output: () => string; readonly ended: Promise<Ended> };
type Ended = { readonly status: number | null; readonly output: string };

describe('carillon start', () => {
  let folder: string;
  let port: number;
  const running: ChildProcess[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'carillon-start-'));
    port = await freePort();
  });
  afterEach(async () => {
    for (const child of running.splice(0)) child.kill('SIGKILL');
    await killPostgres();
    await eventually(async () => expect(await processesIn(join(folder, 'data/postgres'))).toEqual([]));
    await rm(folder, { recursive: true, force: true });
  });

  async function killPostgres(): Promise<void> {
    for (const pid of await processesIn(join(folder, 'data/postgres'))) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended with its server.
      }
    }
  }

  function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Run {
    const child = spawn(process.execPath, ['bin/carillon.js', ...args], {
      env: {
        PATH: process.env.PATH,
        HOME: folder,
        CARILLON_DATA_DIR: join(folder, 'data'),
        CARILLON_AMQP_PORT: '0',
        CARILLON_AMQP_HTTP_PORT: '0',
        CARILLON_TLS_PORT: '0',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.push(child);
    let seen = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (seen += chunk));
    const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
    const ended = closed.then((status) => ({ status, output: seen }));
    return { child, output: () => seen, ended };
  }

  async function started(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<Run> {
    const server = run(['start', '--port', String(port), ...args], env);
    await eventually(() => {
      if (server.child.exitCode !== null) throw new Error(server.output());
      expect(server.output()).toContain('/v1/sign-in/');
    }, 60_000);
    return server;
  }

  async function command(...args: string[]): Promise<Ended> {
    return run(args).ended;
  }

  it('says where it is, signs in once by its link, and keeps its keys to itself', async () => {
    const server = await started();
    const ready = await fetch(`http://127.0.0.1:${port}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([200, { status: 'ready' }]);
    const link = /http\S+\/v1\/sign-in\/\S+/.exec(server.output())![0];
    const first = await fetch(link, { redirect: 'manual' });
    expect([first.status, first.headers.get('set-cookie') !== null]).toEqual([303, true]);
    expect((await fetch(link, { redirect: 'manual' })).headers.get('set-cookie')).toBe(null);
    for (const file of ['admin-key', 'sas-key', 'link-key'])
      expect((await stat(join(folder, 'data', file))).mode & 0o777).toBe(0o600);
    const key = (await readFile(join(folder, 'data/admin-key'), 'utf8')).trim();
    expect(server.output()).not.toContain(key);
  });

  it('stops at a signal within seconds, and PostgreSQL with it', async () => {
    const server = await started();
    server.child.kill('SIGTERM');
    expect((await server.ended).status).toBe(0);
    expect(await processesIn(join(folder, 'data/postgres'))).toEqual([]);
  });

  it('takes Ctrl-C once although the terminal and npm both send it', async () => {
    const server = await started();
    server.child.kill('SIGINT');
    server.child.kill('SIGINT');
    expect((await server.ended).status).toBe(0);
  });

  it('keeps events over kill -9 of the server, and over kill -9 of server and PostgreSQL', async () => {
    const first = await started();
    const sent = ['send', 'hr', '--type', 'test', '--id', 'kept', '--data', '{}'];
    expect((await command(...sent)).output).toMatch(/accepted: kept as number \d+/);
    first.child.kill('SIGKILL');
    await first.ended;
    const second = await started();
    expect(second.output()).toContain('"adopted":true');
    expect((await command(...sent)).output).toMatch(/known already: kept/);
    await killPostgres();
    second.child.kill('SIGKILL');
    await second.ended;
    await started();
    expect((await command(...sent)).output).toMatch(/known already: kept/);
  });

  it('goes on after its PostgreSQL was killed', async () => {
    const server = await started();
    const [postmaster] = (await readFile(join(folder, 'data/postgres/postmaster.pid'), 'utf8')).split('\n');
    process.kill(Number(postmaster), 'SIGKILL');
    await eventually(() => expect(server.output().match(/engine\.ready/g)).toHaveLength(2));
    const ready = () => fetch(`http://127.0.0.1:${port}/readyz`).then((answer) => answer.status);
    await eventually(async () => expect(await ready()).toBe(200));
    expect((await command('send', 'hr', '--type', 'test')).status).toBe(0);
    server.child.kill('SIGTERM');
    expect((await server.ended).status).toBe(0);
  });

  it('refuses a second server on the same data folder and names the first', async () => {
    const first = await started();
    const second = await run(['start', '--port', '0']).ended;
    expect(second.status).toBe(1);
    expect(second.output).toContain(`process ${first.child.pid}`);
    expect(second.output).toContain('--data-dir');
    expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
  });

  it('names the flag when its port is taken, and leaves nothing running', async () => {
    const other = createServer().listen(port, '127.0.0.1');
    const { status, output } = await command('start', '--port', String(port));
    other.close();
    expect([status, output]).toEqual([1, expect.stringMatching(new RegExp(`Port ${port} is taken.*--port`))]);
    expect(await processesIn(join(folder, 'data/postgres'))).toEqual([]);
  });

  it('lists everything that is wrong with the settings at once, and shows no secret', async () => {
    const env = { CARILLON_PROT: '1', CARILLON_ADMIN_KEY: 'short', CARILLON_SMTP_URL: 'ftp://user:secret@x' };
    const { status, output } = await run(['start', '--port', 'x', '--dat-dir', 'y'], env).ended;
    expect(status).toBe(1);
    expect(output).toContain('5 settings are wrong');
    expect(output).toContain('CARILLON_PROT is not a known setting. Did you mean CARILLON_PORT?');
    expect(output).toContain('Did you mean --data-dir?');
    expect(output).toMatch(/--port must be .* it is "x"/);
    expect(output).toContain('CARILLON_ADMIN_KEY must be at least 16');
    expect(output).not.toContain('secret');
  });

  it('lists everything that is wrong with the config file at once', async () => {
    const config = join(folder, 'carillon.config.ts');
    const wrong = `{ topics: { hr: { maxSize: 1 } }, notification: [],
      notifications: [{ name: 'n', topic: 'nowhere', category: 'c', channels: ['fax'] }], ingest: [{ name: 'm' }] }`;
    await writeFile(config, `export default ${wrong};`);
    const { status, output } = await command('start', '--config', config);
    expect(status).toBe(1);
    for (const part of [config, 'topics.hr:', 'notification: there is no such section', 'n: channels', 'ingest[0]:'])
      expect(output).toContain(part);
  });

  it('refuses the data of a newer version and names the remedy', async () => {
    const server = await started();
    await withDatabase(join(folder, 'data'), (database) =>
      database.query(`insert into migration (name, hash) values ('9999-future.sql', 'x')`),
    );
    server.child.kill('SIGTERM');
    await server.ended;
    const { status, output } = await command('start', '--port', '0');
    expect(status).toBe(1);
    expect(output).toMatch(/9999-future\.sql.*Start the version of Carillon that wrote it/s);
  });

  it('waits for what is under way, but not beyond the deadline', async () => {
    const server = await started(['--stop-timeout', '2']);
    await using _request = await openRequest();
    const began = performance.now();
    server.child.kill('SIGTERM');
    expect((await server.ended).status).toBe(0);
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  it('ends at once at a second wish', async () => {
    const server = await started(['--stop-timeout', '600']);
    await using _request = await openRequest();
    server.child.kill('SIGTERM');
    await eventually(() => expect(server.output()).toContain('stopping'));
    const again = setInterval(() => server.child.kill('SIGTERM'), 100);
    expect((await server.ended).status).toBe(130);
    clearInterval(again);
  });

  /** A request whose body never ends. */
  async function openRequest(): Promise<AsyncDisposable> {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {}); // the server cuts it off
    const key = (await readFile(join(folder, 'data/admin-key'), 'utf8')).trim();
    const head = ['POST /v1/topics/hr/events HTTP/1.1', 'Host: x', `Authorization: Bearer ${key}`];
    socket.write([...head, 'Content-Type: application/cloudevents+json', 'Content-Length: 99', '', '{'].join('\r\n'));
    // The server has read the head when it answers a second request.
    await fetch(`http://127.0.0.1:${port}/healthz`);
    return { [Symbol.asyncDispose]: async () => void socket.destroy() };
  }

  it('takes a database of its own choice instead of the embedded one', async () => {
    const first = await started();
    const url = `postgres://postgres@/postgres?host=${encodeURIComponent(join(folder, 'data/socket'))}`;
    const otherPort = await freePort();
    const env = { CARILLON_DATABASE_URL: url, CARILLON_DATA_DIR: join(folder, 'other') };
    const second = run(['start', '--port', String(otherPort)], env);
    await eventually(() => expect(second.output()).toContain('/v1/sign-in/'), 30_000);
    second.child.kill('SIGTERM');
    expect((await second.ended).status).toBe(0);
    first.child.kill('SIGTERM');
    expect((await first.ended).status).toBe(0);
  });

  it('says so when that database cannot be reached', async () => {
    const env = { CARILLON_DATABASE_URL: `postgres://nobody:hidden@127.0.0.1:${port}/none` };
    const { status, output } = await run(['start', '--port', '0'], env).ended;
    expect([status, output]).toEqual([1, expect.stringContaining('CARILLON_DATABASE_URL cannot be reached')]);
    expect(output).not.toContain('hidden');
  });

  it('says so when the data folder cannot be made', async () => {
    await writeFile(join(folder, 'file'), '');
    const { status, output } = await command('start', '--data-dir', join(folder, 'file/data'));
    expect([status, output]).toEqual([1, expect.stringMatching(/cannot be made \(ENOTDIR\).*--data-dir/)]);
  });
});

async function withDatabase(dataDir: string, work: (database: Database) => Promise<unknown>): Promise<void> {
  const url = `postgres://postgres@/carillon?host=${encodeURIComponent(join(dataDir, 'socket'))}`;
  await using database = new Database({ url, poolSize: 1 });
  await work(database);
}
