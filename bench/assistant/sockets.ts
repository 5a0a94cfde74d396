// How much memory an open conversation costs, and how long a notice takes until it is on the socket of its person. The
// node runs here, on a PostgreSQL of its own with fsync; the clients run in a process of their own. Three figures:
//   memory per socket: what the process holds more, resident, with all of them open and their first frame sent
//   notice -> socket: from before the transaction that says it until the client has the frame (one at a time)
//   everybody at once: one notice for each of them, set-based, until the last one has it
// Prints figures; about 40 seconds. Run: node --expose-gc bench/assistant/sockets.ts [--sockets 5000] [--seconds 5]
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { appendActivities } from '../../src/assistant/conversations/append.ts';
import { conversationsOf } from '../../src/assistant/conversations/conversation.ts';
import { Tokens } from '../../src/gateways/directline/tokens.ts';
import { Database } from '../../src/kit/database.ts';
import { migrate } from '../../src/kit/migrate.ts';
import { Engine } from '../../src/main/engine/engine.ts';
import { DirectLineNode, LINK_KEY } from '../../test/support/direct-line.ts';
import type { FromClients, ToClients } from './socket-messages.ts';

const { values } = parseArgs({
  options: { sockets: { type: 'string', default: '5000' }, seconds: { type: 'string', default: '5' } },
});
const SOCKETS = Number(values.sockets);
const SECONDS = Number(values.seconds);
const MIGRATIONS = fileURLToPath(new URL('../../migrations', import.meta.url));
const CLIENTS = fileURLToPath(new URL('socket-clients.ts', import.meta.url));

const folder = await mkdtemp(join(tmpdir(), 'carillon-bench-'));
await chmod(folder, 0o755); // the engine's own account must be able to pass
try {
  await using engine = await Engine.start({ folder, emit: () => undefined });
  await using database = new Database({ url: engine.url('postgres'), poolSize: 10 });
  await migrate(database, MIGRATIONS);
  await run(database);
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function run(database: Database): Promise<void> {
  const node = await DirectLineNode.start(database, { settings: { socketLimit: SOCKETS + 10 } });
  const people = Array.from({ length: SOCKETS }, (_, n) => `person-${n}`);
  const ids: string[] = [];
  for (let from = 0; from < SOCKETS; from += 1000) {
    const made = await conversationsOf(database, people.slice(from, from + 1000));
    ids.push(...people.slice(from, from + 1000).map((person) => made.get(person)!.id));
  }
  const urls = await addressesOf(node, ids, people);
  const clients = fork(CLIENTS, { stdio: 'inherit' });
  const heard = new Map<string, (at: number) => void>();
  const open = new Promise<void>((resolve) => {
    clients.on('message', (message: FromClients) => {
      if (message.kind === 'open') {
        if (message.count === SOCKETS) resolve();
      } else heard.get(message.text)?.(message.at);
    });
  });
  const before = resident();
  const began = performance.now();
  clients.send({ urls } satisfies ToClients);
  await open;
  const opened = performance.now() - began;
  await new Promise((resolve) => setTimeout(resolve, 500));
  const perSocket = (resident() - before) / SOCKETS;
  console.log(`${SOCKETS} sockets open in ${(opened / 1000).toFixed(1)} s; ${(perSocket / 1024).toFixed(1)} KiB each`);
  await oneAtATime(node, ids, heard);
  await allAtOnce(node, ids, heard);
  clients.kill();
  await once(clients, 'exit');
  await node.stop();
}

function addressesOf(node: DirectLineNode, ids: readonly string[], people: readonly string[]): Promise<string[]> {
  const tokens = new Tokens(LINK_KEY, 30);
  const base = node.domain.replace('http', 'ws');
  return Promise.all(
    ids.map(async (conversationId, n) => {
      const { token } = await tokens.issue({ conversationId, user: people[n]!, sid: crypto.randomUUID() });
      return `${base}/conversations/${conversationId}/stream?watermark=0&t=${token}`;
    }),
  );
}

async function oneAtATime(
  node: DirectLineNode,
  ids: readonly string[],
  heard: Map<string, (at: number) => void>,
): Promise<void> {
  const took: number[] = [];
  for (const end = Date.now() + SECONDS * 1000; Date.now() < end; ) {
    const text = `one ${took.length}`;
    const arrived = new Promise<number>((resolve) => heard.set(text, resolve));
    const began = now();
    await say(node, [ids[took.length % ids.length]!], text);
    took.push((await arrived) - began);
    heard.delete(text);
  }
  took.sort((a, b) => a - b);
  const at = (share: number) => took[Math.floor((took.length - 1) * share)]!.toFixed(2);
  console.log(`notice -> socket: p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms (${took.length} notices)`);
}

async function allAtOnce(
  node: DirectLineNode,
  ids: readonly string[],
  heard: Map<string, (at: number) => void>,
): Promise<void> {
  let left = ids.length;
  const arrived = new Promise<number>((resolve) => {
    heard.set('to all', (at) => --left === 0 && resolve(at));
  });
  const began = now();
  for (let from = 0; from < ids.length; from += 500) await say(node, ids.slice(from, from + 500), 'to all');
  const last = (await arrived) - began;
  console.log(`one for each of ${ids.length}: the last one has it after ${last.toFixed(0)} ms`);
}

async function say(node: DirectLineNode, ids: readonly string[], text: string): Promise<void> {
  const items = ids.map((conversationId) => ({ conversationId, activity: { type: 'message', text } }));
  await node.database.transaction((tx) => appendActivities(tx, items));
  node.assistant.streams.wake(ids);
}

function resident(): number {
  globalThis.gc?.();
  return process.memoryUsage.rss();
}

function now(): number {
  return performance.timeOrigin + performance.now();
}
