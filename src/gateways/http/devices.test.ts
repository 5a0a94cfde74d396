import { expect, it } from 'vitest';
import { useServer } from '../../../test/support/http-server.ts';
import { recipientIdentity } from '../../access/rights.ts';

const http = useServer();
const android = { platform: 'fcmv1', address: 'token-1' };
const browser = {
  platform: 'browser',
  address: { endpoint: 'https://push.example/s/1', expirationTime: null, keys: { p256dh: 'BPublic', auth: 'secret' } },
};
const keyOf = async (...grants: string[]) =>
  (await http.call('/v1/keys', { json: { name: 'k', grants } })).json.secret as string;
const put = (path: string, json: unknown, more: object = {}) => http.call(path, { method: 'PUT', json, ...more });

it('a device of a hub is put, read, patched under its etag, listed and deleted', async () => {
  const path = '/v1/hubs/main/devices/phone-1';
  const made = await put(path, { ...android, recipientId: 'ada', tags: ['vip', 'floor-3'], label: 'Work phone' });
  expect(made.json).toMatchObject({
    hub: 'main',
    id: 'phone-1',
    recipientId: 'ada',
    reachable: true,
    etag: 1,
    label: 'Work phone',
  });
  expect((await http.call(path)).headers.get('etag')).toBe('"1"');
  const patch = { tags: ['vip'], pushVariables: { name: 'Ada' }, expiresAt: '2099-01-01T00:00:00.000Z' };
  const patched = await http.call(path, { method: 'PATCH', json: patch, headers: { 'if-match': '"1"' } });
  expect(patched.json).toMatchObject({
    ...patch,
    etag: 2,
    address: 'token-1',
    recipientId: 'ada',
    label: 'Work phone',
  });
  const late = await http.call(path, { method: 'PATCH', json: { tags: null }, headers: { 'if-match': '"1"' } });
  expect([late.status, late.json.code]).toEqual([412, 'precondition_failed']);
  await put('/v1/hubs/main/devices/phone-2', { ...android, address: 'token-2', tags: ['vip'] });
  const first = await http.call('/v1/hubs/main/devices?tag=VIP&limit=1');
  expect(first.json.items.map(({ id }: { id: string }) => id)).toEqual(['phone-1']);
  const second = await http.call(`/v1/hubs/main/devices?tag=vip&limit=1&cursor=${first.json.next}`);
  expect(second.json.items.map(({ id }: { id: string }) => id)).toEqual(['phone-2']);
  expect((await http.call('/v1/hubs/main/devices?recipient=ada')).json.items).toHaveLength(1);
  expect((await http.call(path, { method: 'DELETE' })).status).toBe(204);
  expect((await http.call(path, { method: 'DELETE' })).status).toBe(204);
  expect((await http.call(path)).status).toBe(404);
  expect((await http.call(path, { method: 'PATCH', json: {} })).status).toBe(404);
});

it('what no device can be is refused with its reason, and changes nothing', async () => {
  const bad: [unknown, RegExp][] = [
    [{ ...android, tags: ['no spaces'] }, /character that tags may not have/],
    [{ ...android, templates: { a: { body: '$body' } } }, /\$body/],
    [{ platform: 'browser', address: 'https://push.example' }, /browser/],
    [{ platform: 'fcmv1' }, /address/],
  ];
  for (const [body, words] of bad) {
    const answer = await put('/v1/hubs/main/devices/bad', body);
    expect(answer.status).toBe(400);
    expect(answer.text).toMatch(words);
  }
  expect((await put('/v1/hubs/none/devices/x', android)).json.code).toBe('not_found');
  expect((await http.call('/v1/hubs/main/devices/bad')).status).toBe(404);
});

it('a person registers the browser as it describes itself, and sees it', async () => {
  const key = await keyOf('send recipient:zoe', 'listen recipient:zoe');
  const made = await put('/v1/recipients/zoe/devices/tab', { ...browser, label: 'Firefox' }, { key });
  expect(made.json).toMatchObject({
    hub: 'main',
    recipientId: 'zoe',
    address: { endpoint: 'https://push.example/s/1', p256dh: 'BPublic', auth: 'secret' },
  });
  const list = await http.call('/v1/recipients/zoe/devices', { key });
  expect(list.json.items).toMatchObject([{ id: 'tab', label: 'Firefox' }]);
  expect((await put('/v1/recipients/zoe/devices/tab', { ...browser, tags: ['board'] }, { key })).status).toBe(400);
  expect((await http.call('/v1/recipients/ada/devices', { key })).status).toBe(403);
  expect((await http.call('/v1/hubs/main/devices', { key })).status).toBe(403);
  expect((await http.call('/v1/hubs/main/web-push-key', { key })).json.publicKey).toMatch(/^[\w-]{87}$/);
});

it('tags that the organisation gave stay with the person, not with the device', async () => {
  await put('/v1/recipients/tom/devices/t1', { ...android, address: 'tom-1' });
  await http.call('/v1/hubs/main/devices/t1', { method: 'PATCH', json: { tags: ['board'] } });
  const again = await put('/v1/recipients/tom/devices/t1', { ...android, address: 'tom-1' });
  expect(again.json.tags).toEqual(['board']);
  const moved = await put('/v1/recipients/eve/devices/t1', { ...android, address: 'tom-1' });
  expect(moved.json).toMatchObject({ recipientId: 'eve', tags: [] });
});

it('nobody takes over a device of somebody else without knowing its address', async () => {
  await put('/v1/recipients/ann/devices/a1', { ...android, address: 'ann-1' });
  const answer = await put('/v1/recipients/eve/devices/a1', { ...android, address: 'eve-1' });
  expect([answer.status, answer.json.code]).toEqual([409, 'conflict']);
  expect((await http.call('/v1/recipients/eve/devices/a1', { method: 'DELETE' })).status).toBe(204);
  expect((await http.call('/v1/recipients/eve/devices/a1/test', { json: {} })).status).toBe(404);
  expect((await http.call('/v1/recipients/ann/devices')).json.items).toMatchObject([{ id: 'a1', address: 'ann-1' }]);
});

it('an address that is registered again is one device, under who registered it last', async () => {
  await put('/v1/recipients/lea/devices/l1', { ...android, address: 'shared' });
  await put('/v1/recipients/max/devices/m1', { ...android, address: 'shared' });
  expect((await http.call('/v1/recipients/lea/devices')).json.items).toEqual([]);
  expect((await http.call('/v1/recipients/max/devices')).json.items).toMatchObject([{ id: 'm1' }]);
});

it('a test push says what came of it', async () => {
  await put('/v1/hubs/main/devices/no-way', { ...android, address: 'nowhere' });
  const answer = await http.call('/v1/hubs/main/devices/no-way/test', { json: { title: 'Hello' } });
  expect(answer.json).toEqual({ outcome: 'InvalidCredentials' });
  await put('/v1/hubs/main/devices/old', { platform: 'mpns', address: 'https://mpns.example' });
  expect((await http.call('/v1/hubs/main/devices/old/test', { json: {} })).json.code).toBe('conflict');
});

it('a person who is forgotten takes their devices along', async () => {
  await http.call('/v1/recipients/old', { method: 'PUT', json: {} });
  await put('/v1/recipients/old/devices/o1', { ...android, address: 'old-1' });
  await http.call('/v1/recipients/old', { method: 'DELETE' });
  expect((await http.call('/v1/hubs/main/devices/o1')).status).toBe(404);
});

it('a signed-in person may do the same with their own', () => {
  expect(recipientIdentity('ada').grants).toEqual(expect.arrayContaining([{ right: 'send', entity: 'recipient:ada' }]));
});
