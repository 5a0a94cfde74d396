// The launcher with real servers: started, killed, orphaned, found in odd places.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { eventually } from '../../../test/support/eventually.ts';
import { Database } from '../../kit/database.ts';
import { Engine, type EngineSignal } from './engine.ts';
import { isAlive, processesIn } from './pidfile.ts';

const FAST = { fsync: 'off' };

describe('the embedded PostgreSQL', () => {
  const folders: string[] = [];
  const children: ChildProcess[] = [];

  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    for (const folder of folders.splice(0)) {
      const cluster = join(folder, 'postgres');
      expect(existsSync(cluster) ? await processesIn(cluster) : []).toEqual([]);
      await rm(folder, { recursive: true, force: true });
    }
  });

  async function newFolder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'carillon-engine-'));
    folders.push(folder);
    return folder;
  }

  async function start(folder: string, signals: EngineSignal[] = []): Promise<Engine> {
    return Engine.start({ folder, emit: (signal) => signals.push(signal), settings: FAST });
  }

  async function ask(engine: Engine, text: string): Promise<unknown> {
    await using database = new Database({ url: engine.url('postgres'), poolSize: 1 });
    const [row] = await database.query<{ answer: unknown }>(text);
    return row?.answer;
  }

  it('keeps its data over a stop and a start, and leaves no process behind', async () => {
    const folder = await newFolder();
    const first = await start(folder);
    await ask(first, 'create table kept as select 42 as answer');
    await first.stop();
    await first.stop();
    expect(isAlive(first.pid)).toBe(false);
    await using second = await start(folder);
    expect(await ask(second, 'select answer from kept')).toBe(42);
  });

  it('listens on no port and shows its socket to nobody else', async () => {
    await using engine = await start(await newFolder());
    expect(await ask(engine, `select current_setting('listen_addresses') as answer`)).toBe('');
    expect((await stat(engine.socketFolder)).mode & 0o777).toBe(0o700);
    expect(await ask(engine, `select datlocale as answer from pg_database where datname = 'postgres'`)).toBe('C.UTF-8');
  });

  it('adopts the server that a killed process left running', async () => {
    const folder = await newFolder();
    const left = await start(folder);
    const signals: EngineSignal[] = [];
    const adopter = await start(folder, signals);
    expect(signals).toEqual([expect.objectContaining({ name: 'engine.ready', adopted: true })]);
    expect(adopter.pid).toBe(left.pid);
    // The adopted server is watched as well, though it is not a child of the adopter.
    await Promise.all([adopter.stop(), left.stop()]);
    expect(isAlive(left.pid)).toBe(false);
  });

  it('replaces a server that was left running with other settings', async () => {
    const folder = await newFolder();
    const left = await start(folder);
    const leftPid = left.pid;
    void left.stop(); // as its owner, which is gone, cannot restart it
    await using engine = await Engine.start({ folder, emit: () => {}, settings: { ...FAST, work_mem: '5MB' } });
    expect(engine.pid).not.toBe(leftPid);
    expect(await ask(engine, `select current_setting('work_mem') as answer`)).toBe('5MB');
  });

  it('comes back after kill -9, with the same data', async () => {
    const signals: EngineSignal[] = [];
    await using engine = await start(await newFolder(), signals);
    await ask(engine, 'create table kept as select 42 as answer');
    const killed = engine.pid;
    process.kill(killed, 'SIGKILL');
    await eventually(() => expect(signals.filter(({ name }) => name === 'engine.ready')).toHaveLength(2));
    expect(signals).toContainEqual({ name: 'engine.lost', cause: 'killed by SIGKILL' });
    expect(engine.pid).not.toBe(killed);
    expect(await ask(engine, 'select answer from kept')).toBe(42);
  });

  it('starts at once after the server and all of its processes were killed', async () => {
    const folder = await newFolder();
    const engine = await start(folder);
    const cluster = join(folder, 'postgres');
    for (const pid of await processesIn(cluster)) process.kill(pid, 'SIGKILL');
    await engine.stop(); // before it hears of the kill, so that it does not restart the server
    expect(existsSync(join(cluster, 'postmaster.pid'))).toBe(true);
    await using again = await start(folder);
    expect(await ask(again, 'select 1 as answer')).toBe(1);
  });

  it('is not stopped by a pid file whose number is another program by now', async () => {
    const folder = await newFolder();
    await (await start(folder)).stop();
    // PostgreSQL itself would refuse: the number is alive.
    await writeFile(join(folder, 'postgres', 'postmaster.pid'), pidFile(process.pid, folder));
    await using engine = await start(folder);
    expect(await ask(engine, 'select 1 as answer')).toBe(1);
  });

  it('is not stopped by a pid file whose number is a zombie that nobody reaps', async () => {
    const folder = await newFolder();
    await (await start(folder)).stop();
    const pid = await zombie();
    await writeFile(join(folder, 'postgres', 'postmaster.pid'), pidFile(pid, folder));
    await using engine = await start(folder);
    expect(await ask(engine, 'select 1 as answer')).toBe(1);
  });

  /** A dead child of a shell that became a program which does not wait for children. */
  async function zombie(): Promise<number> {
    const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
    children.push(parent);
    const pid = await new Promise<number>((resolve) => parent.stdout!.once('data', (data) => resolve(Number(data))));
    await eventually(async () => expect(await readFile(`/proc/${pid}/stat`, 'utf8')).toContain(' Z '));
    return pid;
  }

  it('starts where an earlier first start was cut off', async () => {
    const folder = await newFolder();
    await mkdir(join(folder, 'postgres.new/base'), { recursive: true });
    await writeFile(join(folder, 'postgres.new/PG_VERSION'), '18\n');
    await using engine = await start(folder);
    expect(await ask(engine, 'select 1 as answer')).toBe(1);
  });

  it('puts its socket elsewhere when the path of the folder is too long for one', async () => {
    const folder = join(await newFolder(), 'long-'.repeat(20));
    folders.push(folder);
    await using engine = await start(folder);
    expect(engine.socketFolder.startsWith(folder)).toBe(false);
    expect(await ask(engine, 'select 1 as answer')).toBe(1);
  });

  it('refuses data of another major version and names the remedy', async () => {
    const folder = await newFolder();
    await mkdir(join(folder, 'postgres'));
    await writeFile(join(folder, 'postgres/PG_VERSION'), '15\n');
    await expect(start(folder)).rejects.toThrow(/written by PostgreSQL 15.*CARILLON_DATA_DIR/s);
  });

  it('shows the log of a server that does not start', async () => {
    const folder = await newFolder();
    await (await start(folder)).stop();
    await appendFile(join(folder, 'postgres/postgresql.conf'), "wal_level = 'nonsense'\n");
    await expect(start(folder)).rejects.toThrow(/did not start.*postgres\.log.*wal_level/s);
  });

  it('stops at the deadline although a client holds on', async () => {
    const engine = await start(await newFolder());
    const database = new Database({ url: engine.url('postgres'), poolSize: 1 });
    const held = database.query('select pg_sleep(60)').catch((error: Error) => error);
    await sleep(50);
    await engine.stop(5_000);
    expect(await held).toBeInstanceOf(Error);
    await database.close();
  });

  // Only root needs these ways; an ordinary user owns its folders.
  if (process.getuid?.() === 0) {
    it('runs for root as somebody else, also in a folder that only root may enter', async () => {
      const closed = await newFolder();
      await chmod(closed, 0o700);
      const folder = join(closed, 'inner');
      folders.push(folder);
      await using engine = await start(folder);
      expect((await stat(join(folder, 'postgres'))).uid).not.toBe(0);
      expect((await stat(closed)).mode & 0o777).toBe(0o700);
      expect(await ask(engine, 'select 1 as answer')).toBe(1);
    });
  }
});

function pidFile(pid: number, folder: string): string {
  return `${pid}\n${join(folder, 'postgres')}\n1700000000\n5432\n${join(folder, 'socket')}\n\n  1234567         9\nready   \n`;
}
