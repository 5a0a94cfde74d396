import { expect, test } from 'vitest';
import { AimList } from './aim-list.ts';
import { type AimDevice, Aimer, aimDeviceOf, aimsAt, type Message } from './aims.ts';
import { parseInstallation } from './installation.ts';

const message: Message = { kind: 'template', properties: { title: 'Hello', end: '2026-11-22T10:00:00Z' } };

function deviceOf(platform: string, template: object): AimDevice {
  const templates = { t: template };
  const installation = parseInstallation({ installationId: 'd', platform, pushChannel: 'token', templates });
  return aimDeviceOf({ id: 'd', kind: 'installation', installation });
}

function aimsOf(platform: string, template: object, sent = message) {
  return aimsAt(sent, undefined, deviceOf(platform, template));
}

const apple = { body: '{"aps":{"alert":"$(title)"}}' };
const headersOf = (template: object, sent?: Message) => aimsOf('apns', { ...apple, ...template }, sent)[0]!.headers;

test.each([
  ['a time', '2026-11-22T10:00:00Z', '1795341600'],
  ['seconds since 1970', '1795341600', '1795341600'],
  ['an expression', '$(end)', '1795341600'],
])('the expiry of an Apple template, as %s, is when Apple gives the push up', (_, expiry, seconds) => {
  expect(headersOf({ expiry })).toEqual({ 'apns-expiration': seconds });
});

test('an Apple template without an expiry says nothing of it, and a header of its own wins', () => {
  expect(headersOf({})).toEqual({});
  expect(headersOf({ expiry: '$(end)', headers: { 'apns-expiration': '0' } })).toEqual({ 'apns-expiration': '0' });
});

test('the vendor’s name for the priority means Apple’s, whose own wins', () => {
  expect(headersOf({ headers: { 'X-Apns-Priority': '5' } })).toEqual({ 'apns-priority': '5' });
  expect(headersOf({ headers: { 'x-apns-priority': '5', 'apns-priority': '10' } })).toEqual({ 'apns-priority': '10' });
});

test.each(['{', '{"endpoint":1}'])('an address that looks like JSON (%s) is what it is', (address) => {
  const device = deviceOf('fcmv1', apple);
  const [aim] = aimsAt(message, undefined, { ...device, places: [{ ...device.places[0]!, address, handle: address }] });
  expect(aim).toMatchObject({ address, handle: address });
});

test('a subscription is an address of three parts', () => {
  const address = { endpoint: 'https://push.example/x', p256dh: 'a', auth: 'b' };
  const device = deviceOf('fcmv1', apple);
  const place = { ...device.places[0]!, address, handle: address.endpoint };
  expect(aimsAt(message, undefined, { ...device, places: [place] })).toMatchObject([{ address, handle: place.handle }]);
});

test('an expiry is of Apple alone', () => {
  const [aim] = aimsOf('fcmv1', { body: '{"message":{"notification":{"title":"$(title)"}}}', expiry: '$(end)' });
  expect(aim).toMatchObject({ payload: '{"message":{"notification":{"title":"Hello"}}}', headers: {} });
});

test('devices of two platforms that share templates each get the headers of their own', () => {
  const shared = { ...apple, expiry: '$(end)' };
  const aimer = new Aimer(message, undefined);
  const aims = new AimList();
  const { templates } = deviceOf('apns', shared).places[0]!;
  for (const platform of ['fcmv1', 'apns']) {
    const device = deviceOf(platform, shared);
    aimer.take({ ...device, places: [{ ...device.places[0]!, templates }] }, aims);
  }
  expect(aims.all().map(({ headers }) => headers)).toEqual([{}, { 'apns-expiration': '1795341600' }]);
});

test('of two sends that end at different times each has its own', () => {
  const later: Message = { kind: 'template', properties: { ...message.properties, end: '2026-11-22T11:00:00Z' } };
  expect(headersOf({ expiry: '$(end)' }, later)).toEqual({ 'apns-expiration': '1795345200' });
  expect(headersOf({ expiry: '$(end)' })).toEqual({ 'apns-expiration': '1795341600' });
});

test('a payload that came out empty is not the one behind it', () => {
  const headers = { 'X-WNS-Type': 'wns/raw' };
  const templates = { empty: { body: '$(absent)', headers }, full: { body: '$(title)', headers } };
  const given = { installationId: 'd', platform: 'wns', pushChannel: 'https://channel.example', templates };
  const aims = new AimList();
  const device = aimDeviceOf({ id: 'd', kind: 'installation', installation: parseInstallation(given) });
  new Aimer(message, undefined).take(device, aims);
  expect(aims.all().map(({ payload }) => payload)).toEqual(['', 'Hello']);
  expect([aims.isSame(0, 1), aims.isSame(1, 0), aims.isSame(1, 1)]).toEqual([false, false, true]);
});
