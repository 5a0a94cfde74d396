// Starts other people's servers on free loopback ports, their files in a temporary folder, and ends them for certain:
// each has a process group of its own, which is killed when this process exits, however it exits.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export class NotInstalled extends Error {}

const groups = new Set<number>();
const folders = new Set<string>();
process.on('exit', () => {
  for (const pid of groups) signalGroup(pid, 'SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => process.exit(1));

/** The path of a server's program, or an error that says which package holds it. */
export function program(candidates: readonly string[], debianPackage: string): string {
  const path = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/usr/bin'];
  for (const candidate of candidates) {
    const found = candidate.startsWith('/') ? [candidate] : path.map((folder) => join(folder, candidate));
    const program = found.find((each) => existsSync(each));
    if (program) return program;
  }
  throw new NotInstalled(`not installed; to measure it: apt-get install ${debianPackage}`);
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-peers-'));
  folders.add(folder);
  return folder;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

export type Server = {
  /** `SIGKILL`, to all of its processes. */
  readonly kill: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

type Start = {
  readonly command: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly folder: string;
  /** The server is ready when this port answers. */
  readonly port: number;
};

/** Throws with the end of the server's output if it does not answer within 60 s. */
export async function startServer({ command, args = [], env, folder, port }: Start): Promise<Server> {
  const log = join(folder, 'output.log');
  const out = openSync(log, 'a');
  const child = spawn(command, args, {
    cwd: folder,
    env: { ...process.env, HOME: folder, ...env },
    detached: true,
    stdio: ['ignore', out, out],
  });
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${command} does not start`);
  groups.add(pid);
  for (const end = Date.now() + 60_000; !(await answers(port)); await sleep(20)) {
    if (child.exitCode === null && Date.now() < end) continue;
    signalGroup(pid, 'SIGKILL');
    throw new Error(`${command} does not answer: ${readFileSync(log, 'utf8').slice(-1000)}`);
  }
  return { kill: () => end(child, pid, 'SIGKILL'), stop: () => end(child, pid, 'SIGTERM') };
}

async function end(child: ChildProcess, pid: number, signal: NodeJS.Signals): Promise<void> {
  const gone = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : Promise.resolve();
  signalGroup(pid, signal);
  const late = setTimeout(() => signalGroup(pid, 'SIGKILL'), 5_000);
  await gone;
  clearTimeout(late);
  signalGroup(pid, 'SIGKILL');
  groups.delete(pid);
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // It is gone already.
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
