// kill -9 in the middle of a broadcast: of PostgreSQL, of the server, of one of two nodes. Every device must be reached.
// Pushed twice is at most what was not settled when the process died, a thousand devices, and a device shows those once,
// because both carry the same collapse id. BROADCAST_DEVICES=200000 runs it in full size.
import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { enqueueSend, findSend } from '../../src/hub/sends.ts';
import { makeCertificate } from '../../src/kit/certificate.ts';
import { Database } from '../../src/kit/database.ts';
import { ApnsStandin } from '../standins/apns.ts';
import { Service, type StandinRequest } from '../standins/service.ts';
import { useDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { addManyDevices } from '../support/many-devices.ts';
import { urlOf } from '../support/postgres.ts';
import { diceOf, seedOfRun } from '../support/random.ts';
import { ServerProcess } from '../support/server-process.ts';

const devices = Number(process.env.BROADCAST_DEVICES ?? 12_000);
const patienceMs = 60_000 + devices;
/** Two chunks of 500 are under way at most. */
const unsettled = 1_000;
const shared = useDatabase();
const certificate = makeCertificate();
const configFile = join(tmpdir(), `carillon-broadcast-${process.pid}.config.ts`);
const dice = diceOf(seedOfRun());
let service: Service;
/** By device token: how often it was pushed to, and under which collapse ids. */
let pushed = new Map<string, { times: number; ids: Set<string> }>();
let pushes = 0;

beforeAll(async () => {
  service = await Service.start({ certificate, answer: take });
  const apns = await ApnsStandin.start({ certificate });
  const endpoint = { host: '127.0.0.1', port: service.port, ca: certificate.ca };
  const main = { apns: { ...apns.credentials, environment: 'sandbox', endpoint } };
  await apns.stop();
  await writeFile(configFile, `export default { hubs: { main: ${JSON.stringify(main)} } };`);
});
beforeEach(() => {
  pushed = new Map();
  pushes = 0;
});
afterAll(async () => {
  await service.stop();
  await rm(configFile, { force: true });
});

function take({ path, headers }: StandinRequest): { readonly status: number } {
  const token = path.slice('/3/device/'.length);
  const known = pushed.get(token) ?? { times: 0, ids: new Set() };
  known.times += 1;
  known.ids.add(String(headers['apns-collapse-id']));
  pushed.set(token, known);
  pushes += 1;
  return { status: 200 };
}

async function broadcast(database: Database): Promise<string> {
  const body = JSON.stringify({ aps: { alert: '$(name)' } });
  await addManyDevices(database, { hub: 'main', platform: 'apns', count: devices, body });
  const job = { message: { kind: 'template', properties: {} } } as const;
  return enqueueSend(database, 'main', job, new Date());
}

/** Waits until so many of all devices have been pushed to. */
const reached = (share: number) => eventually(async () => expect(pushes).toBeGreaterThan(devices * share), patienceMs);

async function expectAllReached(database: Database, send: string, kills: number): Promise<void> {
  await eventually(async () => {
    expect(await findSend(database, 'main', send)).toMatchObject({
      state: 'Completed',
      outcomes: { apns: { Success: devices } },
    });
  }, patienceMs);
  expect(pushed.size).toBe(devices);
  const repeated = [...pushed.values()].filter(({ times }) => times > 1);
  expect(repeated.length).toBeLessThanOrEqual(unsettled * kills);
  for (const { ids } of pushed.values()) expect([...ids]).toEqual([expect.stringContaining(send)]);
  console.log(`${devices} devices, ${kills} kills: ${repeated.length} pushed twice`);
}

test(
  'PostgreSQL and then the server are killed: the broadcast goes on where its chunks were settled',
  async () => {
    await using server = await ServerProcess.start({ config: configFile });
    await using database = new Database({ url: urlOf(join(server.dataDir, 'socket'), 'carillon'), poolSize: 2 });
    const send = await broadcast(database);
    await reached(0.1 + dice() * 0.3);
    await server.killPostgres();
    await reached(0.5 + dice() * 0.3);
    await server.end('SIGKILL');
    await server.start();
    await expectAllReached(database, send, 1);
  },
  patienceMs * 3,
);

test(
  'one of two nodes is killed: the other takes its leg over',
  async () => {
    const key = randomBytes(32).toString('hex');
    const env = { CARILLON_DATABASE_URL: shared.url, CARILLON_LINK_KEY: key, CARILLON_SAS_KEY: key };
    await using first = await ServerProcess.start({ config: configFile, env });
    const send = await broadcast(shared.database);
    await reached(0.05 + dice() * 0.2);
    // The first node sits on its chunk, alive, until the second one is there.
    service.fail({ kind: 'slow', ms: 3_000 });
    await using second = await ServerProcess.start({ config: configFile, env });
    await first.end('SIGKILL');
    service.fail(undefined);
    expect(pushes).toBeLessThan(devices);
    await expectAllReached(shared.database, send, 1);
    second.assertAlive();
  },
  patienceMs * 3,
);
