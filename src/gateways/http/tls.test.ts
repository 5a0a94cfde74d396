import { once } from 'node:events';
import { get } from 'node:https';
import { expect, it } from 'vitest';
import { useServer } from '../../../test/support/http-server.ts';
import { makeCertificate } from '../../kit/certificate.ts';

const { ca, cert, key } = makeCertificate();
const http = useServer({ tls: { port: 0, cert, key } });

it('the same is served over TLS', async () => {
  const request = get({ port: http.server.tlsPort, host: 'localhost', path: '/healthz', ca, agent: false });
  const [answer] = await once(request, 'response');
  expect(answer.statusCode).toBe(200);
  answer.resume();
  await once(answer, 'end');
});
