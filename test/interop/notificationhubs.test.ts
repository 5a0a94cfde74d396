// The unmodified client of Azure Notification Hubs against a whole server, with push services that speak the real
// protocols behind it.
import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createAppleInstallation,
  createAppleNotification,
  createAppleRegistrationDescription,
  createAppleTemplateRegistrationDescription,
  createBrowserInstallation,
  createFcmV1Installation,
  createFcmV1Notification,
  createTemplateNotification,
  type NotificationHubJob,
  NotificationHubsClient,
} from '@azure/notification-hubs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Standins, startStandins } from '../standins/start.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { ADMIN_KEY, ServerProcess } from '../support/server-process.ts';

const sasKey = 'a-shared-access-key-of-this-test';
const configFile = join(tmpdir(), `carillon-hub-${process.pid}.config.ts`);
let standins: Standins;
let server: ServerProcess;
let client: NotificationHubsClient;
let tlsPort: number;
let ca: string;

beforeAll(async () => {
  standins = await startStandins();
  await writeFile(configFile, configText());
  tlsPort = await freePort();
  const env = { CARILLON_TLS_PORT: String(tlsPort), CARILLON_SAS_KEY: sasKey };
  server = await ServerProcess.start({ config: configFile, env });
  ca = await readFile(join(server.dataDir, 'servicebus', 'ca.pem'), 'utf8');
  client = clientOf('DefaultFullSharedAccessSignature', sasKey);
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await standins.stop();
  await rm(configFile, { force: true });
});

function clientOf(name: string, key: string, hub = 'main'): NotificationHubsClient {
  const connection = `Endpoint=sb://127.0.0.1:${tlsPort}/;SharedAccessKeyName=${name};SharedAccessKey=${key}`;
  return new NotificationHubsClient(connection, hub, { tlsOptions: { ca }, retryOptions: { maxRetries: 0 } });
}

function configText(): string {
  const trust = standins.certificate.ca;
  const at = ({ port }: { port: number }) => ({ host: '127.0.0.1', port, ca: trust });
  const { apns, fcm } = standins;
  const main = {
    apns: { ...apns.credentials, environment: 'sandbox', endpoint: at(apns.service) },
    fcmv1: { ...fcm.account, endpoint: at(fcm.service) },
  };
  return `export default {
    topics: { hr: {} },
    notifications: [{ name: 'hello', topic: 'hr', category: 'hr', channels: ['inbox', 'mobile'],
      audience: (event) => [event.data.who], content: (event) => ({ title: event.data.title }) }],
    hubs: { main: ${JSON.stringify(main)} },
  };`;
}

const apple = (n: number) => n.toString(16).padStart(2, 'a').repeat(32);
const titles = (token: string) =>
  standins.apns.pushes.items
    .filter((push) => push.token?.toLowerCase() === token.toLowerCase())
    .map(({ payload }) => (payload as { aps: { alert: unknown } }).aps.alert);

async function readText(path: string): Promise<string> {
  return (await fetch(server.url + path, { headers: { authorization: `Bearer ${ADMIN_KEY}` } })).text();
}

async function completed(id: string) {
  return eventually(async () => {
    const details = await client.getNotificationOutcomeDetails(id);
    expect(details.state).not.toMatch(/Enqueued|Processing/);
    return details;
  }, 15_000);
}

test('installations are put, read, patched and deleted', async () => {
  const installation = createAppleInstallation({
    installationId: 'crud-1',
    pushChannel: apple(1),
    tags: ['vip'],
    userId: 'Zoe',
  });
  await client.createOrUpdateInstallation(installation);
  expect(await client.getInstallation('crud-1')).toMatchObject({ ...installation, pushChannelExpired: false });
  await client.updateInstallation('crud-1', [{ op: 'add', path: '/tags', value: 'likes_tea' }]);
  expect((await client.getInstallation('crud-1')).tags).toEqual(['vip', 'likes_tea']);
  await client.updateInstallation('crud-1', [{ op: 'remove', path: '/tags/vip' }]);
  expect((await client.getInstallation('crud-1')).tags).toEqual(['likes_tea']);
  await client.deleteInstallation('crud-1');
  await client.deleteInstallation('crud-1');
  await expect(client.getInstallation('crud-1')).rejects.toMatchObject({ statusCode: 404 });
  await expect(client.updateInstallation('crud-1', [])).rejects.toMatchObject({ statusCode: 404 });
});

test('registrations are created, listed, changed under their ETag and deleted', async () => {
  const id = await client.createRegistrationId();
  expect(id).toMatch(/^\d{19}-\d{19}-\d+$/);
  const made = await client.createOrUpdateRegistration({
    ...createAppleRegistrationDescription({ deviceToken: apple(2), tags: ['reg', 'x'] }),
    registrationId: id,
  });
  expect(made).toMatchObject({
    kind: 'Apple',
    registrationId: id,
    deviceToken: apple(2).toUpperCase(),
    tags: ['reg', 'x'],
  });
  const bad = createAppleTemplateRegistrationDescription({ deviceToken: apple(3), bodyTemplate: '$body' });
  await expect(client.createRegistration(bad)).rejects.toMatchObject({ statusCode: 400 });
  const template = await client.createRegistration(
    createAppleTemplateRegistrationDescription({
      deviceToken: apple(3),
      bodyTemplate: '{"aps":{"alert":"$(m)"}}',
      templateName: 'greeting',
      tags: ['reg'],
    }),
  );
  expect(await client.getRegistration(template.registrationId!)).toMatchObject({
    kind: 'AppleTemplate',
    bodyTemplate: '{"aps":{"alert":"$(m)"}}',
    templateName: 'greeting',
  });
  const updated = await client.updateRegistration({ ...made, tags: ['reg'] });
  expect(updated).toMatchObject({ tags: ['reg'] });
  await expect(client.updateRegistration({ ...made, tags: ['late'] })).rejects.toMatchObject({ statusCode: 412 });
  const ids: (string | undefined)[] = [];
  for await (const each of client.listRegistrationsByTag('REG', { top: 1 })) ids.push(each.registrationId);
  expect(ids.sort()).toEqual([id, template.registrationId].sort());
  const byChannel: (string | undefined)[] = [];
  for await (const each of client.listRegistrationsByChannel({ kind: 'apple', deviceToken: apple(2) }))
    byChannel.push(each.registrationId);
  expect(byChannel).toEqual([id]);
  await client.deleteRegistration(id);
  await client.deleteRegistration(template.registrationId!, { etag: '*' });
  await expect(client.getRegistration(id)).rejects.toMatchObject({ statusCode: 404 });
});

test('a native send reaches the devices that a tag expression means, and telemetry counts what it came to', async () => {
  for (const [n, tags] of [
    [4, ['native', 'red']],
    [5, ['native', 'blue']],
    [6, ['native', 'red', 'quiet']],
  ] as const)
    await client.createOrUpdateInstallation(
      createAppleInstallation({ installationId: `native-${n}`, pushChannel: apple(n), tags: [...tags] }),
    );
  await client.createOrUpdateInstallation(
    createAppleInstallation({
      installationId: 'native-dead',
      pushChannel: `dead${'0'.repeat(60)}`,
      tags: ['native', 'red'],
    }),
  );
  const notification = createAppleNotification({
    body: '{"aps":{"alert":"to the red"}}',
    headers: { 'apns-priority': '10', 'apns-push-type': 'alert' },
  });
  const { notificationId } = await client.sendNotification(notification, { tagExpression: 'native && red && !quiet' });
  const details = await completed(notificationId!);
  expect(details).toMatchObject({ state: 'Completed', targetPlatforms: 'apple' });
  expect(details.apnsOutcomeCounts).toHaveLength(2);
  expect(details.apnsOutcomeCounts).toEqual(
    expect.arrayContaining([
      { state: 'ExpiredChannel', count: 1 },
      { state: 'Success', count: 1 },
    ]),
  );
  expect([titles(apple(4)), titles(apple(5)), titles(apple(6))]).toEqual([['to the red'], [], []]);
  expect(await client.getInstallation('native-dead')).toMatchObject({ pushChannelExpired: true });
  const none = await client.sendNotification(notification, { tagExpression: 'nobody-has-this' });
  expect((await completed(none.notificationId!)).state).toBe('NoTargetFound');
  await expect(client.sendNotification(notification, { tagExpression: 'a &&' })).rejects.toMatchObject({
    statusCode: 400,
  });
});

test('a template send writes to each device in its own template', async () => {
  const templates = (body: string) => ({ greeting: { body, headers: {}, tags: ['greeted'] } });
  await client.createOrUpdateInstallation(
    createAppleInstallation({
      installationId: 't-1',
      pushChannel: apple(7),
      templates: templates('{"aps":{"alert":"{\'Hi \' + $(name)}"}}'),
    }),
  );
  await client.createOrUpdateInstallation(
    createFcmV1Installation({
      installationId: 't-2',
      pushChannel: 'android-1',
      templates: templates('{"message":{"data":{"name":"$(name)"}}}'),
    }),
  );
  const notification = createTemplateNotification({ body: { name: 'Ada "the first"' } });
  const { notificationId } = await client.sendNotification(notification, { tagExpression: 'greeted' });
  const details = await completed(notificationId!);
  expect([details.apnsOutcomeCounts, details.fcmV1OutcomeCounts]).toEqual([
    [{ state: 'Success', count: 1 }],
    [{ state: 'Success', count: 1 }],
  ]);
  expect(titles(apple(7))).toEqual(['Hi Ada "the first"']);
  expect(JSON.stringify(standins.fcm.messages.items.at(-1))).toContain('Ada \\"the first\\"');
});

test('direct, batch, test and scheduled sends', async () => {
  const apns = createAppleNotification({ body: '{"aps":{"alert":"direct"}}', headers: {} });
  const direct = await client.sendNotification(apns, { deviceHandle: apple(8) });
  await completed(direct.notificationId!);
  expect(titles(apple(8))).toEqual(['direct']);
  const batch = await client.sendNotification(apns, { deviceHandle: [apple(11), apple(12), apple(11)] });
  expect((await completed(batch.notificationId!)).apnsOutcomeCounts).toEqual(
    expect.arrayContaining([
      { state: 'Success', count: 2 },
      { state: 'Skipped', count: 1 },
    ]),
  );
  await client.createOrUpdateInstallation(
    createFcmV1Installation({ installationId: 'test-1', pushChannel: 'other-1', tags: ['tested'] }),
  );
  const fcm = createFcmV1Notification({ body: '{"message":{"data":{"a":"b"}}}' });
  const tested = await client.sendNotification(fcm, { tagExpression: 'tested', enableTestSend: true });
  expect(tested).toMatchObject({
    successCount: 0,
    failureCount: 1,
    results: [{ outcome: 'WrongToken', pnsHandle: 'other-1' }],
  });
  const later = createAppleNotification({ body: '{"aps":{"alert":"later"}}', headers: {} });
  await client.createOrUpdateInstallation(
    createAppleInstallation({ installationId: 's-1', pushChannel: apple(9), tags: ['scheduled'] }),
  );
  const soon = await client.scheduleNotification(new Date(Date.now() + 1_500), later, { tagExpression: 'scheduled' });
  const cancelled = await client.scheduleNotification(new Date(Date.now() + 600_000), later, {
    tagExpression: 'scheduled',
  });
  await client.cancelScheduledNotification(cancelled.notificationId!);
  expect((await completed(cancelled.notificationId!)).state).toBe('Canceled');
  await eventually(() => expect(titles(apple(9))).toEqual(['later']), 15_000);
  await expect(client.cancelScheduledNotification(soon.notificationId!)).rejects.toMatchObject({ statusCode: 404 });
});

test('jobs export registrations and import them again; files lie with the hub', async () => {
  for (const n of [21, 22, 23])
    await client.createRegistration(
      createAppleRegistrationDescription({ deviceToken: apple(n), tags: ['bulk', `no-${n}`] }),
    );
  const container = `https://127.0.0.1:${tlsPort}/main/files`;
  // The client's poller is a promise too: waiting for it is waiting for the end of the job.
  const job = (await client.beginSubmitNotificationHubJob({
    type: 'ExportRegistrations',
    outputContainerUrl: container,
  })) as unknown as NotificationHubJob;
  expect(job).toMatchObject({ type: 'ExportRegistrations', status: 'Completed', progress: 100 });
  const file = new URL(job.outputProperties!.OutputFilePath!).pathname.replace('/main/', '/v1/hubs/main/');
  const exported = await readText(file);
  expect(exported.trim().split('\n').length).toBeGreaterThanOrEqual(3);
  expect(exported).toContain(apple(22).toUpperCase());
  const seen: string[] = [];
  for await (const { registrationId } of client.listRegistrationsByTag('bulk')) seen.push(registrationId!);
  for (const id of seen) await client.deleteRegistration(id);
  await server.call('DELETE', '/v1/hubs/main/files/in.xml');
  await fetch(`${server.url}/v1/hubs/main/files/in.xml`, {
    method: 'PUT',
    body: exported,
    headers: { 'content-type': 'text/plain', authorization: `Bearer ${ADMIN_KEY}` },
  });
  const submitted = await client.submitNotificationHubJob({
    type: 'ImportCreateRegistrations',
    outputContainerUrl: container,
    importFileUrl: `${container}/in.xml`,
  });
  await eventually(async () =>
    expect(await client.getNotificationHubJob(submitted.jobId!)).toMatchObject({ status: 'Completed' }),
  );
  const again: string[] = [];
  for await (const { registrationId } of client.listRegistrations({ top: 2 })) again.push(registrationId!);
  expect(again).toEqual(expect.arrayContaining(seen));
  expect((await client.listNotificationHubJobs()).map(({ jobId }) => jobId)).toEqual([submitted.jobId, job.jobId]);
  await expect(
    client.submitNotificationHubJob({ type: 'ExportRegistrations', outputContainerUrl: 'https://blob.example/c' }),
  ).rejects.toMatchObject({ statusCode: 400 });
});

test('feedback lies at an address that carries its own permission', async () => {
  const address = new URL(await client.getFeedbackContainerUrl());
  const list = await fetch(`${server.url}${address.pathname}${address.search}&restype=container&comp=list`);
  expect([list.status, await list.text()]).toEqual([200, expect.stringContaining('feedback-')]);
});

test('browsers and their subscriptions, everybody and the tags that everybody has', async () => {
  const pushChannel = { endpoint: 'https://push.example/b1', p256dh: 'BKey', auth: 'a' };
  await client.createOrUpdateInstallation(
    createBrowserInstallation({ installationId: 'b-1', pushChannel, userId: 'bea' }),
  );
  expect(await client.getInstallation('b-1')).toMatchObject({ platform: 'browser', pushChannel, userId: 'bea' });
  await client.createOrUpdateInstallation(
    createAppleInstallation({ installationId: 'u-1', pushChannel: apple(31), userId: 'Uma' }),
  );
  const hello = createAppleNotification({ body: '{"aps":{"alert":"hello user"}}', headers: {} });
  const { notificationId } = await client.sendNotification(hello, { tagExpression: '$UserId:{uma}' });
  expect((await completed(notificationId!)).apnsOutcomeCounts).toEqual([{ state: 'Success', count: 1 }]);
  const all = await client.sendBroadcastNotification(
    createAppleNotification({ body: '{"aps":{"alert":"all"}}', headers: {} }),
  );
  await completed(all.notificationId!);
  expect(titles(apple(31))).toEqual(['hello user', 'all']);
});

test('wrong keys, missing rights and unknown hubs are refused as the vendor does', async () => {
  const wrong = clientOf('DefaultFullSharedAccessSignature', 'another-key-than-the-right-one');
  await expect(wrong.getInstallation('x')).rejects.toMatchObject({ statusCode: 401 });
  // Where CARILLON_SAS_KEY is set, it is the key of both rules; the rights go by the name.
  const listener = clientOf('DefaultListenSharedAccessSignature', sasKey);
  await expect(listener.getInstallation('nobody')).rejects.toMatchObject({ statusCode: 404 });
  const send = listener.sendNotification(createAppleNotification({ body: '{}', headers: {} }), { tagExpression: 'x' });
  await expect(send).rejects.toMatchObject({ statusCode: 403 });
  const unknown = clientOf('NoSuchRule', sasKey);
  await expect(unknown.getInstallation('x')).rejects.toThrow('InvalidSignature');
  await expect(
    clientOf('DefaultFullSharedAccessSignature', sasKey, 'no-hub').getInstallation('x'),
  ).rejects.toMatchObject({
    statusCode: 404,
  });
});

test('an event reaches the phone of the person whom it concerns, unless that person said no', async () => {
  await client.createOrUpdateInstallation(
    createAppleInstallation({ installationId: 'p-1', pushChannel: apple(10), userId: 'ada' }),
  );
  const publish = (id: string) =>
    server.call(
      'POST',
      '/v1/topics/hr/events',
      { specversion: '1.0', id, source: '/hr', type: 'hello', data: { who: 'ada', title: id } },
      {
        'content-type': 'application/cloudevents+json',
      },
    );
  await publish('first');
  await eventually(() => expect(titles(apple(10))).toEqual([{ title: 'first' }]), 20_000);
  await server.call('PUT', '/v1/recipients/ada/preferences', {
    SendNotificationToMobileDevice: false,
    SendNotificationToConversation: true,
  });
  await publish('second');
  await eventually(async () => {
    const inbox = await server.call<{ items: unknown[] }>('GET', '/v1/recipients/ada/inbox');
    expect(inbox.items).toHaveLength(2);
  }, 20_000);
  await server.call('PUT', '/v1/recipients/ada/preferences', {
    SendNotificationToMobileDevice: true,
    SendNotificationToConversation: true,
  });
  await publish('third');
  await eventually(() => expect(titles(apple(10))).toEqual([{ title: 'first' }, { title: 'third' }]), 20_000);
});
