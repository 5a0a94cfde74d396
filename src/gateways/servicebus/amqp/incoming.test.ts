import rhea from 'rhea';
import { expect, test } from 'vitest';
import { toProperties } from '../disposition.ts';
import { AmqpDescribed } from './decode.ts';
import * as to from './encode.ts';
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

test('a property that nobody could read again is refused, in a message and where a message is given back', () => {
  const array = (items: Buffer) => Buffer.concat([to.array(0xf0, [items.subarray(1)])]);
  let nested = to.array(0x40, []);
  for (let depth = 0; depth < 5_000; depth++) nested = array(nested);
  const far = to.timestamp(new Date(0));
  far.writeBigInt64BE(2n ** 62n, 1);
  for (const value of [nested, far])
    expect(() => toOutgoing(to.section(0x74, to.map([to.string('p'), value])))).toThrow(/nested|out of range/);
  expect(() => toProperties(new Map([['p', new Date(Number.NaN)]]))).toThrow('out of range');
  const odd = new AmqpDescribed('com.microsoft:datetime-offset', 1.5);
  expect(toProperties(new Map([['p', odd]]))).toEqual({ p: 1.5 });
});
