// The fast sink for clients that speak HTTP/1.1 only (web-push, WNS): it finds the end of each request by its Content-Length, reads nothing
// else, and answers from a constant. Run: node test/standins/fast-http1.ts [webpush|wns]; it prints one line of JSON: { port, ca }.

import type { AddressInfo } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { makeCertificate } from '../../src/kit/certificate.ts';

const answers = {
  webpush: 'HTTP/1.1 201 Created\r\nLocation: https://push.example/message/1\r\nContent-Length: 0\r\n\r\n',
  wns: 'HTTP/1.1 200 OK\r\nX-WNS-Status: received\r\nX-WNS-Msg-ID: 0123456789ABCDEF\r\nContent-Length: 0\r\n\r\n',
};
const answer = Buffer.from(process.argv[2] === 'wns' ? answers.wns : answers.webpush);

function serve(socket: TLSSocket): void {
  let held: Buffer = Buffer.alloc(0);
  socket.setNoDelay(true).on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    for (let end = requestEnd(held); end > 0 && end <= held.length; end = requestEnd(held)) {
      held = held.subarray(end);
      socket.write(answer);
    }
  });
}

/** Where the first request ends, or 0 if its head is not complete. */
function requestEnd(bytes: Buffer): number {
  const head = bytes.indexOf('\r\n\r\n');
  if (head < 0) return 0;
  const length = /content-length: *(\d+)/i.exec(bytes.toString('latin1', 0, head))?.[1] ?? '0';
  return head + 4 + Number(length);
}

const certificate = makeCertificate();
const server = createServer({ cert: certificate.cert, key: certificate.key, ALPNProtocols: ['http/1.1'] }, serve);
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port, ca: certificate.ca }));
});
process.stdin.on('end', () => process.exit(0)).resume();
