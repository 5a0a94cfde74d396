// What an Transport promises, proven on both implementations against node's HTTP/2 server over real TLS.

import type { AddressInfo } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { PushClient } from './client.ts';
import { type Answer, ask, field, type Http2Options, type Http2Signal, postOne, type Reply } from './port.ts';
import { nodeClient } from './reference.ts';
import { certificate, head, respond, startServer, type TestServer } from './testing.ts';

const implementations = [
  ['ours', (options: Http2Options) => new PushClient(options)],
  ['node:http2', nodeClient],
] as const;

describe.each(implementations)('an HTTP/2 client (%s)', (_, make) => {
  const closing: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  async function serve(...args: Parameters<typeof startServer>): Promise<TestServer> {
    const server = await startServer(...args);
    closing.push(() => server.stop());
    return server;
  }

  function client(port: number, options: Partial<Http2Options> = {}): PushClient {
    const made = make({ host: '127.0.0.1', port, ca: certificate.ca, ...options });
    closing.push(() => made.close(0));
    return made;
  }

  const plain = head('authorization', 'bearer abc');
  const post = (
    on: PushClient,
    path = '/3/device/1',
    body: string | Uint8Array = '{"a":1}',
    more = {},
  ): Promise<Reply> => ask(on, { head: plain, path, fields: [], body, ...more });

  test('a call arrives as it was written and its answer comes back whole', async () => {
    const seen: unknown[] = [];
    const server = await serve((stream, headers, body) => {
      seen.push([
        headers[':method'],
        headers[':authority'],
        headers[':path'],
        headers['apns-id'],
        headers.authorization,
        body.toString(),
      ]);
      respond(
        stream,
        { ':status': 400, 'apns-id': 'abc', 'content-type': 'application/json' },
        '{"reason":"BadTopic"}',
      );
    });
    const reply = await post(client(server.port), '/3/device/ff', 'grüße 🔔', { fields: ['apns-id', '12-34'] });
    expect(seen).toEqual([['POST', 'push.example', '/3/device/ff', '12-34', 'bearer abc', 'grüße 🔔']]);
    expect(reply).toMatchObject({ kind: 'answer', status: 400 });
    expect(field(reply as Answer, 'apns-id')).toBe('abc');
    expect((reply as Answer).body.toString()).toBe('{"reason":"BadTopic"}');
  });

  test('five thousand calls never run more at once than the peer allows', async () => {
    const server = await serve((stream) => setImmediate(() => respond(stream, { ':status': 200 })), {
      settings: { maxConcurrentStreams: 10 },
    });
    const on = client(server.port, { maxWaiting: 10_000 });
    const replies = await Promise.all(Array.from({ length: 5000 }, () => post(on)));
    expect(replies.filter((reply) => reply.kind === 'answer' && reply.status === 200)).toHaveLength(5000);
    expect(server.peak()).toBe(10);
  });

  test('more error bodies than a window holds do not stop the connection', async () => {
    const server = await serve((stream) =>
      respond(stream, { ':status': 410 }, '{"reason":"Unregistered","timestamp":1}'),
    );
    const on = client(server.port, { maxWaiting: 10_000 });
    const replies = await Promise.all(Array.from({ length: 4000 }, () => post(on)));
    expect(replies.every((reply) => reply.kind === 'answer' && reply.body.length === 39)).toBe(true);
    expect(server.sessions).toHaveLength(1);
  });

  test('a body larger than every window arrives whole', async () => {
    const server = await serve(
      (stream, _headers, body) => respond(stream, { ':status': 200 }, `${body.length} ${body[body.length - 1]}`),
      {
        settings: { initialWindowSize: 1000 },
      },
    );
    const on = client(server.port);
    const bodies = [new Uint8Array(300_000).fill(7), 'é'.repeat(40_000), 'x'.repeat(1000), 'x'.repeat(1001)];
    const replies = await Promise.all(bodies.map((body) => post(on, '/', body)));
    expect(replies.map((reply) => (reply as Answer).body.toString())).toEqual([
      '300000 7',
      '80000 169',
      '1000 120',
      '1001 120',
    ]);
  });

  test('a call without an answer in time is lost and costs no other call anything', async () => {
    const server = await serve((stream, headers) => {
      if (headers[':path'] !== '/slow') respond(stream, { ':status': 200 });
    });
    const on = client(server.port);
    const [slow, quick] = await Promise.all([post(on, '/slow', 'x', { timeoutMs: 100 }), post(on)]);
    expect(slow).toEqual({ kind: 'lost', cause: 'timeout' });
    expect(quick.kind).toBe('answer');
    expect((await post(on)).kind).toBe('answer');
    expect(server.sessions).toHaveLength(1);
  });

  test('a stream that the peer resets is lost, one that it refuses is sent again', async () => {
    let refusals = 0;
    const server = await serve((stream, headers) => {
      if (headers[':path'] === '/reset') stream.close(2);
      else if (headers[':path'] === '/never' || refusals++ < 2) stream.close(7);
      else respond(stream, { ':status': 200 });
    });
    const on = client(server.port);
    expect((await post(on, '/reset')).kind).toBe('lost');
    expect((await post(on, '/refused')).kind).toBe('answer');
    expect(await post(on, '/never')).toEqual({ kind: 'unprocessed', cause: 'refused_stream' });
  });

  test('after GOAWAY calls go on over a new connection', async () => {
    let calls = 0;
    const server = await serve((stream) => {
      calls += 1;
      if (calls === 50) stream.session?.close();
      respond(stream, { ':status': 200 });
    });
    const on = client(server.port, { maxStreams: 10 });
    const replies = await Promise.all(Array.from({ length: 200 }, () => post(on)));
    expect(replies.every((reply) => reply.kind === 'answer')).toBe(true);
    expect(server.sessions).toHaveLength(2);
  });

  test('a dead connection loses what ran on it and nothing else', async () => {
    const server = await serve((stream, headers) => {
      if (headers[':path'] === '/kill') stream.session?.destroy();
      else respond(stream, { ':status': 200 });
    });
    const on = client(server.port);
    expect((await post(on)).kind).toBe('answer');
    expect((await post(on, '/kill')).kind).toBe('lost');
    expect((await post(on)).kind).toBe('answer');
  });

  test('a service that is not there, or speaks no HTTP/2, processed nothing', async () => {
    const other = createTlsServer({ cert: certificate.cert, key: certificate.key, ALPNProtocols: ['http/1.1'] });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const reply = await post(client(port));
    expect(reply).toMatchObject({ kind: 'unprocessed' });
    await new Promise((resolve) => other.close(resolve));
    expect(await post(client(port))).toEqual({ kind: 'unprocessed', cause: 'connect_failed:ECONNREFUSED' });
  });

  test('a certificate that nobody vouches for is refused', async () => {
    const server = await serve((stream) => respond(stream, { ':status': 200 }));
    const reply = await post(client(server.port, { ca: [] }));
    expect(reply).toEqual({ kind: 'unprocessed', cause: 'connect_failed:UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
  });

  test('an address that the guard refuses is never connected to', async () => {
    const server = await serve((stream) => respond(stream, { ':status': 200 }));
    const refuseAddress = (address: string): string | undefined =>
      address.startsWith('127.') || address === '::1' ? 'loopback' : undefined;
    for (const host of ['127.0.0.1', 'localhost'])
      expect(await post(client(server.port, { host, refuseAddress }))).toEqual({
        kind: 'unprocessed',
        cause: 'connect_failed:ADDRESS_REFUSED',
      });
    expect(server.sessions).toHaveLength(0);
  });

  test('informational answers are passed over and trailers are kept', async () => {
    const server = await serve((stream) => {
      stream.additionalHeaders({ ':status': 103, link: '</x>' });
      stream.respond({ ':status': 200, a: '1' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ b: '2' }));
      stream.end('body');
    });
    const reply = (await post(client(server.port))) as Answer;
    expect([reply.status, field(reply, 'a'), field(reply, 'b'), reply.body.toString()]).toEqual([
      200,
      '1',
      '2',
      'body',
    ]);
  });

  test('heads may alternate and be as long as several frames', async () => {
    const server = await serve((stream, headers) =>
      respond(stream, { ':status': 200, echo: String(headers.who), size: String(headers.big).length }),
    );
    const on = client(server.port);
    const heads = ['a', 'b', 'c'].map((who) => head('who', who, 'big', who.repeat(1500)));
    const long = head('who', 'long', 'big', 'l'.repeat(20_000));
    for (let round = 0; round < 3; round += 1)
      for (const each of [...heads, long]) {
        const reply = (await ask(on, { head: each, path: '/', fields: [], body: '' })) as Answer;
        expect([field(reply, 'echo'), field(reply, 'size')]).toEqual([each.fields[1], String(each.fields[3]!.length)]);
      }
  });

  test('an urgent call overtakes those that wait', async () => {
    const order: string[] = [];
    const server = await serve(
      (stream, headers) => {
        order.push(String(headers[':path']));
        setImmediate(() => respond(stream, { ':status': 200 }));
      },
      { settings: { maxConcurrentStreams: 1 } },
    );
    const on = client(server.port);
    const broadcast = Array.from({ length: 50 }, (_v, i) => post(on, `/${i}`));
    await broadcast[2];
    await post(on, '/urgent', 'x', { urgent: true });
    await Promise.all(broadcast);
    expect(order.indexOf('/urgent')).toBeLessThan(8);
  });

  test('a full window says so, and room comes back', async () => {
    const server = await serve((stream) => respond(stream, { ':status': 200 }), {
      settings: { maxConcurrentStreams: 2 },
    });
    const on = client(server.port, { maxWaiting: 10 });
    const replies: Reply[] = [];
    const send = (): boolean =>
      postOne(on, { head: plain, path: '/', fields: [], body: '', settle: (reply) => replies.push(reply) });
    let accepted = 1;
    while (send()) accepted += 1;
    expect(accepted).toBeGreaterThanOrEqual(10);
    await on.whenRoom();
    expect(send()).toBe(true);
    for (let i = 0; i < 30; i += 1) send();
    await expect.poll(() => replies.length).toBe(accepted + 31);
    expect(replies.some((reply) => reply.kind === 'unprocessed' && reply.cause === 'queue_full')).toBe(true);
  });

  test('more connections are opened when the first is full, and closed with the client', async () => {
    const server = await serve((stream) => setTimeout(() => respond(stream, { ':status': 200 }), 20), {
      settings: { maxConcurrentStreams: 5 },
    });
    const signals: Http2Signal[] = [];
    const on = client(server.port, { maxConnections: 3, emit: (signal) => signals.push(signal) });
    await Promise.all(Array.from({ length: 100 }, () => post(on)));
    expect(on.connections).toBe(3);
    await on.close();
    expect(signals.filter((signal) => signal.name === 'http2.connected')).toHaveLength(3);
    expect(on.connections).toBe(0);
    expect(await post(on)).toEqual({ kind: 'unprocessed', cause: 'closed' });
  });

  test('closing lets the running calls finish', async () => {
    const server = await serve((stream) => setTimeout(() => respond(stream, { ':status': 200 }), 60));
    const on = client(server.port);
    await post(on);
    const running = post(on);
    await on.close();
    expect((await running).kind).toBe('answer');
  });

  test('a connection whose stream ids are used up is replaced', async () => {
    const server = await serve((stream) => respond(stream, { ':status': 200 }));
    const on = client(server.port, { lastStreamId: 41 });
    const replies = await Promise.all(Array.from({ length: 100 }, () => post(on)));
    expect(replies.every((reply) => reply.kind === 'answer')).toBe(true);
    expect(server.sessions.length).toBeGreaterThanOrEqual(4);
  });

  test('what was refused goes out again before what still waits', async () => {
    const order: string[] = [];
    const server = await serve(
      (stream, headers) => {
        order.push(String(headers[':path']));
        if (order.length === 1) stream.close(7);
        else respond(stream, { ':status': 200 });
      },
      { settings: { maxConcurrentStreams: 1 } },
    );
    const on = client(server.port);
    await Promise.all(['/0', '/1', '/2'].map((path) => post(on, path)));
    expect(order).toEqual(['/0', '/0', '/1', '/2']);
  });

  test('no second connection is opened before the first has answered', async () => {
    const held: (() => void)[] = [];
    const server = await serve((stream) => held.push(() => respond(stream, { ':status': 200 })), {
      settings: { maxConcurrentStreams: 1 },
    });
    const on = client(server.port, { maxConnections: 3 });
    const first = post(on);
    // It waits in the queue, behind a full connection, until its own time is over.
    expect(await post(on, '/', 'x', { timeoutMs: 200 })).toEqual({ kind: 'unprocessed', cause: 'timeout' });
    expect(server.sessions).toHaveLength(1);
    const more = [post(on), post(on)];
    held.shift()?.();
    await first;
    await expect.poll(() => server.sessions.length).toBeGreaterThan(1);
    const release = setInterval(() => held.shift()?.(), 5);
    await Promise.all(more);
    clearInterval(release);
  });
});
