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
