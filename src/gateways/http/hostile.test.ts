// What strangers send. Every one gets a clear answer, and afterwards the server still works.
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ADMIN_KEY, useServer } from '../../../test/support/http-server.ts';

const http = useServer();
const own = { specversion: '1.0', id: '1', source: '/s', type: 't' };
const events = '/v1/topics/hr/events';

/** Sends bytes as they are and returns all that comes back until the server closes. */
async function raw(bytes: string | Buffer): Promise<string> {
  const socket = connect(http.server.port, '127.0.0.1');
  await once(socket, 'connect');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => undefined); // a reset is an answer too; what came before it is looked at
  socket.write(bytes);
  await once(socket, 'close');
  return Buffer.concat(chunks).toString();
}

const head = (lines: readonly string[]) =>
  [
    `POST ${events} HTTP/1.1`,
    'host: x',
    'connection: close',
    `authorization: Bearer ${ADMIN_KEY}`,
    ...lines,
    '',
    '',
  ].join('\r\n');

afterEach(async () => {
  expect((await http.call('/healthz')).json).toEqual({ status: 'ok' });
  expect(http.signals.filter(({ name }) => name === 'http.failed')).toEqual([]);
});

describe('bodies', () => {
  const post = (body: string | Uint8Array, type: string, headers: Record<string, string> = {}) =>
    http.call(events, { method: 'POST', body: body as string, headers: { 'content-type': type, ...headers } });

  it('of a wrong type are refused with the types that work', async () => {
    expect((await post('<a/>', 'application/cloudevents+xml')).json).toMatchObject({
      status: 415,
      code: 'unsupported_media_type',
    });
    expect((await post('x', 'text/plain')).json.detail).toContain('application/cloudevents+json');
    expect(
      (await http.call('/v1/keys', { method: 'POST', body: 'a=b', headers: { 'content-type': 'text/plain' } })).json,
    ).toMatchObject({
      status: 415,
    });
  });

  it('that are compressed are refused', async () => {
    const answer = await post('{}', 'application/cloudevents+json', { 'content-encoding': 'gzip' });
    expect(answer.json.detail).toContain('gzip');
    expect(answer.status).toBe(415);
  });

  it('that are broken JSON or broken UTF-8 are refused with the place', async () => {
    expect((await post('{"specversion":', 'application/cloudevents+json')).json.detail).toContain('not valid JSON');
    expect((await post(Uint8Array.of(0x7b, 0xff), 'application/cloudevents+json')).json.detail).toContain('UTF-8');
    for (const body of ['{"name":', '', 'null', '[]', '"x"', '{"__proto__":{}}'])
      expect([
        body,
        (await http.call('/v1/keys', { method: 'POST', body, headers: { 'content-type': 'application/json' } })).status,
      ]).toEqual([body, 400]);
  });

  it('that nest deep are refused, here and on ordinary routes', async () => {
    const deep = `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    expect((await post(deep, 'application/cloudevents+json')).json.detail).toContain('deeper than 64');
    const put = await http.call('/v1/recipients/a', {
      method: 'PUT',
      body: deep,
      headers: { 'content-type': 'application/json' },
    });
    expect(put.json.detail).toContain('deeper than 32');
  });

  it('that are too large are refused with the limit', async () => {
    const data = 'x'.repeat(1024 * 1024);
    expect((await post(JSON.stringify({ ...own, data }), 'application/cloudevents+json')).json).toMatchObject({
      status: 413,
      code: 'too_large',
      limitBytes: 1024 * 1024,
    });
    expect((await post('x'.repeat(9 * 1024 * 1024), 'text/plain')).status).toBe(413);
    const put = await http.call('/v1/recipients/a', { method: 'PUT', json: { displayName: 'x'.repeat(300_000) } });
    expect(put.status).toBe(413);
  });
});

describe('headers', () => {
  it('of more than 16 KiB are refused', async () => {
    const answer = await raw(head([`x: ${'y'.repeat(20_000)}`]));
    expect(answer).toMatch(/^HTTP\/1.1 431 /);
    expect(answer).toContain('"code":"headers_too_large"');
  });

  it('with broken or tricky event attributes are refused by name', async () => {
    const ce = ['ce-specversion: 1.0', 'ce-id: 1', 'ce-source: /s', 'ce-type: t', 'content-length: 0'];
    expect(await raw(head([...ce, 'ce-subject: %FF']))).toContain('"field":"ce-subject"');
    expect(await raw(head([...ce, 'ce-subject: %00']))).toContain('control characters');
    expect(await raw(head([...ce, 'ce-a_b: 1']))).toContain('"field":"a_b"');
    expect(await raw(head([...ce, 'ce-__proto__: 1']))).toContain('"field":"__proto__"');
    expect(await raw(head(ce))).toMatch(/^HTTP\/1.1 202 /);
  });

  it('that are no HTTP get an answer too', async () => {
    expect(await raw('HELLO\r\n\r\n')).toMatch(/^HTTP\/1.1 400 [\s\S]*"code":"bad_request"/);
    expect(await raw(head(['content-length: 1', 'transfer-encoding: chunked']))).toMatch(/^HTTP\/1.1 400 /);
    expect(await raw(head(['content-length: -1']))).toMatch(/^HTTP\/1.1 400 /);
  });

  it('cannot smuggle a request id into the log or the answer', async () => {
    const good = await http.call('/healthz', { headers: { 'x-request-id': 'abc-1' } });
    expect(good.headers.get('x-request-id')).toBe('abc-1');
    const bad = await http.call('/healthz', { headers: { 'x-request-id': '<script>' } });
    expect(bad.headers.get('x-request-id')).toMatch(/^[\w-]{36}$/);
  });
});

describe('paths', () => {
  it.each([
    '/../../etc/passwd',
    '/assets/..%2f..%2fpackage.json',
    '/%2e%2e/package.json',
    '/v1/../package.json',
    '/nope',
    '//',
  ])('%s is nowhere', async (path) => {
    const answer = await raw(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1.1 404 /);
    expect(answer).toContain('"code":"not_found"');
  });

  it.each(['/v1/topics/%zz/events', '/v1/recipients/%ff/inbox', '/%'])('%s is no address', async (path) => {
    const answer = await raw(
      `GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${ADMIN_KEY}\r\nconnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1.1 400 [\s\S]*"code":"bad_request"/);
  });

  it('with a wrong method name the right ones', async () => {
    const answer = await http.call(events, { method: 'DELETE' });
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toContain('POST');
    expect(await raw(`BREW / HTTP/1.1\r\nhost: x\r\n\r\n`)).toMatch(/^HTTP\/1.1 400 /);
  });

  it('with names of any kind are decoded once and never trusted', async () => {
    for (const id of ["a'; drop table recipient; --", '../x', 'a\u0000b', 'ü', 'x'.repeat(129), '%2e'])
      expect([id, (await http.call(`/v1/recipients/${encodeURIComponent(id)}/inbox`)).status]).toEqual([id, 400]);
  });
});

describe('queries', () => {
  it('out of range name the parameter', async () => {
    for (const query of ['limit=0', 'limit=x', 'limit=501', 'filter=none', 'limit=1e99']) {
      const { json } = await http.call(`/v1/recipients/ada/inbox?${query}`);
      expect([query, json.code, json.errors[0].field]).toEqual([query, 'bad_request', `query ${query.split('=')[0]}`]);
    }
    expect((await http.call('/v1/recipients/ada/inbox?cursor=%00')).status).toBe(400);
  });
});

describe('bugs of ours', () => {
  it('answer with nothing of their inside', async () => {
    const original = http.inbox.reader;
    http.inbox.reader = () => {
      throw new Error('secret inside');
    };
    try {
      const answer = await http.call('/v1/recipients/ada/inbox/stream');
      expect(answer.json).toMatchObject({ status: 500, code: 'internal_error', retryable: true });
      expect(answer.text).not.toContain('secret');
      expect(http.signals.filter(({ name }) => name === 'http.failed')).toHaveLength(1);
    } finally {
      http.inbox.reader = original;
      http.signals.length = 0;
    }
  });
});
