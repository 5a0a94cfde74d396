import { expect, test } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { sealingKey } from '../kit/sealing.ts';
import { forgetExpiredDevices, pruneDevices } from './dead-devices.ts';
import { type DeviceKind, deleteDevice, findDevice, patchDevice, putDevice } from './devices.ts';
import { getHub } from './hub-admin.ts';
import { ensureHub, findHub } from './hubs.ts';
import { parseInstallation } from './installation.ts';
import { type PushPage, planLookup, readPushPage } from './push-page.ts';
import { parseTagExpression } from './tags.ts';

const db = useDatabase();
const key = sealingKey('a secret of this test');
const start = new Date('2026-11-22T10:00:00Z');
const later = (ms: number) => new Date(start.getTime() + ms);

const makeHub = (name: string) =>
  ensureHub(db.database, key, { name, credentials: {}, subject: 'mailto:ops@example.com' }, start);

function put(hub: string, id: string, more: object = {}, now = start, kind: DeviceKind = 'installation') {
  const given = { installationId: id, platform: 'fcmv1', pushChannel: `token-${id}`, ...more };
  return putDevice(db.database, { hub, kind, installation: parseInstallation(given) }, now);
}

test('credentials are not readable in the database, and open with their own key only', async () => {
  const apns = {
    keyId: 'K',
    teamId: 'T',
    privateKey: 'a very secret key',
    bundleId: 'b',
    environment: 'sandbox',
  } as const;
  await ensureHub(db.database, key, { name: 'sealed', credentials: { apns }, subject: 'mailto:a@b.c' }, start);
  const [row] = await db.database.query<{ sealed: Buffer }>("select sealed from hub where name = 'sealed'");
  expect(row!.sealed.toString('latin1')).not.toContain('secret');
  const hub = await findHub(db.database, key, 'sealed');
  expect(hub!.credentials.apns).toEqual(apns);
  expect(hub!.credentials.browser!.publicKey).toHaveLength(87);
  await expect(findHub(db.database, sealingKey('another'), 'sealed')).rejects.toThrow('another link key');
  await db.database.query(
    "insert into hub (name, sealed, created_at, updated_at) select 'copy', sealed, created_at, updated_at from hub where name = 'sealed'",
  );
  await expect(findHub(db.database, key, 'copy')).rejects.toThrow('another link key');
});

test('new credentials raise the version of a hub, the same ones do not, and what is not named stays', async () => {
  await makeHub('rotated');
  const before = await getHub(db.database, key, 'rotated');
  await makeHub('rotated');
  expect(await getHub(db.database, key, 'rotated')).toEqual(before);
  const wns = { packageSid: 's', secret: 'x' };
  await ensureHub(db.database, key, { name: 'rotated', credentials: { wns }, subject: 'mailto:a@b.c' }, start);
  expect(await getHub(db.database, key, 'rotated')).toMatchObject({
    version: before.version + 1,
    credentials: { wns, browser: before.credentials.browser },
  });
});

test('a device is put, read, patched and deleted; each write raises its etag', async () => {
  await makeHub('crud');
  expect(await put('crud', 'd1', { userId: 'ada', tags: ['VIP'] })).toMatchObject({ etag: 1, gone: false });
  expect(await put('crud', 'd1', { userId: 'ada', tags: ['VIP'] })).toMatchObject({ etag: 2 });
  const at = { hub: 'crud', id: 'd1' };
  const patched = await patchDevice(db.database, at, [{ op: 'add', path: '/tags', value: 'x' }], start);
  expect(patched).toMatchObject({ etag: 3, installation: { tags: ['VIP', 'x'], userId: 'ada' } });
  expect(await findDevice(db.database, 'crud', 'd1', start)).toEqual(patched);
  expect(await deleteDevice(db.database, { ...at, kind: 'installation' })).toBe(true);
  expect(await deleteDevice(db.database, { ...at, kind: 'installation' })).toBe(false);
  await expect(patchDevice(db.database, at, [], start)).rejects.toMatchObject({ code: 'not_found' });
  await expect(put('nowhere', 'd1')).rejects.toMatchObject({ code: 'not_found' });
});

test('of two writers who saw the same etag one is refused', async () => {
  await makeHub('etags');
  await put('etags', 'r1', {}, start, 'registration');
  const installation = parseInstallation({ installationId: 'r1', platform: 'fcmv1', pushChannel: 'new' });
  const write = () => putDevice(db.database, { hub: 'etags', kind: 'registration', installation }, start, { etag: 1 });
  const outcomes = await Promise.allSettled([write(), write()]);
  expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  const r1 = { hub: 'etags', id: 'r1', kind: 'registration' } as const;
  await expect(deleteDevice(db.database, r1, { etag: 1 })).rejects.toMatchObject({ code: 'precondition_failed' });
  expect(await deleteDevice(db.database, r1, { etag: 2 })).toBe(true);
});

test('patches at the same time do not lose each other’s tags', async () => {
  await makeHub('races');
  await put('races', 'd');
  const add = (value: string) =>
    patchDevice(db.database, { hub: 'races', id: 'd' }, [{ op: 'add', path: '/tags', value }], start);
  await Promise.all(['a', 'b', 'c', 'd', 'e'].map(add));
  const device = await findDevice(db.database, 'races', 'd', start);
  expect([...device!.installation.tags].sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
});

/** The devices of a hub that may be meant. */
async function select(hub: string, tags?: string, now = start): Promise<string[]> {
  const expression = tags === undefined ? undefined : parseTagExpression(tags);
  const selection = { hub, platform: undefined, expression };
  const page = await readPushPage(db.database, selection, { after: '', limit: 10 }, now);
  return page
    .devices()
    .map(({ id }) => id)
    .sort();
}

test('pages cover every device of the hub once, in the order of their numbers, and go on behind a given one', async () => {
  await makeHub('pages');
  await makeHub('others');
  const ids = Array.from({ length: 25 }, (_, i) => `d${String(i).padStart(2, '0')}`);
  await Promise.all(ids.map((id) => put('pages', id)));
  await put('others', 'd00');
  const pages: PushPage[] = [];
  const read = (after: string, limit: number) =>
    readPushPage(db.database, { hub: 'pages', platform: undefined }, { after, limit }, start);
  while (!pages.at(-1)?.walked) pages.push(await read(pages.at(-1)?.last ?? '', 10));
  const found = pages.flatMap((page) => page.devices().map(({ id }) => id));
  expect(pages.map(({ length }) => length)).toEqual([10, 10, 5]);
  expect(found.toSorted()).toEqual(ids);
  const numbers = pages.flatMap((page) =>
    page.numbersAt(Array.from({ length: page.length }, (_, row) => row)).map(Number),
  );
  expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  const rest = await read(String(numbers[20]), 100);
  expect(rest.devices().map(({ id }) => id)).toEqual(found.slice(21));
});

test('tags select devices: own ones, a template’s, a tile’s, and the implicit ones', async () => {
  await makeHub('tags');
  const templates = { t: { body: '{"message":{}}', tags: ['of-template'] } };
  await put('tags', 'a', { tags: ['VIP'], userId: 'Ada', templates });
  await put('tags', 'b', { tags: ['other'] });
  await put('tags', 'r', { tags: ['vip'] }, start, 'registration');
  expect(await select('tags', 'vip')).toEqual(['a', 'r']);
  expect(await select('tags', 'of-template')).toEqual(['a']);
  expect(await select('tags', '$UserId:{ada}')).toEqual(['a']);
  expect(await select('tags', '$InstallationId:{b} || other')).toEqual(['b']);
  expect(await select('tags', '$InstallationId:{r}')).toEqual([]);
});

test('expired and dead devices are left out; an app that registers again is alive', async () => {
  await makeHub('gone');
  await put('gone', 'expired', { expirationTime: later(1000).toISOString() });
  await put('gone', 'dead');
  await put('gone', 'moved');
  await put('gone', 'reg', {}, start, 'registration');
  await put('gone', 'back', {}, later(5000));
  const dead = (id: string, handle = `token-${id}`) => ({ hub: 'gone', id, handle, since: later(2000) });
  await pruneDevices(db.database, [dead('dead'), dead('moved', 'old'), dead('reg'), dead('back')], later(6000));
  const ids = () => select('gone', undefined, later(6000));
  expect(await ids()).toEqual(['back', 'moved']);
  expect(await findDevice(db.database, 'gone', 'reg', start)).toBeUndefined();
  expect(await findDevice(db.database, 'gone', 'expired', later(6000))).toBeUndefined();
  await patchDevice(db.database, { hub: 'gone', id: 'dead' }, [{ op: 'add', path: '/tags', value: 'x' }], later(6500));
  expect(await findDevice(db.database, 'gone', 'dead', start)).toMatchObject({ gone: true });
  await put('gone', 'dead', {}, later(7000));
  expect(await ids()).toEqual(['back', 'dead', 'moved']);
  await forgetExpiredDevices(db.database, later(6000));
  expect(await findDevice(db.database, 'gone', 'expired', start)).toBeUndefined();
});

test('a selective expression among many devices reads the index of the tags', async () => {
  await makeHub('many');
  await db.database.query(
    `insert into device (hub, id, kind, platform, handle, handle_since, tags, definition, etag, created_at, updated_at)
     select 'many', 'd' || i, 'installation', 'apns', 'h' || i, $1, array['common', 'rare' || i],
       json_build_object('installationId', 'd' || i, 'platform', 'apns', 'pushChannel', 'h' || i, 'tags', array['common'],
         'templates', '{}'::json, 'pushVariables', '{}'::json, 'secondaryTiles', '{}'::json)::text, 1, $1, $1
     from generate_series(1, 60000) i`,
    [start],
  );
  await db.database.query('vacuum analyze device');
  await db.database.query(
    `update device set tags = tags || '{hundredth}' where hub = 'many' and etag = 1 and id like '%77'`,
  );
  await db.database.query('vacuum analyze device');
  const pageOf = async (text: string) => {
    const selection = { hub: 'many', platform: 'apns', expression: parseTagExpression(text) } as const;
    const lookup = await planLookup(db.database, selection, 500);
    const page = await readPushPage(db.database, selection, { after: '', limit: 500, lookup }, start);
    return { byTags: lookup.byTags, found: page.length };
  };
  expect(await pageOf('rare77')).toEqual({ byTags: true, found: 1 });
  expect(await pageOf('hundredth && common')).toMatchObject({ byTags: true });
  expect(await pageOf('common')).toMatchObject({ byTags: false });
  const explain = (order: string) =>
    db.database.query<Record<string, string>>(
      `explain select number from device where hub = 'many' and number > 0 and tags && array['rare77'] order by ${order} limit 500`,
    );
  for (const order of ['number', 'number + 0']) expect(JSON.stringify(await explain(order))).toContain('device_tags');
});
