import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { get } from 'node:https';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { useServer } from '../../../test/support/http-server.ts';
import { makeCertificate } from '../../kit/certificate.ts';

const { ca, cert, key } = makeCertificate();
const http = useServer({ tls: { port: 0, cert, key } });
const origin = () => `https://localhost:${http.server.tlsPort}`;

it('the same is served over TLS with HTTP/1.1', async () => {
  const request = get({ port: http.server.tlsPort, host: 'localhost', path: '/healthz', ca, agent: false });
  const [answer] = await once(request, 'response');
  expect([answer.statusCode, answer.httpVersion]).toEqual([200, '1.1']);
  answer.resume();
  await once(answer, 'end');
});

it('and with HTTP/2: many requests side by side, bodies both ways, streams that do not end', async () => {
  const session = connect(origin(), { ca });
  const authorization = 'Bearer admin-key-of-the-tests';
  const ask = async (method: string, path: string, body?: unknown) => {
    const headers = { ':method': method, ':path': path, authorization };
    const stream = session.request(body === undefined ? headers : { ...headers, 'content-type': 'application/json' });
    stream.end(body === undefined ? undefined : JSON.stringify(body));
    const [answer] = await once(stream, 'response');
    return { status: answer[':status'], json: JSON.parse((await text(stream)) || 'null') };
  };
  const made = await ask('PUT', '/v1/recipients/ada', { displayName: 'Ada' });
  expect(made).toMatchObject({ status: 200, json: { id: 'ada' } });
  const answers = await Promise.all(Array.from({ length: 300 }, () => ask('GET', '/v1/recipients/ada')));
  expect(answers.every(({ status }) => status === 200)).toBe(true);
  expect((await ask('GET', '/v1/recipients/nobody')).json).toMatchObject({ status: 404 });
  const stream = session.request({ ':path': '/v1/recipients/ada/inbox/stream', authorization });
  const [head] = await once(stream, 'response');
  expect(head['content-type']).toContain('text/event-stream');
  const [first] = await once(stream, 'data');
  expect(String(first)).toContain('retry');
  stream.close();
  await new Promise<void>((resolve) => session.close(resolve));
});

it('a request that breaks off harms nobody else', async () => {
  const session = connect(origin(), { ca });
  const stream = session.request({ ':method': 'PUT', ':path': '/v1/recipients/bob', 'content-length': '1000' });
  stream.on('error', () => {});
  stream.write('{');
  session.destroy();
  expect((await http.call('/healthz')).status).toBe(200);
});

it("nghttp2's client is served", async () => {
  const { stdout } = await promisify(execFile)('nghttp', ['-v', '--no-verify-peer', `${origin()}/healthz`]);
  expect(stdout).toMatch(/:status: 200/);
  expect(stdout).not.toMatch(/GOAWAY[\s\S]*error_code=(?!NO_ERROR)/);
});
