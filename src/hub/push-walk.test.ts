// What an upgrade does to devices and sends that are there already: migrations/0030-push-walk.sql gives devices their
// numbers, and legs that are under way a cursor in them. Devices and sends are written by this room's own code, whose
// statements know nothing of numbers; cursors are ids, as they were before.
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Standins, startStandins } from '../../test/standins/start.ts';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
import { migrate } from '../kit/migrate.ts';
import { sealingKey } from '../kit/sealing.ts';
import { type DeviceKind, writeDeviceRow } from './devices.ts';
import { makeVapidKeys } from './drivers/vapid.ts';
import { ensureHub, type HubCredentials } from './hubs.ts';
import { parseInstallation } from './installation.ts';
import { HubLanes } from './lanes.ts';
import { claimLeg, type Leg, settleChunk } from './legs.ts';
import { planLookup } from './push-page.ts';
import { HubSender, type SenderSignal } from './sender.ts';
import { enqueueSend, findSend, type SendJob } from './sends.ts';
import { parseTagExpression } from './tags.ts';

/** A device of the app, and what it should get. `shows`: address and text for each template that a send fills. */
type Given = {
  readonly id: string;
  readonly kind: DeviceKind;
  readonly installation: Record<string, unknown>;
  readonly alive: boolean;
  readonly gone: boolean;
  /** Its push record holds all of a push: no tiles, no templates with tags, no text that PostgreSQL cannot hold. */
  readonly short: boolean;
  readonly native: boolean;
  readonly shows: readonly string[];
};

const migrations = new URL('../../migrations', import.meta.url).pathname;
const upgrade = '0030-push-walk.sql';
const db = useDatabase('template0');
const key = sealingKey('upgrade');
const start = new Date('2026-11-22T10:00:00Z');
const later = (ms: number) => new Date(start.getTime() + ms);
const count = { apns: 2_500, fcmv1: 300, wns: 60, browser: 12 };
const settled = 1_000;
// JSON holds a null character and half of a pair, PostgreSQL's texts do not.
const strange = ['\u0000', 'half \ud83e', '\\u0000', 'Zoë "🦊"\n'];
const nativeJob: SendJob = {
  message: { kind: 'native', platform: 'apns', body: '{"aps":{"alert":"native"}}', headers: {} },
};

const failures: SenderSignal[] = [];
let standins: Standins;
let lanes: HubLanes;
let devices: Given[] = [];
let sends: Readonly<Record<'running' | 'odd' | 'addresses' | 'scheduled' | 'tagged', string>>;

beforeAll(async () => {
  const older = await mkdtemp(join(tmpdir(), 'carillon-migrations-'));
  await cp(migrations, older, {
    recursive: true,
    filter: (path) => !path.endsWith('.sql') || basename(path) < upgrade,
  });
  await migrate(db.database, older);
  await rm(older, { recursive: true });
  standins = await startStandins();
  lanes = new HubLanes({ database: db.database, key, emit: () => {} });
  const { browser: web, ...native } = standins.hubCredentials();
  const vapid = { ...makeVapidKeys(), subject: 'mailto:push@example.com' };
  const credentials = { ...native, browser: { ...vapid, ...web } } as HubCredentials;
  for (const name of ['app', 'other'])
    await ensureHub(db.database, key, { name, credentials, subject: 'mailto:a@b.c' }, start);
  devices = [...range(count.apns, apple), ...range(count.fcmv1, google), ...range(count.wns, windows)];
  devices.push(...range(count.browser, browser), ...['adm', 'baidu', 'mpns', 'gcm'].map(unserved));
  await register();
  sends = await enqueueSends();
}, 60_000);
afterAll(async () => {
  await lanes.stop();
  await standins.stop();
});

function range<T>(length: number, make: (n: number) => T): T[] {
  return Array.from({ length }, (_, n) => make(n));
}

/** Ids in another order than that of registration. */
const idOf = (platform: string, n: number) => `${(n * 7919) % 10_007}-${platform}`;
const token = (n: number) => `cafe${String(n).padStart(60, '0')}`;
const template = (body: object | string, more: object = {}) => ({
  t: { body: typeof body === 'string' ? body : JSON.stringify(body), ...more },
});

function apple(n: number): Given {
  const kind = n % 3 === 0 ? 'registration' : 'installation';
  const bare = kind === 'registration' && n % 2 === 0;
  const alive = n % 10 !== 3;
  const gone = n % 50 === 49;
  const name = n % 100 < 4 ? strange[n % 4]! : `Person ${n}`;
  const ownTags = kind === 'installation' && n % 20 === 1;
  const templates = template({ aps: { alert: '$(name)' } }, ownTags ? { tags: ['own'] } : {});
  return {
    id: idOf('apns', n),
    kind,
    installation: {
      platform: 'apns',
      pushChannel: token(n),
      tags: [`dept:${n % 100}`, 'all'],
      templates: bare ? {} : templates,
      pushVariables: { name },
      ...(kind === 'installation' ? { userId: `user-${n}` } : {}),
      ...(alive ? {} : { expirationTime: start.toISOString() }),
    },
    alive: alive && !gone,
    gone,
    short: !ownTags && n % 100 > 2,
    native: kind === 'installation' || bare,
    shows: bare ? [] : [`${token(n)} ${name}`],
  };
}

const whole = { alive: true, gone: false, native: false } as const;

function google(n: number): Given {
  const installation = {
    platform: 'fcmv1',
    pushChannel: `google-${n}`,
    tags: [`dept:${n % 100}`],
    templates: template({ message: { notification: { body: '$(name)' } } }),
    pushVariables: { name: `Person ${n}` },
  };
  const shows = [`google-${n} Person ${n}`];
  return { ...whole, id: idOf('fcm', n), kind: 'installation', installation, short: true, shows };
}

function windows(n: number): Given {
  const headers = { 'X-WNS-Type': 'wns/toast' };
  const tiled = n % 3 === 0;
  const tile = {
    pushChannel: standins.wns.channel(`tile${n}`),
    tags: ['tiles'],
    templates: template('<tile/>', { headers: { 'X-WNS-Type': 'wns/tile' } }),
  };
  const installation = {
    platform: 'wns',
    pushChannel: standins.wns.channel(`windows${n}`),
    templates: template('<toast>all</toast>', { headers }),
    ...(tiled ? { secondaryTiles: { tile } } : {}),
  };
  const shows = [`windows${n} <toast>all</toast>`, ...(tiled ? [`tile${n} <tile/>`] : [])];
  return { ...whole, id: idOf('wns', n), kind: 'installation', installation, short: !tiled, shows };
}

function browser(n: number): Given {
  const { endpoint, keys } = standins.webpush.subscribe(`browser${n}`);
  const pushChannel = { endpoint, ...keys };
  const installation = { platform: 'browser', pushChannel, templates: template({ text: 'all' }) };
  const shows = [`browser${n} {"text":"all"}`];
  return { ...whole, id: idOf('browser', n), kind: 'installation', installation, short: true, shows };
}

/** On a platform that nobody pushes to. */
function unserved(platform: string): Given {
  const installation = { platform, pushChannel: `of-${platform}` };
  return { ...whole, id: platform, kind: 'registration', installation, short: true, shows: [] };
}

async function register(): Promise<void> {
  await db.database.transaction(async (tx) => {
    const put = ({ id, kind, installation }: Pick<Given, 'id' | 'kind' | 'installation'>, hub: string) =>
      writeDeviceRow(
        tx,
        { hub, kind, installation: parseInstallation({ ...installation, installationId: id }) },
        start,
        true,
      );
    for (const device of devices) await put(device, 'app');
    // The same ids again: a hub counts its own devices only.
    for (const device of devices.filter(({ installation }) => installation.platform === 'fcmv1'))
      await put(device, 'other');
    const gone = devices.filter((each) => each.gone).map(({ id }) => id);
    await tx.query("update device set gone_at = $1 where hub = 'app' and id = any ($2)", [start, gone]);
  });
}

async function enqueueSends(): Promise<typeof sends> {
  const enqueue = (hub: string, job: SendJob, dueAt?: Date) => enqueueSend(db.database, hub, job, start, { dueAt });
  const running = await enqueue('app', nativeJob);
  const leg = (await claimLeg(db.database, start)) as Leg;
  const chunk = {
    chunk: 0,
    reached: appleIds()[settled - 1]!,
    walked: false,
    outcomes: { apns: { Success: settled } },
  };
  const rows = { codes: Buffer.alloc(settled, 1), devices: Buffer.alloc(settled * 4), failures: [] };
  expect(await settleChunk(db.database, leg, { ...chunk, ...rows }, start)).toBe(true);
  const properties = { other: '\u0000' };
  const odd = await enqueue('other', { message: { kind: 'template', properties } });
  await underWay(odd, 'fcmv1', googleIds()[199]!);
  const addresses = await enqueue('app', { ...nativeJob, to: [token(1), token(2), token(9_999)] });
  await underWay(addresses, 'apns', '2');
  const everybody: SendJob = { message: { kind: 'template', properties: {} } };
  const scheduled = await enqueue('app', everybody, later(600_000));
  const tagged = await enqueue('app', { ...everybody, tags: 'own || dept:7' }, later(900_000));
  return { running, odd, addresses, scheduled, tagged };
}

/** A node died with it. */
async function underWay(send: string, platform: string, reached: string): Promise<void> {
  await db.database.query(
    'update hub_send_leg set platform = $2, reached = $3, attempt = 1, chunks = 1, leased_until = due_at where send = $1',
    [send, platform, reached],
  );
}

const idsOn = (platform: string) =>
  devices
    .filter(({ installation }) => installation.platform === platform)
    .map(({ id }) => id)
    .sort();
const appleIds = () => idsOn('apns');
const googleIds = () => idsOn('fcmv1');
const shownBy = (some: readonly Given[]) => some.flatMap(({ shows }) => shows).sort();

/** Runs what is due at `at` until these sends have ended; gives back what was pushed meanwhile, each as "address text". */
async function pushedBy(ids: readonly [hub: string, send: string][], at: Date): Promise<string[]> {
  const emit = (signal: SenderSignal) => void failures.push(signal);
  const began = performance.now();
  const now = () => new Date(at.getTime() + performance.now() - began);
  const before = Map.groupBy(pushes(), (each) => each);
  await using _sender = HubSender.start({ database: db.database, lanes, now, emit });
  for (const [hub, id] of ids)
    await eventually(async () => expect((await findSend(db.database, hub, id))!.endedAt).toBeDefined(), 20_000);
  expect(failures).toEqual([]);
  return pushes()
    .filter((each) => before.get(each)?.pop() === undefined)
    .sort();
}

function pushes(): string[] {
  const { apns, fcm, wns, webpush } = standins;
  type Message = { readonly token: string; readonly notification: { readonly body: string } };
  return [
    ...apns.pushes.items.map(({ token: address, payload }) => {
      return `${address} ${(payload as { aps: { alert: string } }).aps.alert}`;
    }),
    ...(fcm.messages.items as unknown as Message[]).map((each) => `${each.token} ${each.notification.body}`),
    ...wns.pushes.items.map(({ channel, body }) => `${channel} ${body}`),
    ...webpush.pushes.items.map(({ name, text }) => `${name} ${text}`),
  ];
}

test('devices get numbers in the order of their ids, and all but a few a short record of what a push needs', async () => {
  expect((await migrate(db.database, migrations))[0]).toBe(upgrade);
  const rows = await db.database.query<{ id: string; short: boolean; place: number }>(
    `select id, push is not null as short, row_number() over (order by number) as place from device order by hub, id`,
  );
  expect(rows.map(({ place }) => Number(place))).toEqual(range(rows.length, (n) => n + 1));
  const shorts = new Map(rows.map(({ id, short }) => [id, short]));
  expect(devices.filter(({ id, short }) => shorts.get(id) !== short)).toEqual([]);
});

test('legs that were under way go on behind their cursors, each in its own hub, and repeat nothing', async () => {
  const left = devices.filter(({ id, native, alive }) => native && alive && id > appleIds()[settled - 1]!);
  const others = devices.filter(({ id }) => googleIds().slice(200).includes(id));
  expect(left.length).toBeGreaterThan(500);
  expect(others).toHaveLength(100);
  const ids = [
    ['app', sends.running],
    ['other', sends.odd],
    ['app', sends.addresses],
  ] as const;
  const wanted = [...left.map(({ installation }) => `${installation.pushChannel} native`), `${token(9_999)} native`];
  expect(
    await pushedBy(
      ids.map(([hub, id]) => [hub, id]),
      later(120_000),
    ),
  ).toEqual([...wanted, ...shownBy(others)].sort());
});

test('a broadcast that was scheduled reaches everybody once, with what each should show', async () => {
  expect(await pushedBy([['app', sends.scheduled]], later(700_000))).toEqual(
    shownBy(devices.filter(({ alive }) => alive)),
  );
});

test('tags of devices and of templates find who has them', async () => {
  const meant = devices.filter(({ alive, installation: { tags = [], templates = {} } }) => {
    const own = Object.values(templates as object).flatMap((each) => each.tags ?? []);
    return alive && [...(tags as string[]), ...own].some((tag) => tag === 'own' || tag === 'dept:7');
  });
  expect(await pushedBy([['app', sends.tagged]], later(1_000_000))).toEqual(shownBy(meant));
  const selection = { hub: 'app', platform: 'apns', expression: parseTagExpression('dept:7') } as const;
  const lookup = await planLookup(db.database, selection, 5);
  // PostgreSQL knows how many there are: it is not asked to look at all of them.
  expect(lookup).toMatchObject({ byTags: true, window: expect.any(Number) });
});
