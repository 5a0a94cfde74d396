// Credentials that are set anew while a send is under way, or on another node: what was refused does not wait for the next probe.
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { ApnsStandin } from '../../test/standins/apns.ts';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
import { makeCertificate } from '../kit/certificate.ts';
import type { Sql } from '../kit/database.ts';
import { sealingKey } from '../kit/sealing.ts';
import { putDevice } from './devices.ts';
import { createHub, deleteHub, type HubAdmin, setCredentials } from './hub-admin.ts';
import type { HubCredentials } from './hubs.ts';
import { parseInstallation } from './installation.ts';
import { HubLanes } from './lanes.ts';
import { HubSender } from './sender.ts';
import { azureSendLimits, enqueueSend, findSend } from './sends.ts';
import { azureTagLimits } from './tags.ts';

const db = useDatabase();
const key = sealingKey('resume');
const certificate = makeCertificate();
const now = () => new Date();
const message = { kind: 'native', platform: 'apns', body: '{"aps":{"alert":"Hi"}}', headers: {} } as const;
let apns: ApnsStandin;
let lanes: HubLanes;
let admin: HubAdmin;
let sender: HubSender | undefined;

beforeAll(async () => {
  apns = await ApnsStandin.start({ certificate });
  const { database } = db;
  // Nobody tells it of changes: to the administration it is another node's.
  lanes = new HubLanes({ database, key, emit: () => {} });
  const limits = { tagLimits: azureTagLimits, sendLimits: azureSendLimits };
  admin = { database, key, subject: 'mailto:a@b.c', ...limits, now };
});
afterEach(() => sender?.stop());
afterAll(async () => {
  await lanes.stop();
  await apns.stop();
});

function credentials(more: object = {}): NonNullable<HubCredentials['apns']> {
  const endpoint = { host: '127.0.0.1', port: apns.service.port, ca: certificate.ca };
  return { ...apns.credentials, environment: 'sandbox', endpoint, ...more };
}
const wrong = () => credentials({ keyId: 'WRONGKEY12' });

async function begin(hub: string): Promise<void> {
  await createHub(admin, hub, { credentials: { apns: wrong() } });
  const installation = parseInstallation({ installationId: 'phone', platform: 'apns', pushChannel: 'ad'.repeat(32) });
  await putDevice(db.database, { hub, kind: 'installation', installation }, now());
}

const start = () => HubSender.start({ database: db.database, lanes, now, emit: () => {} });
const send = (hub: string) => enqueueSend(db.database, hub, { message }, now());
const arrived = (hub: string, id: string) =>
  eventually(
    async () => expect(await findSend(db.database, hub, id)).toMatchObject({ outcomes: { apns: { Success: 1 } } }),
    15_000,
  );
const parked = async (hub: string): Promise<void> => {
  const waiting =
    'select from hub_send_leg where hub = $1 and ended_at is null and leased_until is null and attempt > 0';
  await eventually(async () => expect(await db.database.query(waiting, [hub])).toHaveLength(1));
};

test.each(['settle', 'release'])(
  'what was refused before, and is written down after (%s), goes out at once',
  async (late) => {
    const hub = `late-${late}`;
    await begin(hub);
    const query = db.database.query.bind(db.database) as Sql['query'];
    let held = 0;
    const slow = vi.spyOn(db.database, 'query').mockImplementation(async (statement, values) => {
      const isIt = typeof statement !== 'string' && statement.name.startsWith(`hub.leg-${late}:`);
      if (isIt && held++ === 0) await setCredentials(admin, hub, 'apns', credentials());
      return query(statement, values);
    });
    try {
      const id = await send(hub);
      sender = start();
      await arrived(hub, id);
      expect(held).toBeGreaterThan(0);
    } finally {
      slow.mockRestore();
    }
  },
);

test('a send that begins with the refused credentials, on a node that has not seen the new ones, goes out at once', async () => {
  await begin('stale');
  sender = start();
  const first = await send('stale');
  await parked('stale');
  await lanes.areRenewed('stale', await lanes.of('stale'));
  await setCredentials(admin, 'stale', 'apns', credentials());
  const second = await send('stale');
  sender.wake();
  await Promise.all([arrived('stale', first), arrived('stale', second)]);
});

test('a hub that was removed and made anew has the new credentials, not those of its first life', async () => {
  await begin('again');
  sender = start();
  await send('again');
  await parked('again');
  await deleteHub(db.database, 'again');
  await createHub(admin, 'again', { credentials: { apns: credentials() } });
  const installation = parseInstallation({ installationId: 'phone', platform: 'apns', pushChannel: 'ae'.repeat(32) });
  await putDevice(db.database, { hub: 'again', kind: 'installation', installation }, now());
  await arrived('again', await send('again'));
});
