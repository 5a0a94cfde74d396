// A push service for benches, in a process of its own: it parses frames and answers from constants, about a microsecond per push, so that
// what is measured is the sender. It keeps the rules of flow control and of streams, but reads no header and no body.
// Run: node test/standins/fast.ts <apns|fcm|webpush> [latencyMs] [maxStreams]; it prints one line of JSON: { port, ca }.

import type { AddressInfo } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import {
  FrameReader,
  flag,
  frame,
  frameOf,
  preface,
  setting,
  settingsFrame,
  uint32Frame,
} from '../../src/hub/http2/frames.ts';
import { writeFields } from '../../src/hub/http2/hpack-encoder.ts';
import { makeCertificate } from '../../src/kit/certificate.ts';

const [kind = 'apns', latencyText = '0', streamsText = '1000'] = process.argv.slice(2);
const latencyMs = Number(latencyText);
const windowBytes = 0x4000_0000;

const answers: Readonly<
  Record<string, { readonly status: Buffer; readonly fields: readonly string[]; readonly body: string }>
> = {
  apns: { status: Buffer.from([0x88]), fields: ['apns-id', 'EC1BF194-B3B2-424A-89A9-5A918A6E6B5D'], body: '' },
  fcm: {
    status: Buffer.from([0x88]),
    fields: [
      'content-type',
      'application/json; charset=UTF-8',
      'server',
      'ESF',
      'cache-control',
      'private',
      'x-xss-protection',
      '0',
      'x-frame-options',
      'SAMEORIGIN',
    ],
    body: '{\n  "name": "projects/example-project/messages/0:1500415314455276%31bd1c9631bd1c96"\n}\n',
  },
  webpush: {
    status: Buffer.concat([Buffer.from([0x08, 3]), Buffer.from('201')]),
    fields: ['location', 'https://push.example/message/0123456789abcdef0123456789abcdef'],
    body: '',
  },
};

/** The frames of one answer, for any stream: their stream ids are filled in per answer. */
function template(): { readonly bytes: Buffer; readonly idsAt: readonly number[] } {
  const { status, fields, body } = answers[kind]!;
  const block = Buffer.alloc(1000);
  const end = writeFields(block, 0, fields);
  const content = Buffer.concat([status, block.subarray(0, end)]);
  const headers = frameOf(frame.headers, flag.endHeaders | (body === '' ? flag.endStream : 0), 0, content);
  if (body === '') return { bytes: headers, idsAt: [5] };
  return {
    bytes: Buffer.concat([headers, frameOf(frame.data, flag.endStream, 0, Buffer.from(body))]),
    idsAt: [5, headers.length + 5],
  };
}

const { bytes: answerBytes, idsAt } = template();
let received = 0;

function serve(socket: TLSSocket): void {
  let greeting = preface.length;
  let due: number[] = [];
  let unread = 0;
  const reader = new FrameReader((type, flags, stream, _bytes, start, end) => {
    if (type === frame.data) unread += end - start;
    if ((type === frame.data || type === frame.headers) && flags & flag.endStream) due.push(stream);
    else if (type === frame.settings && !(flags & flag.ack))
      socket.write(frameOf(frame.settings, flag.ack, 0, Buffer.alloc(0)));
    else if (type === frame.ping && !(flags & flag.ack))
      socket.write(frameOf(frame.ping, flag.ack, 0, Buffer.alloc(8)));
  });
  socket.setNoDelay(true);
  socket.on('error', () => {});
  socket.write(
    settingsFrame([
      [setting.maxConcurrentStreams, Number(streamsText)],
      [setting.initialWindowSize, 1 << 20],
    ]),
  );
  socket.write(uint32Frame(frame.windowUpdate, 0, windowBytes));
  socket.on('data', (chunk: Buffer) => {
    const skip = Math.min(greeting, chunk.length);
    greeting -= skip;
    reader.push(skip === 0 ? chunk : chunk.subarray(skip));
    if (unread > windowBytes / 4) {
      socket.write(uint32Frame(frame.windowUpdate, 0, unread));
      unread = 0;
    }
    if (due.length === 0) return;
    const streams = due;
    due = [];
    if (latencyMs === 0) answerAll(socket, streams);
    else setTimeout(() => answerAll(socket, streams), latencyMs);
  });
}

function answerAll(socket: TLSSocket, streams: readonly number[]): void {
  const out = Buffer.allocUnsafe(streams.length * answerBytes.length);
  let at = 0;
  for (const stream of streams) {
    answerBytes.copy(out, at);
    for (const idAt of idsAt) out.writeUInt32BE(stream, at + idAt);
    at += answerBytes.length;
  }
  received += streams.length;
  socket.write(out);
}

const certificate = makeCertificate();
const server = createServer({ cert: certificate.cert, key: certificate.key, ALPNProtocols: ['h2'] }, serve);
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port, ca: certificate.ca }));
});
// The bench closes our stdin when it is done, or dies: either way we go.
process.stdin.on('end', () => process.exit(received > 0 ? 0 : 1)).resume();
