// The unmodified JavaScript client of notification hubs, on every platform: what it registers comes back, what it sends
// arrives at the push service as that wants it, and what the service says is what telemetry tells.
import {
  createAdmRegistrationDescription,
  createAdmTemplateRegistrationDescription,
  createAppleInstallation,
  createAppleNotification,
  createAppleRegistrationDescription,
  createAppleTemplateRegistrationDescription,
  createBaiduRegistrationDescription,
  createBaiduTemplateRegistrationDescription,
  createBrowserInstallation,
  createBrowserNotification,
  createBrowserRegistrationDescription,
  createBrowserTemplateRegistrationDescription,
  createFcmLegacyRegistrationDescription,
  createFcmLegacyTemplateRegistrationDescription,
  createFcmV1Installation,
  createFcmV1Notification,
  createFcmV1RegistrationDescription,
  createFcmV1TemplateRegistrationDescription,
  createTemplateNotification,
  createWindowsBadgeNotification,
  createWindowsInstallation,
  createWindowsRawNotification,
  createWindowsRegistrationDescription,
  createWindowsTemplateRegistrationDescription,
  createWindowsTileNotification,
  createWindowsToastNotification,
  createXiaomiRegistrationDescription,
  createXiaomiTemplateRegistrationDescription,
  NotificationHubsClient,
  type RegistrationChannel,
  type RegistrationDescription,
} from '@azure/notification-hubs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Standins, startStandins } from '../standins/start.ts';
import { eventually } from '../support/eventually.ts';
import { full, listen, useHubDoor } from '../support/hub-door.ts';

const { http, origin, ca } = useHubDoor();
let standins: Standins;
let client: NotificationHubsClient;

beforeAll(async () => {
  standins = await startStandins();
  client = clientOf(full);
  for (const [platform, json] of Object.entries(standins.hubCredentials()))
    expect((await http.call(`/v1/hubs/main/credentials/${platform}`, { method: 'PUT', json })).status).toBe(200);
});
afterAll(() => standins.stop());

function clientOf({ name, secret }: typeof full): NotificationHubsClient {
  const { port } = new URL(origin());
  const connection = `Endpoint=sb://localhost:${port}/;SharedAccessKeyName=${name};SharedAccessKey=${secret}`;
  return new NotificationHubsClient(connection, 'main', { tlsOptions: { ca }, retryOptions: { maxRetries: 0 } });
}

const apple = (n: number) => n.toString(16).padStart(2, 'c').repeat(32);
const windows = (name: string) => standins.wns.channel(name);
const lastPush = (n: number) =>
  standins.apns.pushes.items.findLast(({ token }) => token?.toLowerCase() === apple(n).toLowerCase());
const alert = '{"aps":{"alert":"hi"}}';

async function outcome(notificationId: string | undefined) {
  return eventually(async () => {
    const details = await client.getNotificationOutcomeDetails(notificationId!);
    expect(details.state).not.toMatch(/Enqueued|Processing/);
    return details;
  });
}

/** The client writes to what it is given. */
const kinds: (() => [RegistrationDescription, RegistrationChannel | undefined])[] = [];
const kind = (registration: RegistrationDescription, channel?: RegistrationChannel) =>
  kinds.push(() => [structuredClone(registration), channel]);
const browser = { endpoint: "https://push.example/a'b%2F?c=1&d", p256dh: 'BKEY', auth: 'auth' };
const uri = 'https://db5p.notify.windows.com/?token=AwYAAAB%2fQAh%3d%3d';
kind(createAppleRegistrationDescription({ deviceToken: apple(90) }), { kind: 'apple', deviceToken: apple(90) });
kind(createFcmV1RegistrationDescription({ fcmV1RegistrationId: 'a:b-_C' }), {
  kind: 'fcmv1',
  fcmV1RegistrationId: 'a:b-_C',
});
kind(createFcmLegacyRegistrationDescription({ gcmRegistrationId: 'g1' }), { kind: 'gcm', gcmRegistrationId: 'g1' });
kind(createWindowsRegistrationDescription({ channelUri: uri }), { kind: 'windows', channelUri: uri });
kind(createBrowserRegistrationDescription(browser), { kind: 'browser', ...browser });
kind(createAdmRegistrationDescription({ admRegistrationId: 'adm1' }), { kind: 'adm', admRegistrationId: 'adm1' });
kind(createBaiduRegistrationDescription({ baiduUserId: 'u', baiduChannelId: 'c-1' }), {
  kind: 'baidu',
  baiduUserId: 'u',
  baiduChannelId: 'c-1',
});
kind(createXiaomiRegistrationDescription({ xiaomiRegistrationId: 'x1' }));
const json = { bodyTemplate: '{"a":"$(m)"}', templateName: 'template' };
kind(
  createAppleTemplateRegistrationDescription({
    deviceToken: apple(91),
    ...json,
    expiry: new Date('2030-01-02T03:04:05Z'),
    apnsHeaders: { 'apns-push-type': 'alert', 'apns-priority': '5', 'apns-collapse-id': '$(topic)' },
  }),
);
kind(createFcmV1TemplateRegistrationDescription({ fcmV1RegistrationId: 'f2', ...json }));
kind(createFcmLegacyTemplateRegistrationDescription({ gcmRegistrationId: 'g2', ...json }));
kind(createBrowserTemplateRegistrationDescription({ ...browser, ...json }));
kind(createAdmTemplateRegistrationDescription({ admRegistrationId: 'adm2', ...json }));
kind(createBaiduTemplateRegistrationDescription({ baiduUserId: 'u', baiduChannelId: 'c2', ...json }));
kind(createXiaomiTemplateRegistrationDescription({ xiaomiRegistrationId: 'x2', ...json }));
kind(
  createWindowsTemplateRegistrationDescription({
    channelUri: uri,
    bodyTemplate: 'raw text',
    templateName: 'n',
    wnsHeaders: { 'X-WNS-Type': 'wns/raw', 'X-WNS-TTL': '60' },
  }),
);

test('each kind of registration comes back as it was, and an app finds it by its address with the Listen right', async () => {
  for await (const { registrationId } of client.listRegistrations()) await client.deleteRegistration(registrationId!);
  for (const [i, make] of kinds.entries()) {
    const [given, channel] = make();
    const tags = [`kind-${i}`, `$UserId:{user-${i}}`];
    const made = await client.createRegistration({ ...given, tags, pushVariables: { name: 'Ada & "<co>"' } });
    // The client itself does not read these two.
    const {
      expiry: _,
      priority: __,
      ...shown
    } = make()[0] as RegistrationDescription & { expiry?: Date; priority?: string };
    const upper = 'deviceToken' in shown ? { deviceToken: shown.deviceToken.toUpperCase() } : {};
    const wanted = { ...shown, ...upper, tags, pushVariables: { name: 'Ada & "<co>"' }, etag: '1' };
    expect(made).toMatchObject(wanted);
    const { registrationId } = made;
    expect(await client.getRegistration(registrationId!)).toMatchObject(wanted);
    const byTag: (string | undefined)[] = [];
    for await (const each of client.listRegistrationsByTag(`$UserId:{user-${i}}`)) byTag.push(each.registrationId);
    expect(byTag).toEqual([registrationId]);
    if (channel === undefined) continue;
    const found: (string | undefined)[] = [];
    for await (const each of clientOf(listen).listRegistrationsByChannel(channel)) found.push(each.registrationId);
    expect([channel.kind, found]).toEqual([channel.kind, [registrationId]]);
  }
  const pages: number[] = [];
  for await (const page of client.listRegistrations({ top: 7 }).byPage()) pages.push(page.length);
  expect(pages).toEqual([7, 7, 2]);
});

test('a registration for templates gets its push with its own headers and end', async () => {
  const notification = createTemplateNotification({ body: { m: 'hello', topic: 'news' } });
  const { notificationId } = await client.sendNotification(notification, { tagExpression: 'kind-8' });
  expect((await outcome(notificationId)).apnsOutcomeCounts).toEqual([{ state: 'Success', count: 1 }]);
  expect(lastPush(91)).toMatchObject({
    payload: { a: 'hello' },
    headers: { 'apns-priority': '5', 'apns-collapse-id': 'news', 'apns-expiration': '1893553445' },
  });
});

test('Apple: types, priorities, ends, Live Activities and interruption levels reach it as they were sent', async () => {
  await client.createOrUpdateInstallation(
    createAppleInstallation({ installationId: 'apple-1', pushChannel: apple(1), tags: ['apple'] }),
  );
  const push = async (body: object, headers: Record<string, string>) => {
    const notification = createAppleNotification({ body: JSON.stringify(body), headers });
    const { notificationId } = await client.sendNotification(notification, { tagExpression: 'apple' });
    expect((await outcome(notificationId)).apnsOutcomeCounts).toEqual([{ state: 'Success', count: 1 }]);
    return lastPush(1)!;
  };
  const level = { aps: { alert: { title: 'Now' }, 'interruption-level': 'time-sensitive', 'relevance-score': 1 } };
  const urgent = await push(level, {
    'X-Apns-Priority': '5',
    'ServiceBusNotification-Apns-Expiry': '01/02/2030 03:04:05',
  });
  expect(urgent.payload).toEqual(level);
  expect(urgent.headers).toMatchObject({
    'apns-priority': '5',
    'apns-expiration': String(Date.UTC(2030, 0, 2, 3, 4, 5) / 1000),
    'apns-push-type': 'alert',
    'apns-topic': 'com.example.app',
  });
  const activity = { aps: { timestamp: 1, event: 'update', 'content-state': { score: 3 } } };
  const live = await push(activity, {
    'apns-push-type': 'liveactivity',
    'apns-priority': '10',
    'apns-collapse-id': 'match-1',
  });
  expect(live.payload).toEqual(activity);
  expect(live.headers).toMatchObject({
    'apns-push-type': 'liveactivity',
    'apns-topic': 'com.example.app.push-type.liveactivity',
    'apns-collapse-id': 'match-1',
  });
  const background = await push({ aps: { 'content-available': 1 } }, { 'apns-push-type': 'background' });
  expect(background.headers).toMatchObject({ 'apns-push-type': 'background', 'apns-priority': '5' });
});

test('Android: what is for Android, Apple and the web stays in the message', async () => {
  await client.createOrUpdateInstallation(
    createFcmV1Installation({ installationId: 'fcm-1', pushChannel: 'android-one', tags: ['android'] }),
  );
  const message = {
    data: { a: 'b' },
    android: { priority: 'HIGH', ttl: '60s', notification: { channel_id: 'news' } },
    apns: { headers: { 'apns-priority': '5' }, payload: { aps: {} } },
    webpush: { headers: { Urgency: 'high' } },
  };
  const notification = createFcmV1Notification({ body: JSON.stringify({ message }) });
  const { notificationId } = await client.sendNotification(notification, { tagExpression: 'android' });
  expect((await outcome(notificationId)).fcmV1OutcomeCounts).toEqual([{ state: 'Success', count: 1 }]);
  expect(standins.fcm.messages.items.at(-1)).toEqual({ token: 'android-one', ...message });
});

test('Windows: toasts, tiles, badges and raw texts, with their headers', async () => {
  await client.createOrUpdateInstallation(
    createWindowsInstallation({ installationId: 'wns-1', pushChannel: windows('one'), tags: ['windows'] }),
  );
  const xml = (root: string) => `<?xml version="1.0" encoding="utf-16"?><${root}>ü</${root}>`;
  const notifications = [
    createWindowsToastNotification({
      body: xml('toast'),
      headers: { 'X-WNS-Tag': 'news', 'X-WNS-Cache-Policy': 'cache' },
    }),
    createWindowsTileNotification({ body: xml('tile') }),
    createWindowsBadgeNotification({ body: xml('badge') }),
    createWindowsRawNotification({ body: 'any text' }),
  ];
  for (const notification of notifications) {
    const { notificationId } = await client.sendNotification(notification, { tagExpression: 'windows' });
    expect((await outcome(notificationId)).wnsOutcomeCounts).toEqual([{ state: 'Success', count: 1 }]);
  }
  const taken = standins.wns.pushes.items.slice(-4);
  expect(taken.map(({ type, body }) => [type, body])).toEqual([
    ['wns/toast', '<toast>ü</toast>'],
    ['wns/tile', '<tile>ü</tile>'],
    ['wns/badge', '<badge>ü</badge>'],
    ['wns/raw', 'any text'],
  ]);
  expect(taken[0]!.headers).toMatchObject({ 'x-wns-tag': 'news', 'x-wns-cache-policy': 'cache' });
});

test('browsers: by tag and by their subscription, with time to live, urgency and topic', async () => {
  const { endpoint, keys } = standins.webpush.subscribe('b-1');
  await client.createOrUpdateInstallation(
    createBrowserInstallation({ installationId: 'web-1', pushChannel: { endpoint, ...keys }, tags: ['web'] }),
  );
  const headers = { TTL: '60', Urgency: 'high', Topic: 'news' };
  const notification = createBrowserNotification({ body: '{"title":"Grüße"}', headers });
  const { notificationId } = await client.sendNotification(notification, { tagExpression: 'web' });
  expect((await outcome(notificationId)).browserOutcomeCounts).toEqual([{ state: 'Success', count: 1 }]);
  expect(standins.webpush.pushes.items.at(-1)).toMatchObject({
    text: '{"title":"Grüße"}',
    ttl: 60,
    urgency: 'high',
    topic: 'news',
  });
  const direct = await client.sendNotification(createBrowserNotification({ body: '{"title":"direct"}' }), {
    deviceHandle: { endpoint, ...keys },
  });
  await outcome(direct.notificationId);
  expect(standins.webpush.pushes.items.at(-1)).toMatchObject({ text: '{"title":"direct"}' });
});

test('one template send speaks to each platform in its own form', async () => {
  const { endpoint, keys } = standins.webpush.subscribe('b-2');
  const tags = ['all'];
  const templates = (body: string, headers = {}) => ({ t: { body, headers, tags: [] } });
  await Promise.all([
    client.createOrUpdateInstallation(
      createAppleInstallation({
        installationId: 'all-1',
        pushChannel: apple(2),
        tags,
        templates: templates('{"aps":{"alert":"$(text)","badge":"#(count)"}}', { 'apns-collapse-id': '$(topic)' }),
      }),
    ),
    client.createOrUpdateInstallation(
      createFcmV1Installation({
        installationId: 'all-2',
        pushChannel: 'android-two',
        tags,
        templates: templates('{"message":{"data":{"t":".(text,6)","u":"%(text)"}}}'),
      }),
    ),
    client.createOrUpdateInstallation(
      createWindowsInstallation({
        installationId: 'all-3',
        pushChannel: windows('two'),
        tags,
        templates: templates('<toast><text id="$(topic)">{"It says " + $(text)}</text></toast>'),
      }),
    ),
    client.createOrUpdateInstallation(
      createBrowserInstallation({
        installationId: 'all-4',
        pushChannel: { endpoint, ...keys },
        tags,
        templates: templates('{"title":"$(none:{nothing})"}'),
      }),
    ),
  ]);
  const notification = createTemplateNotification({ body: { text: 'a "<b>" & c', count: '3', topic: 'x' } });
  const { notificationId } = await client.sendNotification(notification, { tagExpression: 'all' });
  const details = await outcome(notificationId);
  const one = [{ state: 'Success', count: 1 }];
  expect([
    details.apnsOutcomeCounts,
    details.fcmV1OutcomeCounts,
    details.wnsOutcomeCounts,
    details.browserOutcomeCounts,
  ]).toEqual([one, one, one, one]);
  expect(details.targetPlatforms?.split(',').sort()).toEqual([
    'appletemplate',
    'browsertemplate',
    'fcmv1template',
    'windowstemplate',
  ]);
  expect(details.location).toMatch(/^sb:\/\/localhost:\d+\/main\/messages\/nh_/);
  expect(lastPush(2)).toMatchObject({
    payload: { aps: { alert: 'a "<b>" & c', badge: 3 } },
    headers: { 'apns-collapse-id': 'x' },
  });
  expect(standins.fcm.messages.items.at(-1)).toMatchObject({ data: { t: 'a "...', u: 'a%20%22%3Cb%3E%22%20%26%20c' } });
  expect(standins.wns.pushes.items.at(-1)).toMatchObject({
    type: 'wns/toast',
    body: '<toast><text id="x">It says a &quot;&lt;b&gt;&quot; &amp; c</text></toast>',
  });
  expect(standins.webpush.pushes.items.at(-1)).toMatchObject({ text: '{"title":"nothing"}' });
});

test('what a push service would refuse on every device is refused to the sender', async () => {
  const appleWith = (headers: Record<string, string>) => createAppleNotification({ body: alert, headers });
  for (const [notification, words] of [
    [appleWith({ 'apns-priority': '7' }), 'apns-priority'],
    [appleWith({ 'apns-push-type': 'background', 'apns-priority': '10' }), 'apns-priority'],
    [appleWith({ 'apns-push-type': 'nonsense' }), 'push type "nonsense"'],
    [appleWith({ 'apns-expiration': 'soon' }), 'apns-expiration'],
    [appleWith({ 'apns-collapse-id': 'ü' }), 'printable ASCII'],
    [createBrowserNotification({ body: '{}', headers: { Urgency: 'now' } }), 'Urgency is one of'],
    [createBrowserNotification({ body: '{}', headers: { TTL: 'long' } }), 'TTL'],
    [createWindowsRawNotification({ body: 'x', headers: { 'X-WNS-Type': 'wns/other' as 'wns/raw' } }), 'X-WNS-Type'],
  ] as const) {
    const answer = expect(client.sendNotification(notification, { tagExpression: 'apple' })).rejects;
    await answer.toMatchObject({ statusCode: 400, message: expect.stringContaining(words) });
  }
});

test('telemetry says in Azure’s words what each push service said', async () => {
  const sorted = (counts: readonly { state: string; count: number }[] | undefined) =>
    Object.fromEntries((counts ?? []).map(({ state, count }) => [state, count]));
  const to = (deviceHandle: string[]) => ({ deviceHandle });
  const apns = await client.sendNotification(
    createAppleNotification({ body: alert, headers: {} }),
    to([
      apple(7),
      `dead${apple(1).slice(4)}`,
      `e0e0${apple(1).slice(4)}`,
      `badd${apple(1).slice(4)}`,
      `0bad${apple(1).slice(4)}`,
    ]),
  );
  const fcm = await client.sendNotification(
    createFcmV1Notification({ body: '{"message":{"data":{"a":"b"}}}' }),
    to(['good-1', 'dead-1', 'bad-1', 'other-1', 'apns-1']),
  );
  const wns = await client.sendNotification(
    createWindowsToastNotification({ body: '<toast/>' }),
    to(['good', 'dead-1', 'gone-1', 'other-1', 'drop-1'].map(windows)),
  );
  expect(sorted((await outcome(apns.notificationId)).apnsOutcomeCounts)).toEqual({
    Success: 1,
    ExpiredChannel: 2,
    BadChannel: 1,
    WrongToken: 1,
  });
  expect(sorted((await outcome(fcm.notificationId)).fcmV1OutcomeCounts)).toEqual({
    Success: 1,
    ExpiredChannel: 1,
    BadChannel: 1,
    WrongToken: 1,
    InvalidCredentials: 1,
  });
  expect(sorted((await outcome(wns.notificationId)).wnsOutcomeCounts)).toEqual({
    Success: 1,
    ExpiredChannel: 1,
    BadChannel: 1,
    WrongToken: 1,
    Dropped: 1,
  });
  const long = createAppleNotification({ body: JSON.stringify({ aps: { alert: 'x'.repeat(5_000) } }), headers: {} });
  const large = await client.sendNotification(long, { deviceHandle: apple(8) });
  expect((await outcome(large.notificationId)).apnsOutcomeCounts).toEqual([
    { state: 'InvalidNotificationSize', count: 1 },
  ]);
});

test('test sends tell of each device at once, also to everybody, and to nobody', async () => {
  const notification = createAppleNotification({ body: alert, headers: {} });
  const tested = await client.sendNotification(notification, { tagExpression: 'apple', enableTestSend: true });
  expect(tested).toMatchObject({
    successCount: 1,
    failureCount: 0,
    results: [{ applicationPlatform: 'apple', registrationId: 'apple-1', outcome: 'Success', pnsHandle: apple(1) }],
  });
  const everybody = await client.sendBroadcastNotification(notification, { enableTestSend: true });
  expect(everybody.successCount).toBeGreaterThanOrEqual(2);
  const nobody = await client.sendNotification(notification, { tagExpression: 'none', enableTestSend: true });
  expect(nobody).toMatchObject({ successCount: 0, failureCount: 0, results: [] });
});

test('what is scheduled for everybody can be taken back once', async () => {
  const { notificationId } = await client.scheduleBroadcastNotification(
    new Date(Date.now() + 600_000),
    createAppleNotification({ body: alert, headers: {} }),
  );
  expect((await client.getNotificationOutcomeDetails(notificationId!)).state).toBe('Scheduled');
  await client.cancelScheduledNotification(notificationId!);
  await expect(client.cancelScheduledNotification(notificationId!)).rejects.toThrow(
    /no scheduled notification of this id/,
  );
  expect((await client.getNotificationOutcomeDetails(notificationId!)).state).toBe('Canceled');
});

test('a hub is found in whatever case it is named', async () => {
  const { port } = new URL(origin());
  const connection = `Endpoint=sb://localhost:${port}/;SharedAccessKeyName=${full.name};SharedAccessKey=${full.secret}`;
  const other = new NotificationHubsClient(connection, 'MAIN', { tlsOptions: { ca } });
  expect(await other.getInstallation('apple-1')).toMatchObject({ installationId: 'apple-1', tags: ['apple'] });
});
