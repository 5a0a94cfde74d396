// The edges of one connection, against a peer that is scripted frame by frame.

import { expect, test } from 'vitest';
import { errorCode, flag, frame, frameOf, goawayFrame, setting, settingsFrame, uint32Frame } from './frames.ts';
import type { Answer } from './port.ts';
import { type Peer, wire } from './testing.ts';

const status200 = Buffer.from([0x88]);
const open = (stream: number) => (sent: { type: number; stream: number }) =>
  sent.type === frame.headers && sent.stream === stream;
const goaway = (sent: { type: number }): boolean => sent.type === frame.goaway;

async function answered(peer: Peer, stream: number): Promise<void> {
  await peer.frame(open(stream));
  peer.headers(stream);
}

test('no call leaves before the SETTINGS of the peer, and ours come first', async () => {
  const { peer, connection } = await wire('silent');
  expect(connection.room).toBe(0);
  await peer.frame((sent) => sent.type === frame.windowUpdate);
  expect(peer.frames.map((sent) => sent.type)).toEqual([frame.settings, frame.windowUpdate]);
  connection.destroy(0, 'done');
});

test('the stream limit follows the SETTINGS of the peer up and down', async () => {
  const { peer, connection, call } = await wire([[setting.maxConcurrentStreams, 1]]);
  const first = call();
  expect(connection.room).toBe(0);
  peer.send(settingsFrame([[setting.maxConcurrentStreams, 3]]));
  await answered(peer, 1);
  await first;
  expect(connection.room).toBe(3);
  peer.send(settingsFrame([[setting.maxConcurrentStreams, 0]]));
  await expect.poll(() => connection.room).toBe(0);
  connection.destroy(0, 'done');
});

test('a window that shrinks below zero holds the body back until it is open again', async () => {
  const { peer, connection, call } = await wire([[setting.initialWindowSize, 6]]);
  const reply = call({ body: '0123456789' });
  await peer.frame((sent) => sent.type === frame.data);
  peer.send(settingsFrame([[setting.initialWindowSize, 2]]), uint32Frame(frame.windowUpdate, 1, 5));
  await peer.frame((sent) => sent.type === frame.data && sent.payload.toString() === '6');
  peer.send(settingsFrame([[setting.initialWindowSize, 100]]));
  const last = await peer.frame((sent) => sent.type === frame.data && (sent.flags & flag.endStream) !== 0);
  expect(last.payload.toString()).toBe('789');
  peer.headers(1);
  expect((await reply).kind).toBe('answer');
  connection.destroy(0, 'done');
});

test('the connection window is shared, and a call waits for it', async () => {
  const { peer, connection, call } = await wire([[setting.initialWindowSize, 1_000_000]]);
  const large = call({ body: new Uint8Array(65_535) });
  expect(connection.room).toBe(0);
  peer.send(uint32Frame(frame.windowUpdate, 0, 100));
  await expect.poll(() => connection.room).toBe(99);
  const small = call();
  await answered(peer, 1);
  await answered(peer, 3);
  expect([(await large).kind, (await small).kind]).toEqual(['answer', 'answer']);
  const sent = peer.frames.filter((each) => each.type === frame.data && each.stream === 1);
  expect(sent.map((each) => each.payload.length)).toEqual([16_384, 16_384, 16_384, 16_383]);
  connection.destroy(0, 'done');
});

test('an answer that comes before the body is through ends the call', async () => {
  const { peer, connection, call } = await wire([[setting.initialWindowSize, 2]]);
  const reply = call();
  await peer.frame(open(1));
  peer.headers(1, Buffer.from([0x8c]));
  expect(await reply).toMatchObject({ kind: 'answer', status: 400 });
  await peer.frame((sent) => sent.type === frame.rstStream && sent.stream === 1);
  connection.destroy(0, 'done');
});

test('GOAWAY gives back what is above its last stream and lets the rest finish', async () => {
  const { peer, connection, call, log, unprocessed, closed } = await wire();
  const replies = [call(), call(), call()];
  await peer.frame(open(5));
  peer.send(goawayFrame(3, errorCode.none, '{"reason":"Shutdown"}'));
  expect(await replies[2]).toEqual({ kind: 'unprocessed', cause: 'goaway:none' });
  expect(unprocessed).toHaveLength(1);
  expect(connection.alive).toBe(false);
  peer.headers(1);
  peer.headers(3);
  expect((await Promise.all(replies.slice(0, 2))).map((reply) => reply.kind)).toEqual(['answer', 'answer']);
  expect(await closed).toBe('drained');
  expect(log).toEqual(['goaway 0 {"reason":"Shutdown"}']);
});

test('a header table that the peer shrinks or forbids is obeyed, and said at the next block', async () => {
  for (const [bytes, saved] of [
    [0, 1],
    [60, 2],
    [4096, 17],
  ] as const) {
    const { peer, connection, call } = await wire([[setting.headerTableSize, bytes]]);
    const replies = [call(), call(), call()];
    for (const stream of [1, 3, 5]) await answered(peer, stream);
    await Promise.all(replies);
    const [first, second, third] = [1, 3, 5].map((stream) => peer.frames.find(open(stream))!.payload);
    if (bytes < 4096) expect(first![0]! & 0xe0).toBe(0x20);
    expect(second).toEqual(third);
    expect(first!.length - second!.length).toBe(saved);
    connection.destroy(0, 'done');
  }
});

test('silence is met with a PING, and no answer to it with an end', async () => {
  const { peer, call, closed } = await wire([], { pingAfterMs: 100, pingTimeoutMs: 200 });
  const reply = call();
  const ping = await peer.frame((sent) => sent.type === frame.ping);
  peer.send(frameOf(frame.ping, flag.ack, 0, ping.payload));
  expect(await closed).toBe('ping_timeout');
  expect(peer.frames.filter((sent) => sent.type === frame.ping)).toHaveLength(2);
  expect(await reply).toEqual({ kind: 'lost', cause: 'ping_timeout' });
});

test('a PING of the peer is answered with its own bytes', async () => {
  const { peer, connection } = await wire();
  peer.send(frameOf(frame.ping, 0, 0, Buffer.from('12345678')));
  const pong = await peer.frame((sent) => sent.type === frame.ping);
  expect([pong.flags, pong.payload.toString()]).toEqual([flag.ack, '12345678']);
  connection.destroy(0, 'done');
});

test('answers for calls that timed out change nothing', async () => {
  const { peer, connection, call } = await wire();
  const late = await call({ timeoutMs: 1 });
  expect(late).toEqual({ kind: 'lost', cause: 'timeout' });
  await peer.frame((sent) => sent.type === frame.rstStream && sent.stream === 1);
  peer.headers(1, status200, flag.endHeaders);
  peer.send(frameOf(frame.data, flag.endStream, 1, Buffer.from('late')), uint32Frame(frame.rstStream, 1, 8));
  const next = call();
  await answered(peer, 3);
  expect((await next).kind).toBe('answer');
  connection.destroy(0, 'done');
});

test('padding, priority and split header blocks are understood', async () => {
  const { peer, connection, call } = await wire();
  const reply = call();
  await peer.frame(open(1));
  const padded = flag.padded | flag.priority;
  peer.send(frameOf(frame.headers, padded, 1, Buffer.from([2, 0, 0, 0, 0, 9, 0x88, 0, 0])));
  peer.send(frameOf(frame.continuation, 0, 1, Buffer.from([0x00, 1, 0x61])));
  peer.send(frameOf(frame.continuation, flag.endHeaders, 1, Buffer.from([1, 0x62])));
  peer.send(frameOf(frame.data, flag.padded | flag.endStream, 1, Buffer.from([3, 0x6f, 0x6b, 0, 0, 0])));
  const answer = (await reply) as Answer;
  expect([answer.status, answer.fields, answer.body.toString()]).toEqual([200, ['a', 'b'], 'ok']);
  const given = await peer.frame((sent) => sent.type === frame.windowUpdate && sent.stream === 1);
  expect(given.payload.readUInt32BE()).toBe(4);
  connection.destroy(0, 'done');
});

const malformed: readonly (readonly [string, Buffer])[] = [
  ['no status', Buffer.from([0x00, 1, 0x61, 1, 0x62])],
  ['an upper-case name', Buffer.from([0x88, 0x00, 1, 0x41, 1, 0x62])],
  ['a second pseudo-field', Buffer.from([0x88, 0x88])],
  [
    'a connection field',
    Buffer.concat([status200, Buffer.from([0x00, 7]), Buffer.from('upgrade'), Buffer.from([1, 0x62])]),
  ],
  ['a wrong content-length', Buffer.concat([status200, Buffer.from([0x0f, 0x0d, 1, 0x35])])],
  ['an informational end', Buffer.concat([Buffer.from([0x08, 3]), Buffer.from('103')])],
];

test.each(malformed)('an answer with %s is malformed: its stream ends, the connection lives', async (_, block) => {
  const { peer, connection, call } = await wire();
  const reply = call();
  await peer.frame(open(1));
  peer.headers(1, block);
  expect((await reply).kind).toBe('lost');
  const reset = await peer.frame((sent) => sent.type === frame.rstStream);
  expect(reset.payload.readUInt32BE()).toBe(errorCode.protocol);
  expect(connection.alive).toBe(true);
  connection.destroy(0, 'done');
});

test('an answer larger than we take is cut off', async () => {
  const { peer, connection, call } = await wire([], { maxAnswerBytes: 100 });
  const reply = call();
  await peer.frame(open(1));
  peer.headers(1, status200, flag.endHeaders);
  peer.send(frameOf(frame.data, 0, 1, Buffer.alloc(101)));
  expect(await reply).toEqual({ kind: 'lost', cause: 'answer_too_large' });
  connection.destroy(0, 'done');
});

const frames = (count: number, one: Buffer): Buffer => Buffer.concat(Array.from({ length: count }, () => one));
const violations: readonly (readonly [string, number, Buffer])[] = [
  ['a frame above our limit', errorCode.frameSize, Buffer.from([0, 0x40, 1, 0, 0, 0, 0, 0, 1])],
  ['DATA on a stream that we did not open', errorCode.protocol, frameOf(frame.data, 0, 99, Buffer.from('x'))],
  ['HEADERS on an even stream', errorCode.protocol, frameOf(frame.headers, 5, 2, status200)],
  ['DATA on stream 0', errorCode.protocol, frameOf(frame.data, 0, 0, Buffer.from('x'))],
  ['a push', errorCode.protocol, frameOf(frame.pushPromise, 4, 1, Buffer.from([0, 0, 0, 2]))],
  ['CONTINUATION out of nowhere', errorCode.protocol, frameOf(frame.continuation, 4, 1, status200)],
  [
    'an interrupted header block',
    errorCode.protocol,
    Buffer.concat([frameOf(frame.headers, 0, 1, status200), frameOf(frame.ping, 0, 0, Buffer.alloc(8))]),
  ],
  [
    'a bad header block',
    errorCode.compression,
    frameOf(frame.headers, 5, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
  ],
  ['a table index that is not there', errorCode.compression, frameOf(frame.headers, 5, 1, Buffer.from([0xbe]))],
  ['a PING of 7 bytes', errorCode.frameSize, frameOf(frame.ping, 0, 0, Buffer.alloc(7))],
  ['SETTINGS of 5 bytes', errorCode.frameSize, frameOf(frame.settings, 0, 0, Buffer.alloc(5))],
  ['SETTINGS on a stream', errorCode.protocol, frameOf(frame.settings, 0, 1, Buffer.alloc(6))],
  ['an initial window of 2^31', errorCode.flowControl, settingsFrame([[setting.initialWindowSize, 0x8000_0000]])],
  ['a frame size of 100', errorCode.protocol, settingsFrame([[setting.maxFrameSize, 100]])],
  ['push switched on by a server', errorCode.protocol, settingsFrame([[setting.enablePush, 1]])],
  ['a window increment of 0', errorCode.protocol, uint32Frame(frame.windowUpdate, 0, 0)],
  ['a window that overflows', errorCode.flowControl, uint32Frame(frame.windowUpdate, 0, 0x7fff_ffff)],
  ['padding longer than its frame', errorCode.protocol, frameOf(frame.data, flag.padded, 1, Buffer.from([9, 1]))],
  ['a flood of PINGs', errorCode.enhanceYourCalm, frames(3000, frameOf(frame.ping, 0, 0, Buffer.alloc(8)))],
  ['a flood of SETTINGS', errorCode.enhanceYourCalm, frames(3000, settingsFrame([]))],
  ['a flood of empty DATA', errorCode.enhanceYourCalm, frames(3000, frameOf(frame.data, 0, 1, Buffer.alloc(0)))],
  [
    'header blocks without end',
    errorCode.enhanceYourCalm,
    Buffer.concat([
      frameOf(frame.headers, 0, 1, status200),
      frames(3000, frameOf(frame.continuation, 0, 1, Buffer.alloc(0))),
    ]),
  ],
];

test.each(violations)('%s closes the connection with GOAWAY(%i)', async (_, code, bytes) => {
  const { peer, call, closed } = await wire();
  const reply = call();
  await peer.frame(open(1));
  peer.send(bytes);
  const farewell = await peer.frame(goaway);
  expect(farewell.payload.readUInt32BE(4)).toBe(code);
  expect((await reply).kind).toBe('lost');
  expect(await closed).toMatch(/^protocol:/);
});

test('a first frame that is not SETTINGS is a protocol error', async () => {
  const { peer, closed } = await wire('silent');
  peer.send(frameOf(frame.ping, 0, 0, Buffer.alloc(8)));
  expect((await peer.frame(goaway)).payload.readUInt32BE(4)).toBe(errorCode.protocol);
  expect(await closed).toMatch(/^protocol:/);
});

test('unknown frames and unknown settings are passed over', async () => {
  const { peer, connection, call } = await wire([[99, 1]]);
  const reply = call();
  peer.send(frameOf(77, 0xff, 0, Buffer.from('what')), frameOf(frame.priority, 0, 1, Buffer.alloc(5)));
  await answered(peer, 1);
  expect((await reply).kind).toBe('answer');
  connection.destroy(0, 'done');
});

test('a peer that stops reading is given no more calls, and gets them when it reads again', async () => {
  const { peer, connection, call } = await wire([[setting.initialWindowSize, 0x7fff_ffff]]);
  peer.send(uint32Frame(frame.windowUpdate, 0, 0x7000_0000));
  await expect.poll(() => connection.room).toBe(100);
  peer.pause();
  const replies: Promise<unknown>[] = [];
  while (connection.room > 0) {
    for (let i = 0; i < 5; i += 1) replies.push(call({ body: new Uint8Array(100_000) }));
    await new Promise(setImmediate);
  }
  expect(replies.length).toBeLessThan(40);
  peer.resume();
  await expect.poll(() => connection.room).toBe(100 - replies.length);
  replies.forEach((_, i) => {
    peer.headers(1 + 2 * i);
  });
  await Promise.all(replies);
  connection.destroy(0, 'done');
});

test('what is received is given back to the window of the connection', async () => {
  const { peer, connection, call } = await wire([], { maxAnswerBytes: 3_000_000 });
  const reply = call();
  await peer.frame(open(1));
  peer.headers(1, status200, flag.endHeaders);
  peer.send(
    frames(140, frameOf(frame.data, 0, 1, Buffer.alloc(16_384))),
    frameOf(frame.data, flag.endStream, 1, Buffer.alloc(0)),
  );
  expect(((await reply) as Answer).body.length).toBe(140 * 16_384);
  await expect
    .poll(() => peer.frames.filter((sent) => sent.type === frame.windowUpdate && sent.stream === 0))
    .toHaveLength(2);
  expect(peer.frames.findLast((sent) => sent.type === frame.windowUpdate)!.payload.readUInt32BE()).toBeGreaterThan(
    2_000_000,
  );
  connection.destroy(0, 'done');
});
