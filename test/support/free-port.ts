// Ports for servers that are started on the port that they had.
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below those from which systems take ports for outgoing connections: one of these would take the port of a server that is down. */
const PORTS = { from: 15_000, to: 32_000 };

/** A port that was free a moment ago, and that nobody gets by chance. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORTS.from, PORTS.to);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  const free = await new Promise<boolean>((resolve) => {
    probe.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
  });
  if (free) await new Promise((resolve) => probe.close(resolve));
  return free;
}
