import rhea from 'rhea';
import { describe, expect, it } from 'vitest';
import { decodeRecord, encodeRecord } from '../../../topics/log/record.ts';
import * as to from './encode.ts';
import type { WireMessage } from './front.ts';
import { BATCH_FORMAT, toOutgoing, unpackBatch } from './incoming.ts';
import { toWire } from './outgoing.ts';
import { decodeSection, splitSections } from './sections.ts';

const data = (text: string) => rhea.message.data_section(Buffer.from(text));

const encoded = rhea.message.encode({
  durable: true,
  priority: 7,
  ttl: 60_000,
  message_id: 'm1',
  correlation_id: 'c1',
  subject: 'debit',
  content_type: 'application/json',
  group_id: 'session-1',
  message_annotations: { 'x-opt-partition-key': 'p1', 'x-my-note': 'kept' },
  application_properties: { amount: rhea.types.wrap_long(12), rate: rhea.types.wrap_double(2), vip: true },
  body: data('{"a":1}'),
});

function stored(bytes: Buffer, more: Partial<WireMessage> = {}): WireMessage {
  const sent = toOutgoing(bytes);
  return {
    ...sent,
    messageId: sent.messageId!,
    sequence: 42,
    enqueuedAt: new Date(1000),
    deliveryCount: 2,
    ...more,
  };
}

describe('a message from the wire', () => {
  it('gives the broker the fields that it works with', () => {
    expect(toOutgoing(encoded)).toMatchObject({
      messageId: 'm1',
      correlationId: 'c1',
      subject: 'debit',
      contentType: 'application/json',
      sessionId: 'session-1',
      partitionKey: 'p1',
      timeToLiveMs: 60_000,
      properties: { amount: 12, rate: 2, vip: true },
    });
  });

  it('comes out of a batch envelope whole', () => {
    const envelope = rhea.message.encode({ body: rhea.message.data_sections([encoded, encoded]) });
    expect(unpackBatch(envelope).map((message) => message.body)).toEqual([encoded, encoded]);
    expect(BATCH_FORMAT).toBe(2147563264);
  });
});

describe('a message onto the wire', () => {
  it('keeps its bare part byte for byte behind a new header and annotations', () => {
    const wire = toWire(stored(encoded, { state: 'active', lockedUntil: new Date(5000) }));
    const [before, after] = [splitSections(encoded), splitSections(wire)];
    expect(after.bytes.subarray(after.bareStart)).toEqual(before.bytes.subarray(before.bareStart));
    expect(rhea.message.decode(wire)).toMatchObject({
      durable: true,
      priority: 7,
      ttl: 60_000,
      delivery_count: 2,
      message_annotations: {
        'x-my-note': 'kept',
        'x-opt-partition-key': 'p1',
        'x-opt-sequence-number': 42,
        'x-opt-enqueued-time': new Date(1000),
        'x-opt-locked-until': new Date(5000),
        'x-opt-message-state': 0,
      },
    });
  });

  it('carries changed properties, and leaves the type of the others alone', () => {
    const wire = toWire(stored(encoded, { properties: { rate: 2, why: 'late', amount: 13 }, deliveryCount: 1 }));
    expect(rhea.message.decode(wire).application_properties).toEqual({ rate: 2, why: 'late', amount: 13 });
    const rate = Buffer.concat([Buffer.from([0xa1, 4]), Buffer.from('rate'), Buffer.from([0x82])]);
    expect(wire.includes(rate)).toBe(true);
  });

  it('carries whole numbers of all 64 bits, with and without a sign', () => {
    const [most, least] = [2n ** 64n - 3n, -(2n ** 63n)];
    const entries = [to.string('most'), to.ulong(most), to.string('least'), to.long(least)];
    const sent = stored(to.section(0x74, to.map(entries)));
    const place = { topic: 't', partition: 0, sequence: 1, enqueuedAt: new Date(0) };
    const kept = decodeRecord(encodeRecord(sent, {}), place);
    const set = { ...kept, deliveryCount: 1, properties: { ...kept.properties, set: most } };
    const carried = decodeSection(splitSections(toWire(set)), 0x74);
    expect(Object.fromEntries(carried as Map<string, bigint>)).toEqual({ most, least, set: most });
  });

  it('gets an id when its sender gave none, and properties where it had none', () => {
    const bare = rhea.message.encode({ subject: 's', body: data('x') });
    const wire = toWire(stored(bare, { deadLetterReason: 'why', deadLetterSource: 'q' }));
    expect(rhea.message.decode(wire)).toMatchObject({
      message_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      subject: 's',
      application_properties: { DeadLetterReason: 'why' },
    });
  });

  it('is built from its fields when it came by another way', () => {
    const message: WireMessage = {
      messageId: 'h1',
      subject: 'joined',
      contentType: 'application/json',
      properties: { 'cloudEvents:type': 'hr.joined' },
      body: Buffer.from('{}'),
      sequence: 1,
      enqueuedAt: new Date(0),
      deliveryCount: 0,
    };
    expect(rhea.message.decode(toWire(message))).toMatchObject({
      message_id: 'h1',
      subject: 'joined',
      content_type: 'application/json',
      delivery_count: 0,
      application_properties: { 'cloudEvents:type': 'hr.joined' },
      body: { content: Buffer.from('{}') },
    });
  });

  it('leaves its body out when a peek asks so', () => {
    expect(splitSections(toWire(stored(encoded), true)).all.map((section) => section.code)).toEqual([
      0x70, 0x72, 0x73, 0x74,
    ]);
  });
});
