import { expect, test } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { sealingKey } from '../kit/sealing.ts';
import { createHub, getHub, type HubAdmin, setCredentials } from './hub-admin.ts';
import { azureSendLimits } from './sends.ts';
import { azureTagLimits } from './tags.ts';

const db = useDatabase();
const key = sealingKey('hub-admin');

test('of Web Push what is not given stays: keys, and that private services are allowed', async () => {
  const limits = { tagLimits: azureTagLimits, sendLimits: azureSendLimits };
  const admin: HubAdmin = { database: db.database, key, subject: 'mailto:a@b.c', ...limits, now: () => new Date() };
  const { browser } = (await createHub(admin, 'app')).credentials;
  const { publicKey, privateKey } = browser!;
  await setCredentials(admin, 'app', 'browser', { ...browser!, allowPrivate: true, ca: 'PEM' });
  await setCredentials(admin, 'app', 'browser', { subject: 'mailto:ops@example.org' } as typeof browser);
  const kept = { publicKey, privateKey, subject: 'mailto:ops@example.org', allowPrivate: true, ca: 'PEM' };
  expect((await getHub(db.database, key, 'app')).credentials.browser).toEqual(kept);
  await setCredentials(admin, 'app', 'browser', undefined);
  const fresh = (await getHub(db.database, key, 'app')).credentials.browser;
  expect(fresh).toEqual({ publicKey: expect.any(String), privateKey: expect.any(String), subject: 'mailto:a@b.c' });
  expect(fresh?.publicKey).not.toBe(publicKey);
});
