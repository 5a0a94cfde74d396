// `postmaster.pid`: who runs a cluster. It outlives a server that was killed, so that what it says is checked against
// the processes that exist: a pid may be dead, a zombie that nobody reaps, or another program's by now.
import { readdir, readFile, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';

export type PidFile = {
  readonly pid: number;
  readonly socketFolder: string;
  /** `starting`, `ready`, `stopping` or `standby`. */
  readonly status: string;
};

export async function readPidFile(cluster: string): Promise<PidFile | undefined> {
  const text = await readFile(pidFilePath(cluster), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : parsePidFile(text);
}

/** The lines are: pid, data folder, start time, port, socket folder, listen address, shared memory key, status. */
export function parsePidFile(text: string): PidFile | undefined {
  const lines = text.split('\n').map((line) => line.trim());
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  return { pid, socketFolder: lines[4] ?? '', status: lines[7] ?? 'starting' };
}

export function pidFilePath(cluster: string): string {
  return join(cluster, 'postmaster.pid');
}

/** Whether a process of this number lives (a zombie does not) and works in `cluster`, where that can be told. */
export async function servesCluster(pid: number, cluster: string): Promise<boolean> {
  if (!isAlive(pid)) return false;
  if (process.platform !== 'linux') return true;
  if (await isZombie(pid)) return false;
  // Unreadable means another user's process; PostgreSQL runs as us, or we are root and may read all.
  return (await readlink(`/proc/${pid}/cwd`).catch(() => '')) === cluster;
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, but belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function isZombie(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return /^\d+ \(.*\) [ZX]/s.test(stat);
}

/**
 * Removes a pid file whose server is gone. PostgreSQL removes most of them itself, but not when the number lives on
 * as a zombie or as another program. Left alone while any process still works in the cluster: its shared memory key
 * is what keeps a second server out.
 */
export async function removeStalePidFile(cluster: string): Promise<void> {
  const file = await readPidFile(cluster);
  if (!file || process.platform !== 'linux' || !isAlive(file.pid)) return;
  if (await servesCluster(file.pid, cluster)) return;
  if ((await processesIn(cluster)).length === 0) await rm(pidFilePath(cluster), { force: true });
}

/** The living processes whose working folder is the cluster: a server and its backends. Linux only. */
export async function processesIn(cluster: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const serving = await Promise.all(pids.map((pid) => servesCluster(pid, cluster)));
  return pids.filter((_, i) => serving[i]);
}
