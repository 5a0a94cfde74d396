import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Frame, FrameReader } from './sse.ts';

describe('FrameReader', () => {
  it('reads names, ids and data of several lines', () => {
    const frames = new FrameReader().read('event: item\nid: 7\ndata: {"a":\ndata: 1}\n\n');
    expect(frames).toEqual([{ event: 'item', id: '7', data: '{"a":\n1}' }]);
  });

  it('calls a frame without a name a message, and passes over what carries no data', () => {
    expect(new FrameReader().read(': ping\n\nretry: 1000\n\ndata: x\n\n')).toEqual([
      { event: 'message', id: undefined, data: 'x' },
    ]);
  });

  it('keeps a frame back until its blank line has come', () => {
    const reader = new FrameReader();
    expect(reader.read('data: half')).toEqual([]);
    expect(reader.read(' and half\n')).toEqual([]);
    expect(reader.read('\n')).toEqual([{ event: 'message', id: undefined, data: 'half and half' }]);
  });

  it('reads the same frames wherever the network cuts the text', () => {
    const text =
      ': hello\n\nevent: counts\ndata: {"unread":1}\n\nid: 3\r\nevent: item\r\ndata: {}\r\n\r\ndata:tight\n\n';
    const whole = new FrameReader().read(text);
    expect(whole).toHaveLength(3);
    fc.assert(
      fc.property(fc.array(fc.nat(text.length)), (cuts) => {
        const reader = new FrameReader();
        const edges = [0, ...cuts.sort((a, b) => a - b), text.length];
        const frames: Frame[] = edges.slice(1).flatMap((edge, i) => reader.read(text.slice(edges[i], edge)));
        expect(frames).toEqual(whole);
      }),
    );
  });
});
