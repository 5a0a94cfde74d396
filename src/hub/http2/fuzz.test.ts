// Whatever bytes a server sends: never a crash, never a hang, every call settled once, and the connection either lives or said why it ended.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FrameReader, flag, frame, frameOf } from './frames.ts';
import { wire } from './testing.ts';

const someFrame = fc
  .record({
    type: fc.integer({ min: 0, max: 11 }),
    flags: fc.constantFrom(0, 1, 4, 5, 8, 13, 32, 45, 255),
    stream: fc.constantFrom(0, 1, 1, 1, 2, 3, 5, 99),
    payload: fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom(Buffer.from([0x88]), Buffer.alloc(4, 1), Buffer.alloc(8), Buffer.from([0, 4, 0, 0, 0, 1])),
    ),
  })
  .map(({ type, flags, stream, payload }) => frameOf(type, flags, stream, payload));

test('any sequence of frames, however cut, leaves every call settled once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(someFrame, { maxLength: 20 }), fc.nat(30), async (frames, cut) => {
      const { peer, connection, call, closed } = await wire([], { timeoutMs: 1 });
      const replies = [call(), call()];
      const bytes = Buffer.concat(frames);
      for (let at = 0; at < bytes.length; at += cut + 1) peer.send(bytes.subarray(at, at + cut + 1));
      const settled = await Promise.all(replies);
      for (const reply of settled) expect(['answer', 'lost', 'unprocessed']).toContain(reply.kind);
      if (connection.alive) connection.destroy(0, 'done');
      expect(await closed).toMatch(/^(done|drained|protocol:.+)$/);
    }),
    { numRuns: 300 },
  );
});

test('raw bytes instead of a greeting never crash, and leave no connection that takes calls', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 9, maxLength: 200 }), async (bytes) => {
      const { peer, connection, closed } = await wire('silent');
      peer.send(bytes);
      await new Promise(setImmediate);
      // What could still become a frame is waited for; everything else was a protocol error at once.
      if (connection.room === 0) connection.destroy(0, 'done');
      else expect(bytes[3]).toBe(4);
      connection.destroy(0, 'done');
      expect(await closed).toMatch(/^(done|protocol:.+)$/);
    }),
    { numRuns: 200 },
  );
});

test('frames come out the same however the bytes are cut', () => {
  const frames = fc.array(fc.tuple(fc.nat(9), fc.uint8Array({ maxLength: 300 })), { maxLength: 10 });
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }), (sent, cuts) => {
      const seen: [number, Uint8Array][] = [];
      const reader = new FrameReader((type, _flags, _stream, bytes, start, end) => {
        seen.push([type, new Uint8Array(bytes.subarray(start, end))]);
      }, 400);
      const bytes = Buffer.concat(sent.map(([type, payload]) => frameOf(type, flag.endStream, frame.data, payload)));
      for (let at = 0, i = 0; at < bytes.length; i += 1) {
        const length = cuts[i % cuts.length]!;
        reader.push(bytes.subarray(at, at + length));
        at += length;
      }
      expect(seen).toEqual(sent.map(([type, payload]) => [type, new Uint8Array(payload)]));
    }),
  );
});
