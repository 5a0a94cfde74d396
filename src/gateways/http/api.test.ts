import { describe, expect, it } from 'vitest';
import { UNSUBSCRIBE_KEYS, useServer } from '../../../test/support/http-server.ts';
import { unsubscribePath } from '../../email/unsubscribe.ts';

const http = useServer();
const event = { specversion: '1.0', id: '1', source: '/hr', type: 'hr.employee.joined', data: { name: 'Ada' } };
const structured = { 'content-type': 'application/cloudevents+json' };

describe('publishing', () => {
  it('takes an event and answers with its place', async () => {
    const answer = await http.call('/v1/topics/hr/events', { json: event, headers: structured });
    expect(answer.status).toBe(202);
    expect(answer.json).toEqual({ accepted: 1, events: [{ id: '1', sequence: 1, duplicate: false }] });
    expect(await http.broker.browse('hr')).toMatchObject([{ messageId: '/hr#1', sequence: 1 }]);
  });

  it('takes an event of the same source and id once', async () => {
    const answer = await http.call('/v1/topics/HR/events', { json: event, headers: structured });
    expect(answer.json).toEqual({ accepted: 1, events: [{ id: '1', sequence: 1, duplicate: true }] });
    expect(await http.broker.browse('hr')).toHaveLength(1);
  });

  it('takes a batch whole or not at all', async () => {
    const headers = { 'content-type': 'application/cloudevents-batch+json' };
    const good = await http.call('/v1/topics/hr/events', {
      json: [
        { ...event, id: 'b1' },
        { ...event, id: 'b2' },
      ],
      headers,
    });
    expect(good.json.events).toMatchObject([
      { id: 'b1', sequence: 2 },
      { id: 'b2', sequence: 3 },
    ]);
    const bad = await http.call('/v1/topics/hr/events', {
      json: [
        { ...event, id: 'b3' },
        { ...event, id: '' },
      ],
      headers,
    });
    expect(bad.json).toMatchObject({ status: 400, code: 'event_invalid', index: 1 });
    expect(await http.broker.browse('hr')).toHaveLength(3);
  });

  it('refuses a topic that is not there', async () => {
    const answer = await http.call('/v1/topics/nowhere/events', { json: event, headers: structured });
    expect(answer.json).toMatchObject({ status: 404, code: 'topic_not_found' });
  });

  it('an empty batch changes nothing', async () => {
    const headers = { 'content-type': 'application/cloudevents-batch+json' };
    expect((await http.call('/v1/topics/hr/events', { json: [], headers })).json).toEqual({ accepted: 0, events: [] });
  });

  it('takes the original canonical event through its mapping', async () => {
    const answer = await http.call('/v1/ingest/enterprise-notification', {
      method: 'POST',
      body: `{'userid':'u1','message':'Here is a notification message!'}`,
    });
    expect(answer.status).toBe(202);
    expect(await http.broker.browse('enterprise')).toMatchObject([{ subject: 'u1', contentType: 'application/json' }]);
  });

  it('refuses an unknown mapping, and a key without the right on its topic', async () => {
    expect((await http.call('/v1/ingest/none', { json: {} })).json.code).toBe('mapping_not_found');
    const { json: key } = await http.call('/v1/keys', { json: { name: 'hr', grants: ['send topic:hr'] } });
    const answer = await http.call('/v1/ingest/enterprise-notification', {
      json: { userid: 'a', message: 'b' },
      key: key.secret,
    });
    expect(answer.json).toMatchObject({ code: 'right_missing', entity: 'topic:enterprise' });
  });
});

describe('keys', () => {
  it('nothing answers without one but health, the description and the pages', async () => {
    const { json: document } = await http.call('/v1/openapi.json', { key: '' });
    const open = new Set([
      '/healthz',
      '/readyz',
      '/metrics',
      '/v1/sign-in/{token}',
      '/v1/unsubscribe/{token}',
      '/v1/answers/{token}',
    ]);
    for (const [path, methods] of Object.entries(document.paths)) {
      if (open.has(path)) continue;
      for (const method of Object.keys(methods as object)) {
        const address = path.replaceAll(/\{\w+\}/g, 'x');
        const answer = await http.call(address, { method: method.toUpperCase(), key: '' });
        expect([path, method, answer.status]).toEqual([path, method, 401]);
      }
    }
  });

  it('are made with rights, used, rotated and revoked', async () => {
    const { json: made } = await http.call('/v1/keys', { json: { name: 'hr backend', grants: ['send topic:hr'] } });
    const send = (key: string, topic = 'hr') =>
      http.call(`/v1/topics/${topic}/events`, { json: event, headers: structured, key });
    expect((await send(made.secret)).status).toBe(202);
    expect((await send(made.secret, 'enterprise')).json).toMatchObject({ status: 403, code: 'right_missing' });
    const { json: rotated } = await http.call(`/v1/keys/${made.id}/rotate`, { method: 'POST' });
    expect((await send(made.secret)).status).toBe(202);
    expect((await http.call(`/v1/keys/${made.id}/secondary`, { method: 'DELETE' })).json.hasSecondary).toBe(false);
    expect((await send(made.secret)).status).toBe(401);
    expect((await http.call(`/v1/keys/${made.id}`, { method: 'DELETE' })).status).toBe(204);
    expect((await send(rotated.secret)).json.code).toBe('key_missing');
  });

  it('are listed in pages, without their secrets', async () => {
    for (const name of ['a', 'b', 'c']) await http.call('/v1/keys', { json: { name, grants: ['listen *'] } });
    const first = await http.call('/v1/keys?limit=2');
    expect(first.json.items).toHaveLength(2);
    const second = await http.call(`/v1/keys?limit=500&cursor=${first.json.next}`);
    expect(second.json.next).toBeNull();
    expect(first.text + second.text).not.toMatch(/crl_key_|hash/);
    expect((await http.call('/v1/recipients?cursor=eHk')).json.code).toBe('bad_request');
  });

  it('only a key with all rights makes keys', async () => {
    const { json: key } = await http.call('/v1/keys', { json: { name: 't', grants: ['manage topic:*'] } });
    expect((await http.call('/v1/keys', { key: key.secret })).status).toBe(403);
    expect((await http.call('/v1/keys', { json: { name: 'x', grants: ['fly *'] } })).json.detail).toMatch(/no grant/);
  });
});

describe('sign-in', () => {
  const signIn = async (body: object) => {
    const link = await http.call('/v1/sign-in-links', { json: body });
    const answer = await http.call(new URL(link.json.url).pathname, { key: '' });
    return { answer, path: new URL(link.json.url).pathname, cookie: answer.headers.get('set-cookie')!.split(';')[0]! };
  };

  it('a link sets a cookie that scripts cannot read, once', async () => {
    const { answer, path } = await signIn({ role: 'recipient', recipientId: 'ada' });
    expect(answer.status).toBe(303);
    expect(answer.headers.get('location')).toBe('/me');
    expect(answer.headers.get('set-cookie')).toMatch(/HttpOnly; SameSite=Lax/);
    expect((await http.call(path, { key: '' })).json).toMatchObject({ status: 410, code: 'link_spent' });
    const page = await http.call(path, { key: '', headers: { accept: 'text/html' } });
    expect(page.text).toContain('does not work any more');
  });

  it('a person sees their own things and nobody else’s', async () => {
    const { cookie } = await signIn({ role: 'recipient', recipientId: 'ada' });
    const as = (path: string) => http.call(path, { key: '', headers: { cookie } });
    expect((await as('/v1/me')).json).toEqual({ role: 'recipient', recipientId: 'ada' });
    expect((await as('/v1/recipients/ada/inbox')).status).toBe(200);
    for (const path of [
      '/v1/recipients/bob/inbox',
      '/v1/recipients',
      '/v1/recipients?prefix=ada',
      '/v1/keys',
      '/v1/deliveries',
    ])
      expect([path, (await as(path)).status]).toEqual([path, 403]);
  });

  it('a write with a cookie must come from our own page', async () => {
    const { cookie } = await signIn({ role: 'recipient', recipientId: 'ada' });
    const put = (headers: Record<string, string>) =>
      http.call('/v1/recipients/ada/preferences', {
        method: 'PUT',
        json: {},
        key: '',
        headers: { cookie, ...headers },
      });
    expect((await put({ origin: http.server.url })).status).toBe(200);
    expect((await put({ origin: 'https://evil.example' })).json.code).toBe('origin_refused');
    expect((await put({ origin: 'null' })).json.code).toBe('origin_refused');
    expect((await put({})).json.code).toBe('origin_refused');
  });

  it('signing out ends it', async () => {
    const { cookie } = await signIn({ role: 'admin' });
    const headers = { cookie, origin: http.server.url };
    expect((await http.call('/v1/me', { key: '', headers })).json).toEqual({ role: 'admin' });
    expect((await http.call('/v1/sign-out', { method: 'POST', key: '', headers })).status).toBe(204);
    expect((await http.call('/v1/me', { key: '', headers })).status).toBe(401);
  });

  it('a link for everything needs the right to everything', async () => {
    const { json: key } = await http.call('/v1/keys', { json: { name: 'p', grants: ['manage recipient:*'] } });
    const link = (body: object) => http.call('/v1/sign-in-links', { json: body, key: key.secret });
    expect((await link({ role: 'recipient', recipientId: 'ada' })).status).toBe(201);
    expect((await link({ role: 'admin' })).status).toBe(403);
    expect((await link({ role: 'recipient' })).json.errors).toEqual([{ field: 'recipientId', problem: 'is missing' }]);
  });
});

describe('people', () => {
  it('are put, read, listed and forgotten', async () => {
    const put = await http.call('/v1/recipients/bea', {
      method: 'PUT',
      json: { displayName: 'Bea', attributes: { team: 'red' } },
    });
    expect(put.json).toMatchObject({ id: 'bea', displayName: 'Bea', attributes: { team: 'red' } });
    expect((await http.call('/v1/recipients/bea')).json).toEqual(put.json);
    expect((await http.call('/v1/recipients?prefix=be')).json.items).toEqual([put.json]);
    expect((await http.call('/v1/recipients/bea', { method: 'DELETE' })).status).toBe(204);
    expect((await http.call('/v1/recipients/bea')).json.code).toBe('recipient_not_found');
  });

  it('a fault names its field', async () => {
    const put = (json: unknown, id = 'cy') => http.call(`/v1/recipients/${id}`, { method: 'PUT', json });
    expect((await put({ displayName: 7, nope: 1 })).json.errors).toEqual([
      { field: 'nope', problem: 'is not known here' },
      { field: 'displayName', problem: 'must be string' },
    ]);
    expect((await put({ email: 'nobody' })).json.detail).toMatch(/email is not an email address/);
    expect((await put({}, encodeURIComponent('a b'))).json.code).toBe('recipient_invalid');
  });

  it('preferences are both on until switched off', async () => {
    const path = '/v1/recipients/dan/preferences';
    expect((await http.call(path)).json).toEqual({
      SendNotificationToMobileDevice: true,
      SendNotificationToConversation: true,
      categories: {},
    });
    const json = { SendNotificationToMobileDevice: false, categories: { hr: { email: true } } };
    const put = await http.call(path, { method: 'PUT', json });
    expect(put.json).toEqual({ SendNotificationToConversation: true, ...json });
    expect((await http.call(path)).json).toEqual(put.json);
    expect((await http.call(path, { method: 'PUT', json: { SendNotificationToMobileDevice: 'no' } })).status).toBe(400);
  });
});

describe('unsubscribing', () => {
  it('a link shows a page, changes nothing until it is posted to, and then switches one category off', async () => {
    const path = unsubscribePath({ recipientId: 'eve', category: 'hr' }, UNSUBSCRIBE_KEYS);
    const preferences = async () => (await http.call('/v1/recipients/eve/preferences')).json.categories;
    expect((await http.call(path, { key: '' })).text).toContain('<form method="post">');
    expect(await preferences()).toEqual({});
    const body = new URLSearchParams({ 'List-Unsubscribe': 'One-Click' });
    expect((await http.call(path, { key: '', method: 'POST', body })).status).toBe(200);
    expect(await preferences()).toEqual({ hr: { email: false } });
    expect((await http.call(`${path}x`, { key: '' })).json.code).toBe('unsubscribe_link_invalid');
  });
});

describe('the description', () => {
  it('is OpenAPI 3.1 with every route, its errors, and no reference that leads nowhere', async () => {
    const { json: document, text } = await http.call('/v1/openapi.json', { key: '' });
    // (That answers are as it says is checked with every call of these tests.)
    expect(document.openapi).toBe('3.1.0');
    expect(Object.keys(document.components.schemas)).toEqual(['Problem']);
    for (const [, name] of text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g))
      expect(document.components.schemas).toHaveProperty(name!);
    expect(text).not.toMatch(/"\$ref":"(?!#\/components\/schemas\/)/);
    const publish = document.paths['/v1/topics/{topic}/events'].post;
    expect(Object.keys(publish.responses)).toEqual(['202', '400', '401', '403', '404', '413', '415', '500', '503']);
  });

  it('has a human page without scripts or other hosts', async () => {
    const { text, headers } = await http.call('/docs', { key: '' });
    expect(text).toContain('/v1/topics/{topic}/events');
    expect(text).toContain('id="error-topic_not_found"');
    expect(text).not.toMatch(/<script|https?:\/\//);
    expect(headers.get('content-security-policy')).toContain("default-src 'self'");
    expect((await http.call('/docs/style.css', { key: '' })).text).toContain('light-dark(');
  });
});
