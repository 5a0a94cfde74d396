// Our HTTP/2 client against nghttp2's server and proxy: the implementation that most push services' front doors resemble.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PushClient } from '../../src/hub/http2/client.ts';
import { type Answer, ask, type Http2Options, type Reply, type RequestHead } from '../../src/hub/http2/port.ts';
import { makeCertificate } from '../../src/kit/certificate.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';

const certificate = makeCertificate();
const folder = mkdtempSync(join(tmpdir(), 'carillon-nghttp2-'));
const children: ChildProcess[] = [];
const head: RequestHead = { method: 'POST', authority: 'localhost', fields: ['content-type', 'application/json'] };

beforeAll(() => {
  for (const program of ['nghttpd', 'nghttpx'])
    if (spawnSync(program, ['--version']).error)
      throw new Error(`${program} is missing: install nghttp2 (apt-get install nghttp2)`);
  writeFileSync(join(folder, 'key.pem'), certificate.key);
  writeFileSync(join(folder, 'cert.pem'), certificate.cert);
});

afterAll(async () => {
  await Promise.all(children.map(stopped));
  rmSync(folder, { recursive: true });
});

function stopped(child: ChildProcess): Promise<unknown> {
  if (child.exitCode !== null) return Promise.resolve();
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  return exit;
}

async function run(program: string, ...args: string[]): Promise<void> {
  const child = spawn(program, args, { stdio: 'ignore' });
  children.push(child);
  await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
}

function client(port: number, options: Partial<Http2Options> = {}): PushClient {
  return new PushClient({ host: '127.0.0.1', port, ca: certificate.ca, maxWaiting: 50_000, ...options });
}

function post(on: PushClient, body: string | Uint8Array, fields: readonly string[] = []): Promise<Reply> {
  return ask(on, { head, path: '/echo', fields, body });
}

async function listening(on: PushClient): Promise<void> {
  await eventually(async () => expect(await post(on, 'ready')).toMatchObject({ kind: 'answer' }));
}

test('nghttpd answers five thousand calls under its own limits of streams, windows and header table', async () => {
  const port = await freePort();
  const limits = [
    '--max-concurrent-streams=50',
    '--window-bits=14',
    '--header-table-size=64',
    '--encoder-header-table-size=4096',
  ];
  await run(
    'nghttpd',
    '--echo-upload',
    '-a',
    '127.0.0.1',
    '-d',
    folder,
    ...limits,
    String(port),
    join(folder, 'key.pem'),
    join(folder, 'cert.pem'),
  );
  await using on = client(port);
  await listening(on);
  const bodies = Array.from({ length: 5000 }, (_, i) => `{"aps":{"alert":"number ${i}"}}`);
  const replies = await Promise.all(bodies.map((body) => post(on, body, ['apns-id', String(body.length)])));
  const wrong = replies.filter((reply, i) => reply.kind !== 'answer' || reply.body.toString() !== bodies[i]);
  expect(wrong).toEqual([]);
});

test('nghttpd echoes bodies larger than its windows, padded', async () => {
  const port = await freePort();
  await run(
    'nghttpd',
    '--echo-upload',
    '--padding=100',
    '-a',
    '127.0.0.1',
    '-d',
    folder,
    '--window-bits=12',
    String(port),
    join(folder, 'key.pem'),
    join(folder, 'cert.pem'),
  );
  await using on = client(port, { maxAnswerBytes: 1_000_000 });
  await listening(on);
  for (const bytes of [1, 4096, 4097, 70_000, 500_000]) {
    const body = Buffer.alloc(bytes, 'abcdefghij');
    const reply = (await post(on, body)) as Answer;
    expect([reply.kind, reply.body?.equals(body)]).toEqual(['answer', true]);
  }
});

test('nghttpx forwards to an HTTP/1.1 service and says goodbye with GOAWAY without losing a call', async () => {
  const backend = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(201, { location: `${request.url}/1` }).end());
  });
  await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
  const port = await freePort();
  const { port: backendPort } = backend.address() as AddressInfo;
  await run(
    'nghttpx',
    `-f127.0.0.1,${port}`,
    `-b127.0.0.1,${backendPort}`,
    '--workers=1',
    '--accesslog-file=/dev/null',
    '--errorlog-file=/dev/null',
    '--conf=/dev/null',
    '--no-ocsp',
    join(folder, 'key.pem'),
    join(folder, 'cert.pem'),
  );
  await using on = client(port);
  await listening(on);
  const running = Promise.all(Array.from({ length: 3000 }, () => post(on, 'x')));
  children.at(-1)!.kill('SIGQUIT');
  const replies = await running;
  const kinds = new Set(replies.map((reply) => (reply.kind === 'answer' ? reply.status : reply.kind)));
  // Graceful: what was sent is answered; what was not may find the door closed, and knows it.
  expect([...kinds].every((kind) => kind === 201 || kind === 'unprocessed')).toBe(true);
  expect(kinds.has(201)).toBe(true);
  backend.closeAllConnections();
  await new Promise((resolve) => backend.close(resolve));
});
