import { describe, expect, it } from 'vitest';
import type { Message, OutgoingMessage } from '../topics/message.ts';
import { decodeEvents } from './decode.ts';
import { fromMessage, messageIdOf, toMessage } from './to-message.ts';

const now = new Date('2026-11-22T08:00:00Z');

function logged(message: OutgoingMessage): Message {
  return {
    messageId: 'm',
    ...message,
    topic: 'hr',
    partition: 0,
    sequence: 7,
    enqueuedAt: now,
    deliveryCount: 1,
  } as Message;
}

describe('an event through the log', () => {
  it('comes back as it went in', () => {
    const text = `{"specversion":"1.0","id":"1","source":"/hr","type":"t","subject":"ada","time":"2026-01-01T00:00:00.5Z",
      "dataschema":"urn:x:y","partitionkey":"p","n":3,"ok":true,"data":{"big":12345678901234567890}}`;
    const [event] = decodeEvents({ 'content-type': 'application/cloudevents+json' }, Buffer.from(text), now).events;
    const back = fromMessage(logged(toMessage(event!)));
    expect(back).toEqual({ kind: 'event', event });
    expect(toMessage(event!).partitionKey).toBe('p');
  });

  it('keeps text and bytes', () => {
    const headers = { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/s', 'ce-type': 't' };
    for (const [type, body] of [
      ['text/plain', 'héllo'],
      ['application/octet-stream', '\u0001'],
    ]) {
      const [event] = decodeEvents({ ...headers, 'content-type': type }, Buffer.from(body!), now).events;
      expect(fromMessage(logged(toMessage(event!)))).toEqual({ kind: 'event', event });
    }
  });
});

describe('the message id', () => {
  it('is source#id, or a hash where that is too long or ambiguous', () => {
    expect(messageIdOf('/hr', '1')).toBe('/hr#1');
    expect(messageIdOf('a#b', 'c')).not.toBe(messageIdOf('a', 'b#c'));
    expect(messageIdOf('s'.repeat(200), '1')).toMatch(/^evt_/);
  });
});

describe('a message from another client', () => {
  it('becomes an event of its subject or its property type', () => {
    const body = Buffer.from('{"name":"Ada"}');
    expect(fromMessage(logged({ body, subject: 'joined' }))).toMatchObject({
      event: { id: 'm', type: 'joined', source: 'topic/hr', data: { name: 'Ada' } },
    });
    expect(fromMessage(logged({ body, properties: { type: 'x' }, subject: 'joined' }))).toMatchObject({
      event: { type: 'x' },
    });
    expect(fromMessage(logged({ body: Buffer.from("'12345' has joined") }))).toMatchObject({
      event: { type: 'message', data: "'12345' has joined" },
    });
    expect(fromMessage(logged({ body: Buffer.from([0xff, 0]) }))).toMatchObject({
      event: { data: Buffer.from([0xff, 0]) },
    });
  });

  it('may spell the properties with an underscore, or carry a structured event', () => {
    const properties = {
      cloudEvents_id: '1',
      cloudEvents_source: '/s',
      cloudEvents_type: 't',
      cloudEvents_specversion: '1.0',
    };
    expect(fromMessage(logged({ body: Buffer.alloc(0), properties }))).toMatchObject({ event: { id: '1', type: 't' } });
    const body = Buffer.from('{"specversion":"1.0","id":"9","source":"/s","type":"t","data":1}');
    const structured = logged({ body, contentType: 'application/cloudevents+json; charset=utf-8' });
    expect(fromMessage(structured)).toMatchObject({ event: { id: '9', data: 1 } });
  });

  it('says why it cannot be read', () => {
    const broken = logged({ body: Buffer.from('{'), contentType: 'application/json' });
    expect(fromMessage(broken)).toMatchObject({ kind: 'unreadable', cause: expect.stringContaining('not valid JSON') });
    const half = logged({ body: Buffer.alloc(0), properties: { 'cloudEvents:id': '1' } });
    expect(fromMessage(half)).toMatchObject({
      kind: 'unreadable',
      cause: expect.stringContaining('source is missing'),
    });
  });
});
