// One process at a time installs into a clone. Who installs listens on a socket that is named after the clone; who comes
// second connects to it and waits for the end of the connection, which comes with the end of the work or, by the kernel,
// of the process. The socket does not lie in the clone: npm removes what it does not know.
import { createHash } from 'node:crypto';
import { realpathSync, rmSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Runs `work` when no other process of this user is at it for `folder`. `waiting` is called, once, when there is one.
 * Where no socket can be made there is no such care, and the work is done all the same.
 */
export async function alone(folder, work, waiting) {
  const path = socketPath(folder);
  for (let told = false; ; ) {
    const server = await take(path);
    if (server) {
      try {
        return await work();
      } finally {
        server.release();
      }
    }
    if (!told) waiting();
    told = true;
    await endOf(path);
  }
}

function socketPath(folder) {
  const of = createHash('sha256')
    .update(`${realpathSync(folder)}\0${process.getuid?.()}`)
    .digest('hex')
    .slice(0, 16);
  return process.platform === 'win32'
    ? `\\\\.\\pipe\\carillon-install-${of}`
    : join(tmpdir(), `carillon-install-${of}`);
}

/** Undefined: another process has it. */
async function take(path) {
  const code = await listen(path);
  if (typeof code !== 'string') return code;
  if (code !== 'EADDRINUSE') return { release: () => {} };
  if (process.platform === 'win32' || (await answers(path))) return undefined;
  // Left behind by a process that was killed. Two may find that at the same time, and the second remove what the first has
  // made: the first sees it.
  rmSync(path, { force: true });
  const again = await listen(path);
  if (typeof again === 'string') return undefined;
  const mine = inode(path);
  await sleep(200);
  if (inode(path) === mine) return again;
  again.lose();
  return undefined;
}

/** The code of what failed, or what ends the listening. */
function listen(path) {
  const sockets = new Set();
  const server = createServer((socket) => {
    socket.on('error', () => {}); // who waited was stopped
    sockets.add(socket);
  });
  const lose = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  server.unref();
  return new Promise((resolve) => {
    server.once('error', (error) => resolve(error.code ?? error.message));
    server.listen(path, () => resolve({ release: lose, lose }));
  });
}

function inode(path) {
  try {
    return statSync(path).ino;
  } catch {
    return undefined;
  }
}

function answers(path) {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

/** Resolves when the other process is done, or dead. */
function endOf(path) {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on('error', () => {});
    socket.once('close', () => resolve());
    socket.resume();
  });
}
