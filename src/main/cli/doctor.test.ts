// What the doctor makes of the answers of a server, which here are written down; a real one is asked in
// test/interop/commands.test.ts.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { Client } from './client.ts';
import { examineServer } from './doctor-server.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

type Answers = Readonly<Record<string, readonly [number, unknown]>>;

/** A path without an answer hangs. */
async function examine(answers: Answers, patienceMs?: number) {
  server = createServer((request, response) => {
    const [status, body] = answers[request.url!] ?? [];
    if (status !== undefined)
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // it listens on a port
  return examineServer(new Client(`http://127.0.0.1:${port}`, 'a-key-0123456789'), 'CARILLON_KEY', patienceMs);
}

const ready = { '/readyz': [200, { status: 'ready' }] } as const;
const calm = {
  topics: [{ name: 'hr', subscriptions: [{ name: 'audit', dead: 0 }] }],
  deliveries: [{ channel: 'email', dead: 0 }],
  hubs: [{ name: 'main', lanes: [{ platform: 'apns', state: 'running', devices: 5 }] }],
};

it('finds nothing wrong with a server that is well', async () => {
  const findings = await examine({ ...ready, '/v1/stats': [200, calm] });
  expect(findings.map(({ what, state }) => `${what} ${state}`)).toEqual([
    'ready ok',
    'dead letters ok',
    'dead events ok',
    'push ok',
  ]);
});

it('says what a server waits for, and that one does not answer at all', async () => {
  const waits = { status: 'not ready', missing: ['the database, which does not answer'] };
  expect(await examine({ '/readyz': [503, waits] })).toEqual([
    {
      what: 'ready',
      state: 'problem',
      detail: expect.stringMatching(/waits for the database, which does not answer$/),
    },
  ]);
  expect(await examine({}, 300)).toEqual([
    { what: 'ready', state: 'problem', detail: expect.stringMatching(/does not answer within 0\.3 s$/) },
  ]);
});

it('names the key that the server does not take', async () => {
  const refused = (status: number) => examine({ ...ready, '/v1/stats': [status, { detail: 'Send a valid key.' }] });
  expect((await refused(401))[1]).toMatchObject({
    what: 'key',
    state: 'problem',
    detail: expect.stringMatching(/CARILLON_KEY/),
  });
  expect((await refused(403))[1]).toMatchObject({
    what: 'key',
    state: 'warning',
    detail: expect.stringMatching(/system:stats/),
  });
});

it('names what lies with the dead letters, and push services that refuse, with what to do', async () => {
  const lanes = [
    { platform: 'apns', state: 'stopped', devices: 5, advice: 'Check the key id.' },
    { platform: 'fcmv1', state: 'no_credentials', devices: 0, advice: 'Get credentials.' },
    { platform: 'wns', state: 'no_credentials', devices: 3, advice: 'Get credentials.' },
  ];
  const stats = {
    topics: [{ name: 'hr', subscriptions: [{ name: 'audit', dead: 2 }] }],
    deliveries: [{ channel: 'email', dead: 1 }],
    hubs: [{ name: 'main', lanes }],
  };
  const findings = await examine({ ...ready, '/v1/stats': [200, stats] });
  expect(findings.slice(1)).toMatchObject([
    { what: 'dead letters', state: 'warning', detail: expect.stringMatching(/^1 delivery was given up/) },
    { what: 'dead events', state: 'warning', detail: expect.stringMatching(/^2 of hr\/audit/) },
    { what: 'push', state: 'problem', detail: 'apns of hub main: Check the key id.' },
    { what: 'push', state: 'warning', detail: 'wns of hub main: Get credentials.' },
  ]);
});
