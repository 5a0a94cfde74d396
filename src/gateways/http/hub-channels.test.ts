import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApnsStandin } from '../../../test/standins/apns.ts';
import { useServer } from '../../../test/support/http-server.ts';
import { makeCertificate } from '../../kit/certificate.ts';

const { call } = useServer();
const certificate = makeCertificate();
const path = '/v1/hubs/main/channels';
let apns: ApnsStandin;
beforeAll(async () => {
  apns = await ApnsStandin.start({ certificate });
});
afterAll(() => apns.stop());

test('a hub without credentials of Apple has no channels', async () => {
  const answer = await call(path);
  expect([answer.status, answer.json.detail]).toEqual([409, expect.stringContaining('no credentials for apns')]);
});

test('a channel is made, pushed to, listed and removed', async () => {
  const endpoint = { host: '127.0.0.1', port: apns.service.port, ca: certificate.ca };
  const json = { ...apns.credentials, environment: 'sandbox', endpoint };
  expect((await call('/v1/hubs/main/credentials/apns', { method: 'PUT', json })).status).toBe(200);
  const made = await call(path, { json: { storesNewest: true } });
  expect(made.status).toBe(201);
  const { id } = made.json;
  expect(apns.channels.get(id)).toEqual({ 'message-storage-policy': 1, 'push-type': 'LiveActivity' });
  expect((await call(path)).json).toEqual({ items: [{ id }] });
  const one = `${path}/${encodeURIComponent(id)}`;
  const payload = { aps: { timestamp: 1, event: 'update', 'content-state': { score: 3 } } };
  const body = JSON.stringify(payload);
  const pushed = await call(`${one}/pushes`, { json: { body, headers: { 'Apns-Expiration': '1795341600' } } });
  expect([pushed.status, pushed.json]).toEqual([200, { outcome: 'Success' }]);
  expect(apns.pushes.items.at(-1)).toMatchObject({
    channel: id,
    token: undefined,
    payload,
    headers: { 'apns-push-type': 'liveactivity', 'apns-expiration': '1795341600', 'apns-channel-id': id },
  });
  const long = JSON.stringify({ aps: { alert: 'x'.repeat(6_000) } });
  expect((await call(`${one}/pushes`, { json: { body: long } })).json).toEqual({ outcome: 'InvalidNotificationSize' });
  for (const [json, words] of [
    [{ body: 'hello' }, 'not JSON'],
    [{ body, headers: { 'apns-priority': '7' } }, 'apns-priority'],
    [{ body, headers: { 'apns-expiration': 'soon' } }, 'apns-expiration'],
  ] as const) {
    const refused = await call(`${one}/pushes`, { json });
    expect([refused.status, refused.json.detail]).toEqual([400, expect.stringContaining(words)]);
  }
  expect((await call(one, { method: 'DELETE' })).status).toBe(204);
  expect((await call(one, { method: 'DELETE' })).status).toBe(404);
  expect((await call(`${one}/pushes`, { json: { body } })).status).toBe(404);
  expect((await call(`${path}/a%20b`, { method: 'DELETE' })).status).toBe(400);
  expect((await call(path)).json).toEqual({ items: [] });
});

test('Apple’s own trouble is told as such', async () => {
  apns.service.fail({ kind: 'answer', answer: { status: 503, body: '{"reason":"ServiceUnavailable"}' }, times: 1 });
  const away = await call(path);
  expect([away.status, away.json.detail]).toEqual([503, expect.stringContaining('ServiceUnavailable')]);
  const full = { status: 400, body: '{"reason":"CannotCreateChannelConfig"}' };
  apns.service.fail({ kind: 'answer', answer: full, times: 1 });
  expect((await call(path, { json: {} })).json).toMatchObject({ status: 403, code: 'quota_exceeded' });
});
