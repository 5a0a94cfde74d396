import rhea from 'rhea';
import { expect, test } from 'vitest';
import { toOutgoing } from './incoming.ts';

function encode(message: object): Buffer {
  return rhea.message.encode(message as never) as Buffer;
}

test('properties are read under any name, and the fields that the broker needs beside them', () => {
  const application_properties = JSON.parse('{"department": "sales", "__proto__": 1, "amount": 12.5, "urgent": true}');
  const message = toOutgoing(
    encode({
      message_id: 'order-1',
      subject: 'employee.joined',
      group_id: 'Ann',
      application_properties,
      body: 'text',
    }),
  );
  expect(message).toMatchObject({ messageId: 'order-1', subject: 'employee.joined', sessionId: 'Ann' });
  expect(Object.entries(message.properties!)).toEqual([
    ['department', 'sales'],
    ['__proto__', 1],
    ['amount', 12.5],
    ['urgent', true],
  ]);
  expect(Object.getPrototypeOf(message.properties)).toBe(Object.prototype);
});

test('a message without properties has none, and an id is made for one without', () => {
  const message = toOutgoing(encode({ body: 'text' }));
  expect(message.properties).toBeUndefined();
  expect(message.messageId).toMatch(/^[0-9a-f]{32}$/);
});
