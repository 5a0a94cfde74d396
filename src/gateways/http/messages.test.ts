// Consumer programs over HTTP: what a broker's client can do, request by request.
import { beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../../../test/support/eventually.ts';
import { ADMIN_KEY, useServer } from '../../../test/support/http-server.ts';

const http = useServer();
const sub = '/v1/topics/enterprise/subscriptions/worker';
const queue = '/v1/queues/orders';

beforeAll(async () => {
  await http.call(sub, { method: 'PUT', json: { lockDurationMs: 5000, maxDeliveryCount: 2 } });
  await http.call(queue, { method: 'PUT', json: { lockDurationMs: 5000 } });
  await http.call('/v1/queues/chats', { method: 'PUT', json: { requiresSession: true } });
});

const send = (path: string, ...messages: object[]) => http.call(`${path}/messages`, { json: { messages } });
const receive = async (path: string, body: object = {}) => {
  const answer = await http.call(`${path}/receive`, { json: { waitMs: 5000, ...body } });
  expect(answer.status).toBe(200);
  return answer.json.messages;
};
const settle = (path: string, as: string, messages: { lockToken: string }[], more: object = {}) =>
  http.call(`${path}/settle`, { json: { as, lockTokens: messages.map(({ lockToken }) => lockToken), ...more } });

describe('a subscription', () => {
  it('hands out messages under locks, and completes them', async () => {
    await send('/v1/topics/enterprise', {
      messageId: 'm1',
      subject: 's',
      properties: { n: 1, at: { $date: '2026-01-01T00:00:00.000Z' } },
      body: { a: 1 },
    });
    const [message] = await receive(sub);
    expect(message).toMatchObject({
      messageId: 'm1',
      subject: 's',
      contentType: 'application/json',
      body: { a: 1 },
      properties: { n: 1, at: { $date: '2026-01-01T00:00:00.000Z' } },
      deliveryCount: 0,
      lockedUntil: expect.any(String),
    });
    expect((await settle(sub, 'complete', [message])).json).toEqual({ settled: 1 });
    const again = await settle(sub, 'complete', [message]);
    expect(again.json).toMatchObject({ status: 410, code: 'lock_lost', lost: [message.lockToken] });
    expect((await http.call(sub)).json.active).toBe(0);
  });

  it('keeps text, JSON and bytes apart', async () => {
    const bodies = [
      { body: 'täxt' },
      { body: [1, 'x'] },
      { bodyBase64: '/wA=' },
      { body: 'json', contentType: 'application/json' },
      {},
    ];
    await send('/v1/topics/enterprise', ...bodies);
    const messages = await receive(sub, { max: 10 });
    expect(messages.map(({ body, bodyBase64 }: { body: unknown; bodyBase64: unknown }) => [body, bodyBase64])).toEqual([
      ['täxt', undefined],
      [[1, 'x'], undefined],
      [undefined, '/wA='],
      ['json', undefined],
      [undefined, undefined],
    ]);
    await settle(sub, 'complete', messages);
    expect((await send('/v1/topics/enterprise', { body: 1, bodyBase64: '' })).json.errors[0].field).toBe('bodyBase64');
  });

  it('counts what was abandoned, and dead-letters it in the end', async () => {
    await send('/v1/topics/enterprise', { messageId: 'poison' });
    for (const deliveryCount of [0, 1]) {
      const [message] = await receive(sub);
      expect(message).toMatchObject({ messageId: 'poison', deliveryCount });
      await settle(sub, 'abandon', [message]);
    }
    const [dead] = await receive(sub, { of: 'dead' });
    expect(dead).toMatchObject({ messageId: 'poison', deadLetterReason: expect.any(String) });
    expect((await settle(sub, 'complete', [dead], { of: 'dead' })).status).toBe(200);
    expect((await http.call(sub)).json.deadLettered).toBe(0);
  });

  it('releases without counting, defers, receives by number, and dead-letters with a reason', async () => {
    await send('/v1/topics/enterprise', { messageId: 'd1' });
    await settle(sub, 'release', await receive(sub));
    const [first] = await receive(sub);
    expect(first.deliveryCount).toBe(0);
    await settle(sub, 'defer', [first], { properties: { why: 'later' } });
    const { json } = await http.call(`${sub}/messages`);
    expect(json.items).toMatchObject([{ messageId: 'd1', state: 'deferred', properties: { why: 'later' } }]);
    const [deferred] = await receive(sub, { sequences: [first.sequence] });
    await settle(sub, 'deadLetter', [deferred], { reason: 'bad', description: 'very' });
    const peeked = await http.call(`${sub}/messages?of=dead`);
    expect(peeked.json.items).toMatchObject([
      { messageId: 'd1', deadLetterReason: 'bad', deadLetterDescription: 'very' },
    ]);
    expect((await http.call(`${sub}/receive`, { json: { sequences: [first.sequence] } })).json.code).toBe(
      'message_not_found',
    );
  });

  it('renews locks', async () => {
    await send('/v1/topics/enterprise', {});
    const [message] = await receive(sub);
    const renewed = await http.call(`${sub}/renew`, { json: { lockTokens: [message.lockToken] } });
    expect(renewed.json.lockedUntil[0] >= message.lockedUntil).toBe(true);
    await settle(sub, 'complete', [message]);
    expect((await http.call(`${sub}/renew`, { json: { lockTokens: [message.lockToken] } })).json.code).toBe(
      'lock_lost',
    );
    expect((await http.call(`${sub}/renew`, { json: { lockTokens: ['no token'] } })).status).toBe(410);
  });

  it('needs the right to listen', async () => {
    const { json: key } = await http.call('/v1/keys', { json: { name: 's', grants: ['send topic:*'] } });
    expect((await http.call(`${sub}/receive`, { json: {}, key: key.secret })).status).toBe(403);
    expect((await http.call(`${queue}/messages`, { json: { messages: [{}] }, key: key.secret })).status).toBe(202);
    await receive(queue, { mode: 'receiveAndDelete' });
  });
});

describe('a long poll', () => {
  it('answers as soon as there is something, and empty when its time is over', async () => {
    const waiting = receive(queue, { waitMs: 20_000 });
    await send(queue, { messageId: 'soon' });
    const [message] = await waiting;
    expect(message.messageId).toBe('soon');
    await settle(queue, 'complete', [message]);
    expect(await receive(queue, { waitMs: 20 })).toEqual([]);
  });

  it('whose caller has gone takes nothing away', async () => {
    const gone = new AbortController();
    const poll = fetch(`${http.server.url}${queue}/receive`, {
      method: 'POST',
      body: '{"waitMs":60000}',
      headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
      signal: gone.signal,
    }).catch((error: Error) => error.name);
    await receive(queue, { waitMs: 50 }); // by now the other one waits
    gone.abort();
    expect(await poll).toBe('AbortError');
    await send(queue, { messageId: 'kept' });
    const [message] = await receive(queue);
    expect(message).toMatchObject({ messageId: 'kept', deliveryCount: 0 });
    await settle(queue, 'complete', [message]);
  });
});

describe('queues', () => {
  it('have the settings of both sides, and are no topics', async () => {
    const put = await http.call('/v1/queues/tasks', { method: 'PUT', json: { maxDeliveryCount: 7, retentionMs: 5 } });
    expect(put.status).toBe(201);
    expect(put.json).toMatchObject({ name: 'tasks', maxDeliveryCount: 7, retentionMs: 5, active: 0 });
    const changed = await http.call('/v1/queues/tasks', {
      method: 'PUT',
      json: { maxDeliveryCount: 8, status: 'sendDisabled' },
    });
    expect(changed.json).toMatchObject({ maxDeliveryCount: 8, retentionMs: 5, status: 'sendDisabled' });
    expect((await send('/v1/queues/tasks', {})).json.code).toBe('entity_disabled');
    const names = (await http.call('/v1/queues')).json.items.map(({ name }: { name: string }) => name);
    expect(names).toEqual(['chats', 'orders', 'tasks']);
    expect((await http.call('/v1/topics/tasks')).json.code).toBe('topic_not_found');
    expect((await http.call('/v1/queues/hr')).json.code).toBe('topic_not_found');
    expect((await http.call('/v1/queues/tasks', { method: 'DELETE' })).status).toBe(204);
  });

  it('can be emptied by receiving and deleting', async () => {
    await send(queue, ...Array.from({ length: 20 }, (_, i) => ({ messageId: `r${i}` })));
    const taken: unknown[] = [];
    while (taken.length < 20) taken.push(...(await receive(queue, { max: 20, mode: 'receiveAndDelete' })));
    expect(taken[0]).not.toHaveProperty('lockToken');
    await eventually(async () => expect((await http.call(queue)).json.active).toBe(0));
  });
});

describe('upkeep', () => {
  const path = '/v1/topics/enterprise/subscriptions/upkeep';
  const bury = async (count: number, reason: string) => {
    await send('/v1/topics/enterprise', ...Array.from({ length: count }, () => ({})));
    for (let left = count; left > 0; ) {
      const messages = await receive(path, { max: left });
      left -= messages.length;
      await settle(path, 'deadLetter', messages, { reason });
    }
  };
  beforeAll(() => http.call(path, { method: 'PUT', json: {} }));

  it('counts dead letters by cause, and brings them back by cause, by number, or all', async () => {
    await bury(3, 'bad');
    await bury(2, 'worse');
    const { json: causes } = await http.call(`${path}/dead-letters/causes`);
    expect(causes.items).toMatchObject([
      { reason: 'bad', count: 3 },
      { reason: 'worse', count: 2 },
    ]);
    const redrive = (json: object) => http.call(`${path}/dead-letters/redrive`, { json });
    expect((await redrive({ reason: 'bad' })).json).toEqual({ redriven: 3 });
    const [one] = (await http.call(`${path}/messages?of=dead`)).json.items;
    expect((await redrive({ sequences: [one.sequence] })).json).toEqual({ redriven: 1 });
    expect((await http.call(path)).json).toMatchObject({ active: 4, deadLettered: 1 });
    expect((await redrive({})).json.errors[0].field).toBe('sequences');
    const stream = await http.call(`${path}/dead-letters/redrive`, {
      json: { all: true },
      headers: { accept: 'text/event-stream' },
    });
    expect(stream.text).toContain('event: done\ndata: {"redriven":1}');
    expect(
      (
        await http.call('/v1/queues/nope/dead-letters/redrive', {
          json: { all: true },
          headers: { accept: 'text/event-stream' },
        })
      ).status,
    ).toBe(404);
  });

  it('throws away what waits', async () => {
    await bury(2, 'x');
    expect((await http.call(`${path}/purge`, { json: { of: 'dead' } })).json).toEqual({ purged: 2 });
    expect((await http.call(`${path}/purge`, { json: {} })).json).toEqual({ purged: 5 });
    expect((await http.call(path)).json).toMatchObject({ active: 0, deadLettered: 0 });
  });

  it('reads again from a number; a new subscription may begin in the past', async () => {
    await send('/v1/topics/enterprise', { messageId: 'again' });
    const [message] = await receive(path);
    await settle(path, 'complete', [message]);
    expect((await http.call(`${path}/replay`, { json: { sequence: message.sequence } })).status).toBe(204);
    expect(await receive(path)).toMatchObject([{ messageId: 'again' }]);
    const json = { from: { sequence: message.sequence } };
    expect((await http.call(`${path}2`, { method: 'PUT', json })).status).toBe(201);
    expect(await receive(`${path}2`)).toMatchObject([{ messageId: 'again' }]);
    expect((await http.call(`${path}2`, { method: 'PUT', json })).json.code).toBe('conflict');
    expect((await http.call(`${path}/replay`, { json: {} })).status).toBe(400);
    expect((await http.call(`${path}/replay`, { json: { time: 'now' } })).status).toBe(400);
  });

  it('needs the right to manage', async () => {
    const { json: key } = await http.call('/v1/keys', { json: { name: 'l', grants: ['listen topic:*'] } });
    for (const [what, json] of [
      ['purge', {}],
      ['replay', { oldest: true }],
      ['dead-letters/redrive', { all: true }],
    ] as const)
      expect((await http.call(`${path}/${what}`, { json, key: key.secret })).status).toBe(403);
  });
});

describe('scheduling', () => {
  it('keeps a message until its time, or until it is cancelled', async () => {
    const scheduledAt = new Date(Date.now() + 3_600_000).toISOString();
    const sent = await send(queue, { messageId: 'later', scheduledAt });
    expect((await http.call(queue)).json).toMatchObject({ active: 0, scheduled: 1 });
    const cancel = () =>
      http.call(`${queue}/scheduled/cancel`, { json: { sequences: [sent.json.messages[0].sequence] } });
    expect((await cancel()).status).toBe(204);
    expect((await cancel()).json.code).toBe('message_not_found');
    await send(queue, { messageId: 'soon', scheduledAt: new Date(Date.now() + 200).toISOString() });
    expect(await receive(queue, { mode: 'receiveAndDelete' })).toMatchObject([{ messageId: 'soon' }]);
    expect((await send(queue, { scheduledAt: 'tomorrow' })).json.errors[0].field).toMatch(/scheduledAt/);
  });
});

describe('sessions', () => {
  const chats = '/v1/queues/chats';

  it('come in order to one holder, with state', async () => {
    await send(chats, { sessionId: 'a', messageId: 'a1' }, { sessionId: 'a', messageId: 'a2' });
    expect((await http.call(`${chats}/sessions`)).json.items).toEqual(['a']);
    const { status, json: held } = await http.call(`${chats}/sessions`, { json: {} });
    expect([status, held.id]).toEqual([201, 'a']);
    expect((await http.call(`${chats}/sessions`, { json: { id: 'a' } })).json.code).toBe('session_locked');
    expect((await http.call(`${chats}/sessions`, { json: {} })).status).toBe(404);
    const messages = await receive(chats, { session: held.session, max: 10 });
    expect(messages.map(({ messageId }: { messageId: string }) => messageId)).toEqual(['a1', 'a2']);
    const state = `${chats}/sessions/${held.session}/state`;
    expect((await http.call(state, { method: 'PUT', json: { stateBase64: 'AQI=' } })).status).toBe(204);
    expect((await settle(chats, 'complete', messages, { session: held.session })).status).toBe(200);
    expect(
      (await http.call(`${chats}/sessions/${held.session}/renew`, { method: 'POST' })).json.lockedUntil >=
        held.lockedUntil,
    ).toBe(true);
    expect((await http.call(`${chats}/sessions/${held.session}`, { method: 'DELETE' })).status).toBe(204);
    expect((await http.call(state)).json.code).toBe('session_lock_lost');
    const { json: next } = await http.call(`${chats}/sessions`, { json: { id: 'a' } });
    expect((await http.call(`${chats}/sessions/${next.session}/state`)).json).toEqual({ stateBase64: 'AQI=' });
    expect((await http.call(`${queue}/sessions/${next.session}/state`)).json.code).toBe('session_lock_lost');
  });

  it('a message needs one where they are required', async () => {
    expect((await send(chats, { messageId: 'x' })).json.code).toBe('bad_request');
  });
});
