import { describe, expect, it } from 'vitest';
import { eventually } from '../../../test/support/eventually.ts';
import { ADMIN_KEY, useServer } from '../../../test/support/http-server.ts';
import type { Notification } from '../../handler/notification.ts';

const joined: Notification = {
  name: 'employee-joined',
  topic: 'hr',
  category: 'hr',
  when: "type = 'hr.employee.joined'",
  channels: ['inbox', 'email'],
  mandatory: ['inbox'],
  audience: () => ['ada'],
  content: (event) => ({ title: `${(event.data as { name: string }).name} joined` }),
};
const http = useServer({}, [joined]);
const event = { specversion: '1.0', id: '1', source: '/hr', type: 'hr.employee.joined', data: { name: 'Bea' } };
const publish = (json: object) =>
  http.call('/v1/topics/hr/events', { json, headers: { 'content-type': 'application/cloudevents+json' } });

describe('topics', () => {
  it('are made, changed, listed and deleted', async () => {
    const made = await http.call('/v1/topics/finance', { method: 'PUT', json: { retentionMs: 1000 } });
    expect(made.status).toBe(201);
    expect(made.json).toMatchObject({
      name: 'finance',
      retentionMs: 1000,
      duplicateDetection: true,
      subscriptions: [],
    });
    const changed = await http.call('/v1/topics/FINANCE', { method: 'PUT', json: { status: 'sendDisabled' } });
    expect([changed.status, changed.json.status, changed.json.retentionMs]).toEqual([200, 'sendDisabled', 1000]);
    expect((await http.call('/v1/topics/finance')).json).toEqual({ ...changed.json, scheduled: 0 });
    expect((await http.call('/v1/topics?limit=2')).json.items.map(({ name }: { name: string }) => name)).toEqual([
      'enterprise',
      'finance',
    ]);
    expect((await http.call('/v1/topics/finance', { method: 'DELETE' })).status).toBe(204);
    expect((await http.call('/v1/topics/finance')).json.code).toBe('topic_not_found');
  });

  it('refuse bad names, unknown settings and values out of range', async () => {
    const put = (name: string, json: object) =>
      http.call(`/v1/topics/${encodeURIComponent(name)}`, { method: 'PUT', json });
    expect((await put('a b', {})).json.code).toBe('invalid_name');
    expect((await put('x', { nope: 1 })).json.errors).toEqual([{ field: 'nope', problem: 'is not known here' }]);
    expect((await put('x', { partitions: 1000 })).json.errors[0].field).toBe('partitions');
    expect((await put('x', { duplicateDetectionWindowMs: 1 })).json.code).toBe('invalid_setting');
  });

  it('refuse another number of partitions than they were made with, and change nothing', async () => {
    for (const path of ['/v1/topics/parted', '/v1/queues/parted-queue']) {
      const put = (json: object) => http.call(path, { method: 'PUT', json });
      expect((await put({ partitions: 2 })).status).toBe(201);
      const { json } = await put({ partitions: 7, userMetadata: 'seven' });
      expect(json).toMatchObject({ status: 409, code: 'conflict', setting: 'partitions' });
      expect(json.detail).toMatch(/partitions of .* is 2, .* make another/);
      expect((await put({ partitions: 2 })).json).toMatchObject({ partitions: 2, userMetadata: '' });
    }
  });

  it('and queues share their names: each is refused the name of the other, and nothing changes', async () => {
    const put = (path: string, json = {}) => http.call(path, { method: 'PUT', json });
    expect((await put('/v1/queues/shared-name')).status).toBe(201);
    const topic = await put('/v1/topics/Shared-Name', { status: 'disabled' });
    expect([topic.status, topic.json.code, topic.json.kind]).toEqual([409, 'already_exists', 'queue']);
    expect(topic.json.detail).toMatch(/"shared-name" is a queue already .* another name/);
    const queue = await put('/v1/queues/HR', { status: 'disabled' });
    expect([queue.status, queue.json.code, queue.json.kind]).toEqual([409, 'already_exists', 'topic']);
    expect((await http.call('/v1/topics/hr')).json.status).toBe('active');
    expect((await http.call('/v1/queues/shared-name')).json.status).toBe('active');
    // What is only read is not there under the other path.
    expect((await http.call('/v1/topics/shared-name')).json.code).toBe('topic_not_found');
    expect((await http.call('/v1/queues/shared-name', { method: 'DELETE' })).status).toBe(204);
  });

  it('and the settings of queues change together or not at all', async () => {
    const put = (json: object) => http.call('/v1/queues/whole', { method: 'PUT', json });
    await put({});
    expect((await put({ status: 'disabled', forwardTo: 'nowhere' })).json.code).toBe('topic_not_found');
    expect((await put({ status: 'disabled', lockDurationMs: 1 })).json.code).toBe('invalid_setting');
    expect((await http.call('/v1/queues/whole')).json).toMatchObject({ status: 'active', lockDurationMs: 60_000 });
    const both = await put({ userMetadata: 'both', lockDurationMs: 5_000 });
    expect(both.json).toMatchObject({ userMetadata: 'both', lockDurationMs: 5_000 });
  });

  it('a list shows what the key may listen to', async () => {
    const { json: key } = await http.call('/v1/keys', { json: { name: 'l', grants: ['listen topic:hr'] } });
    const list = await http.call('/v1/topics', { key: key.secret });
    expect(list.json.items.map(({ name }: { name: string }) => name)).toEqual(['hr']);
    expect((await http.call('/v1/topics/enterprise', { key: key.secret })).status).toBe(403);
  });
});

describe('subscriptions', () => {
  const path = '/v1/topics/enterprise/subscriptions';

  it('are made with rules, counted, changed and deleted', async () => {
    const rules = {
      big: { filter: 'amount > 100' },
      vip: { filter: { type: 'correlation', subject: 'vip', properties: { n: { $long: '9007199254740993' } } } },
    };
    const made = await http.call(`${path}/audit`, { method: 'PUT', json: { maxDeliveryCount: 3, rules } });
    expect(made.status).toBe(201);
    expect(made.json).toMatchObject({ name: 'audit', maxDeliveryCount: 3, active: 0, rules: ['big', 'vip'] });
    const read = await http.call(`${path}/audit/rules`);
    expect(read.json.items).toMatchObject([
      { name: 'big', filter: { type: 'sql', expression: 'amount > 100' } },
      { name: 'vip', filter: rules.vip.filter },
    ]);
    const changed = await http.call(`${path}/audit`, { method: 'PUT', json: { maxDeliveryCount: 4 } });
    expect([changed.status, changed.json.maxDeliveryCount, changed.json.rules]).toEqual([200, 4, ['big', 'vip']]);
    expect((await http.call(path)).json.items).toMatchObject([{ name: 'audit' }]);
    expect((await http.call(`${path}/audit`, { method: 'DELETE' })).status).toBe(204);
    expect((await http.call(`${path}/audit`)).json.code).toBe('subscription_not_found');
  });

  it('are refused as a whole when one of their rules is not valid', async () => {
    const put = (json: object) => http.call(`${path}/whole`, { method: 'PUT', json });
    await put({ userMetadata: 'before', rules: { a: { filter: 'x = 1' } } });
    expect((await put({ userMetadata: 'after', rules: { b: { filter: 'x =' } } })).status).toBe(400);
    expect((await http.call(`${path}/whole`)).json).toMatchObject({ userMetadata: 'before', rules: ['a'] });
    const changed = await put({ userMetadata: 'after', rules: { b: { filter: 'x = 2' } } });
    expect(changed.json).toMatchObject({ userMetadata: 'after', rules: ['b'] });
  });

  it('and queues keep with sessions or without, as they were made, and change nothing when it is asked', async () => {
    for (const [one, kind] of [
      [`${path}/sessions`, 'subscription'],
      ['/v1/queues/sessions', 'queue'],
    ] as const) {
      const put = (json: object) => http.call(one, { method: 'PUT', json });
      expect((await put({ requiresSession: true })).status).toBe(201);
      const { json } = await put({ requiresSession: false, maxDeliveryCount: 3, status: 'disabled' });
      expect(json).toMatchObject({ status: 409, code: 'conflict', setting: 'requiresSession' });
      expect(json.detail).toMatch(new RegExp(`requiresSession .* is true, .* make another ${kind}`));
      const same = await put({ requiresSession: true });
      expect(same.json).toMatchObject({ requiresSession: true, maxDeliveryCount: 10, status: 'active' });
    }
  });

  it('take the messages that a rule matches', async () => {
    await http.call(`${path}/joined`, {
      method: 'PUT',
      json: { rules: { subject: { filter: { type: 'correlation', subject: 'u7' } } } },
    });
    for (const userid of ['u7', 'u8'])
      await http.call('/v1/ingest/enterprise-notification', { json: { userid, message: 'x' } });
    await eventually(async () => expect((await http.call(`${path}/joined`)).json.active).toBe(1));
  });

  it('rules are put, replaced and deleted one by one', async () => {
    await http.call(`${path}/one`, { method: 'PUT', json: {} });
    const rule = (name: string, json: unknown) => http.call(`${path}/one/rules/${name}`, { method: 'PUT', json });
    expect((await rule('a', { filter: 'x = 1' })).status).toBe(201);
    expect((await rule('A', { filter: 'x = 2' })).status).toBe(200);
    const names = async () =>
      (await http.call(`${path}/one/rules`)).json.items.map(({ name }: { name: string }) => name);
    expect(await names()).toEqual(['$Default', 'A']);
    expect((await http.call(`${path}/one/rules/%24Default`, { method: 'DELETE' })).status).toBe(204);
    expect(await names()).toEqual(['A']);
    expect((await http.call(`${path}/one/rules/none`, { method: 'DELETE' })).json.code).toBe('not_found');
    expect((await rule('b', { filter: { type: 'correlation' } })).status).toBe(400);
  });

  it('rules are added many at once, all or none of a call, and listed in pages', async () => {
    await http.call(`${path}/bulk`, { method: 'PUT', json: { rules: {} } });
    const add = (rules: object) => http.call(`${path}/bulk/rules`, { method: 'POST', json: { rules } });
    const many = Object.fromEntries(Array.from({ length: 250 }, (_, n) => [`r${n}`, { filter: `x = ${n}` }]));
    expect((await add(many)).json).toEqual({ added: 250 });
    expect((await add({ fresh: { filter: 'x = 1' }, r7: { filter: 'x = 1' } })).status).toBe(409);
    expect((await add({ fresh: { filter: 'x =' } })).status).toBe(400);
    const entry = (await http.call(`${path}/bulk`)).json;
    expect(entry.ruleCount).toBe(250);
    expect(entry.rules).toHaveLength(100);
    const first = (await http.call(`${path}/bulk/rules?limit=200`)).json;
    const rest = (await http.call(`${path}/bulk/rules?limit=200&cursor=${first.next}`)).json;
    expect(first.items.length + rest.items.length).toBe(250);
    expect(rest.next).toBe(null);
  });
});

describe('the log and the trace', () => {
  it('shows events newest first, in pages, and forwards from a number', async () => {
    for (const id of ['p1', 'p2', 'p3']) await publish({ ...event, id, type: 'other' });
    const first = await http.call('/v1/topics/hr/events?limit=2');
    expect(first.json.items.map(({ event }: { event: { id: string } }) => event.id)).toEqual(['p3', 'p2']);
    const second = await http.call(`/v1/topics/hr/events?limit=2&cursor=${first.json.next}`);
    expect(second.json.items[0].event).toMatchObject({ id: 'p1', data: { name: 'Bea' }, specversion: '1.0' });
    const forwards = await http.call(`/v1/topics/hr/events?from=${second.json.items[0].sequence}&limit=2`);
    expect(forwards.json.items.map(({ event }: { event: { id: string } }) => event.id)).toEqual(['p1', 'p2']);
    const rest = await http.call(`/v1/topics/hr/events?from=1&limit=2&cursor=${forwards.json.next}`);
    expect(rest.json.items.map(({ event }: { event: { id: string } }) => event.id)).toEqual(['p3']);
  });

  it('shows a message that is no event with the reason', async () => {
    await http.broker.publish('hr', [{ messageId: 'raw', body: Buffer.from('{'), contentType: 'application/json' }]);
    const { json } = await http.call('/v1/topics/hr/events?limit=1');
    expect(json.items[0]).toMatchObject({ event: { id: 'raw' }, problem: expect.stringContaining('not valid JSON') });
  });

  it('tells the story of an event, by number and by id, and of a person', async () => {
    const { json: published } = await publish({ ...event, id: 'story' });
    const { sequence } = published.events[0];
    const byNumber = await eventually(async () => {
      const answer = await http.call(`/v1/topics/hr/events/${sequence}/trace`);
      expect(answer.json.steps.length).toBeGreaterThan(1);
      return answer.json;
    });
    expect(byNumber.event).toMatchObject({ id: 'story', topic: 'hr', sequence, type: event.type });
    expect(byNumber.steps).toContainEqual(expect.objectContaining({ recipient: 'ada', outcome: 'notice' }));
    expect((await http.call('/v1/events/trace?topic=HR&id=story')).json).toEqual(byNumber);
    const person = await http.call('/v1/recipients/ada/trace');
    expect(person.json.steps).toContainEqual(expect.objectContaining({ topic: 'hr', sequence, outcome: 'notice' }));
    const inbox = await http.call('/v1/recipients/ada/inbox');
    expect(inbox.json.items[0]).toMatchObject({ title: 'Bea joined', readAt: null });
    expect((await http.call('/v1/topics/hr/events/999999/trace')).json.code).toBe('not_found');
    expect((await http.call('/v1/events/trace?topic=hr')).json.errors).toEqual([
      { field: 'query id', problem: 'is missing' },
    ]);
  });
});

describe('the dashboard', () => {
  it('shows definitions and categories', async () => {
    expect((await http.call('/v1/notifications')).json.items).toMatchObject([
      { name: 'employee-joined', channels: ['inbox', 'email'] },
    ]);
    expect((await http.call('/v1/categories')).json.items).toEqual([
      { name: 'hr', channels: ['inbox', 'email'], mandatoryChannels: ['inbox'], locked: false },
    ]);
  });

  it('shows figures, and streams them', async () => {
    const before = (await http.call('/v1/stats')).json;
    const hr = (sample: typeof before) => sample.topics.find(({ name }: { name: string }) => name === 'hr');
    await publish({ ...event, id: 'counted' });
    const after = await eventually(async () => {
      const sample = (await http.call('/v1/stats')).json;
      expect(hr(sample).subscriptions[0].handled).toBe(hr(before).subscriptions[0].handled + 1);
      return sample;
    });
    expect(hr(after).published).toBe(hr(before).published + 1);
    expect(after.notices).toBe(before.notices + 1);
    expect(after.alone).toBe(true);
    const stream = await fetch(`${http.server.url}/v1/stats/stream`, {
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
    });
    const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    await eventually(async () => {
      text += (await reader.read()).value ?? '';
      expect(text.match(/^event: stats$/gm)?.length).toBeGreaterThan(1);
    });
    await reader.cancel();
    await eventually(async () => expect((await http.call('/v1/stats')).json.openStreams).toBe(0));
    expect((await http.call('/v1/stats')).json.history.length).toBeGreaterThan(1);
  });
});
