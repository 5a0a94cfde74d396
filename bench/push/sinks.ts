// Starts the fast stand-ins in processes of their own.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export type Sink = { readonly port: number; readonly ca: string; readonly pid: number; stop(): Promise<void> };

export async function startSink(program: 'fast' | 'fast-http1', ...args: readonly string[]): Promise<Sink> {
  const path = fileURLToPath(new URL(`../../test/standins/${program}.ts`, import.meta.url));
  const child = spawn(process.execPath, [path, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const { port, ca } = JSON.parse(line.toString()) as { port: number; ca: string };
  return { port, ca, pid: child.pid!, stop: () => stop(child) };
}

async function stop(child: ChildProcess): Promise<void> {
  child.stdin?.end();
  if (child.exitCode === null) await once(child, 'exit');
}
