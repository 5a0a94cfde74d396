import { expect, it } from 'vitest';
import { useServer } from '../../../test/support/http-server.ts';

const http = useServer();
const keyOf = async (...grants: string[]) =>
  (await http.call('/v1/keys', { json: { name: 'k', grants } })).json.secret as string;
const noPushes = { delivered: 0, retried: 0, pruned: 0, refused: 0 };

it('a hub tells its devices per platform, how each way stands, and what to do', async () => {
  for (const [id, platform] of [
    ['phone-1', 'fcmv1'],
    ['phone-2', 'fcmv1'],
    ['kindle', 'adm'],
  ])
    await http.call(`/v1/hubs/main/devices/${id}`, { method: 'PUT', json: { platform, address: `token of ${id}` } });
  const answer = await http.call('/v1/hubs/main/status');
  const lane = { dead: 0, pushed: noPushes, lastHour: noPushes, lastFault: null };
  expect(answer.json).toEqual({
    name: 'main',
    sends: { underWay: 0, oldest: null },
    lanes: [
      {
        ...lane,
        platform: 'fcmv1',
        devices: 2,
        state: 'no_credentials',
        advice: expect.stringContaining('push-fcm.md'),
      },
      { ...lane, platform: 'browser', devices: 0, state: 'untried' },
      { ...lane, platform: 'adm', devices: 1, state: 'unsupported' },
    ],
  });
});

it('the figures of the dashboard have the same', async () => {
  const { hubs } = (await http.call('/v1/stats')).json;
  expect(hubs).toEqual([(await http.call('/v1/hubs/main/status')).json]);
});

it('a key sees the hubs that it may listen to, and a hub that is not there is not found', async () => {
  const key = await keyOf('listen hub:main');
  expect((await http.call('/v1/hubs/main/status', { key })).status).toBe(200);
  expect((await http.call('/v1/hubs/other/status', { key })).status).toBe(403);
  expect((await http.call('/v1/hubs/main/status', { key: await keyOf('listen topic:*') })).status).toBe(403);
  const absent = await http.call('/v1/hubs/other/status');
  expect([absent.status, absent.json.code]).toEqual([404, 'not_found']);
});
