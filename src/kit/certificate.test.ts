import { X509Certificate } from 'node:crypto';
import { connect, createServer } from 'node:tls';
import { expect, test } from 'vitest';
import { makeCertificate } from './certificate.ts';

test('a TLS client that trusts the local authority accepts the server by name and by address', async () => {
  const { ca, cert, key } = makeCertificate();
  const server = createServer({ cert, key }, (socket) => socket.end('hello'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  for (const host of ['127.0.0.1', 'localhost']) {
    const text = await new Promise<string>((resolve, reject) => {
      const socket = connect({ host, port, ca, ...(host === 'localhost' ? { servername: host, family: 4 } : {}) });
      socket.once('error', reject).once('data', (data) => resolve(data.toString()));
    });
    expect(text).toBe('hello');
  }
  await new Promise((resolve) => server.close(resolve));
});

test('the certificate names its hosts, and nobody can sign with it', () => {
  const { ca, cert } = makeCertificate(['push.example', '10.1.2.3', 'fe80::1:2']);
  const leaf = new X509Certificate(cert);
  expect(leaf.checkHost('push.example')).toBe('push.example');
  expect(leaf.checkIP('10.1.2.3')).toBe('10.1.2.3');
  expect(leaf.subjectAltName).toContain('FE80:0:0:0:0:0:1:2');
  expect(leaf.ca).toBe(false);
  expect(new X509Certificate(ca).ca).toBe(true);
  expect(leaf.checkIssued(new X509Certificate(ca))).toBe(true);
});
