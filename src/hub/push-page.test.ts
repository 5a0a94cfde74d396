// What a send reads of devices: the short form that the database keeps of them, and the whole definition where that is needed.
import { expect, test } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { addManyDevices } from '../../test/support/many-devices.ts';
import { sealingKey } from '../kit/sealing.ts';
import { AimList } from './aim-list.ts';
import { Aimer } from './aims.ts';
import { deleteDevice, patchDevice, putDevice } from './devices.ts';
import { ensureHub } from './hubs.ts';
import { parseInstallation } from './installation.ts';
import { findPushDevices, type Lookup, planLookup, readPushPage } from './push-page.ts';
import { parseTagExpression } from './tags.ts';

const db = useDatabase();
const now = new Date('2026-11-22T10:00:00Z');
const key = sealingKey('push-page');
const makeHub = (name: string) => ensureHub(db.database, key, { name, credentials: {}, subject: 'mailto:a@b.c' }, now);
const put = (hub: string, kind: 'installation' | 'registration', given: object) =>
  putDevice(db.database, { hub, kind, installation: parseInstallation(given) }, now);
const first = { after: '', limit: 100 };
const templates = (body: string, more: object = {}) => ({
  t: { body: JSON.stringify({ aps: { alert: body } }), ...more },
});

/** What each device would be pushed, by its id. */
async function pushesOf(hub: string, tags?: string): Promise<Record<string, string[]>> {
  const expression = tags === undefined ? undefined : parseTagExpression(tags);
  const page = await readPushPage(db.database, { hub, platform: 'apns', expression }, first, now);
  const aimer = new Aimer({ kind: 'template', properties: { sent: 'S' } }, expression);
  const [aims, others] = [new AimList(), new AimList()];
  aimer.takeRows(page, 0, page.length, aims);
  // As bytes and as objects they come to the same.
  for (const device of page.devices()) aimer.take(device, others);
  expect(aims.all()).toEqual(others.all());
  const byDevice = [...Map.groupBy(aims.all(), ({ deviceId }) => deviceId!)];
  return Object.fromEntries(byDevice.map(([id, own]) => [id, own.map(({ payload }) => payload)]));
}
const alert = (text: string) => JSON.stringify({ aps: { alert: text } });
const putWith = (hub: string, id: string, text: string) => {
  const device = { installationId: id, platform: 'apns', pushChannel: `${id}${id}` };
  return put(hub, 'installation', { ...device, templates: templates(text) });
};

test('templates, variables, tiles and tags of a template reach the push, however the device is kept', async () => {
  await makeHub('forms');
  const device = { platform: 'apns', pushVariables: { Name: 'Ada' }, tags: ['all'] };
  await put('forms', 'installation', {
    ...device,
    installationId: 'a',
    pushChannel: 'aa',
    templates: templates('{$(name) + $(sent)}'),
  });
  await put('forms', 'installation', {
    ...device,
    installationId: 'b',
    pushChannel: 'bb',
    templates: templates('{$(name) + $(sent)}'),
  });
  await put('forms', 'registration', { ...device, installationId: 'c', pushChannel: 'cc', templates: templates('C') });
  await put('forms', 'installation', {
    ...device,
    installationId: 'd',
    pushChannel: 'dd',
    templates: templates('D', { tags: ['own'] }),
  });
  await put('forms', 'installation', {
    ...device,
    installationId: 'e',
    pushChannel: 'ee',
    secondaryTiles: { tile: { pushChannel: 'tt', tags: ['tile'], templates: templates('E') } },
  });
  const rows = await db.database.query<{ id: string; short: boolean }>(
    "select id, push is not null as short from device where hub = 'forms' order by id",
  );
  expect(rows.map(({ short }) => short)).toEqual([true, true, true, false, false]);
  expect(await pushesOf('forms')).toEqual({
    a: [alert('AdaS')],
    b: [alert('AdaS')],
    c: [alert('C')],
    d: [alert('D')],
    e: [alert('E')],
  });
  expect(Object.keys(await pushesOf('forms', 'all'))).toEqual(['a', 'b', 'c', 'd']);
  expect(await pushesOf('forms', 'own')).toEqual({ d: [alert('D')] });
  expect(await pushesOf('forms', 'tile')).toEqual({ e: [alert('E')] });
  expect(Object.keys(await pushesOf('forms', '!$InstallationId:{a}'))).toEqual(['b', 'c', 'd', 'e']);
});

test('text that JSON has and PostgreSQL has not is kept and pushed', async () => {
  await makeHub('strange');
  const device = { platform: 'apns', pushChannel: 'aa', templates: templates('$(name)') };
  const names = ['\u0000', 'half \ud83e', '\\u0000'];
  for (const [i, name] of names.entries())
    await put('strange', 'installation', { ...device, installationId: `s${i}`, pushVariables: { name } });
  expect(Object.values(await pushesOf('strange')).flat()).toEqual(names.map(alert));
});

test('a template that was changed is pushed as it is now', async () => {
  await makeHub('changed');
  await putWith('changed', 'x', 'old');
  expect(await pushesOf('changed')).toEqual({ x: [alert('old')] });
  const change = [{ op: 'replace', path: '/templates/t/body', value: alert('new') }];
  await patchDevice(db.database, { hub: 'changed', id: 'x' }, change, now);
  expect(await pushesOf('changed')).toEqual({ x: [alert('new')] });
});

test('a device that changes, or goes, between the reading of a page and of its templates loses nothing and stops nobody', async () => {
  await makeHub('race');
  const of = (id: string, text: string) => putWith('race', id, text);
  for (const id of ['p', 'q', 'r']) await of(id, `first of ${id}`);
  let reads = 0;
  // The first statement reads the page; then two of its devices change before anybody knows their templates.
  const racing = {
    query: async <R>(...given: Parameters<typeof db.database.query>): Promise<R[]> => {
      reads += 1;
      if (reads === 2) {
        await of('q', 'second of q');
        await deleteDevice(db.database, { hub: 'race', id: 'r' });
      }
      return db.database.query<R>(...given);
    },
  };
  const page = await readPushPage(racing, { hub: 'race', platform: 'apns' }, first, now);
  expect(page.devices().map(({ id, places }) => [id, places[0]!.templates.t!.body])).toEqual([
    ['p', alert('first of p')],
    ['q', alert('second of q')],
  ]);
  expect([...(await findPushDevices(db.database, 'race', ['p', 'r'], now)).keys()]).toEqual(['p']);
});

test('a page loses nobody while other sends read more templates than are remembered', async () => {
  await makeHub('forgetful');
  const of = (id: string, text: string) => putWith('forgetful', id, text);
  for (const id of ['k', 'l']) await of(id, `remembered of ${id}`);
  let reads = 0;
  const racing = {
    query: async <R>(...given: Parameters<typeof db.database.query>): Promise<R[]> => {
      reads += 1;
      // So that a third statement is needed, during which the other sends come.
      if (reads === 2) await of('l', 'changed of l');
      if (reads === 3) for (const send of ['one', 'two']) await readManyTemplates(send);
      return db.database.query<R>(...given);
    },
  };
  const page = await readPushPage(racing, { hub: 'forgetful', platform: 'apns' }, first, now);
  expect(reads).toBe(3);
  expect(page.devices().map(({ id }) => id)).toEqual(['k', 'l']);
});

/** A page of devices each of which has templates of its own. */
async function readManyTemplates(send: string): Promise<void> {
  const keys = Array.from({ length: 5_001 }, (_, n) => `${send} ${n}`);
  const pushes = keys.map((each) => JSON.stringify([each, 'apns', 'oo', each, null])).join();
  const numbers = keys.map((_, n) => n).join();
  const answers = [
    [{ pushes, numbers, kinds: 'i'.repeat(keys.length) }],
    keys.map((each) => ({ key: each, definition: '{"templates":{}}' })),
  ];
  const other = { query: async <R>(): Promise<R[]> => answers.shift() as R[] };
  const page = await readPushPage(other, { hub: 'other', platform: 'apns' }, { after: '', limit: 6_000 }, now);
  expect(page.devices()).toHaveLength(keys.length);
}

test('pages by tags look at a window of numbers after the other, and find everybody once', async () => {
  await makeHub('windows');
  await addManyDevices(db.database, { hub: 'windows', platform: 'apns', count: 3_000, body: alert('W') });
  const selection = { hub: 'windows', platform: 'apns', expression: parseTagExpression('dept:7') } as const;
  const lookup = await planLookup(db.database, selection, 5);
  expect(lookup.byTags).toBe(true);
  expect(lookup.window).toBeLessThan(3_000);
  const walk = async (chosen: Lookup) => {
    const found: string[] = [];
    for (let after = '', walked = false; !walked; ) {
      const page = await readPushPage(db.database, selection, { after, limit: 5, lookup: chosen }, now);
      found.push(...page.devices().map(({ id }) => id));
      expect(page.length).toBeLessThanOrEqual(5);
      ({ last: after, walked } = page);
    }
    return found;
  };
  const found = await walk(lookup);
  expect(new Set(found).size).toBe(30);
  expect(found).toHaveLength(30);
  expect(await walk({ ...lookup, window: 7 })).toEqual(found);
  expect(await walk({ byTags: false, window: undefined, highest: 0 })).toEqual(found);
});
