import { expect, it } from 'vitest';
import { AmqpDescribed, AmqpSymbol } from '../amqp/decode.ts';
import { positionOf } from './position.ts';

const at = (selector: string) =>
  positionOf(new Map([['apache.org:selector-filter:string', new AmqpDescribed(0x468c00000004, selector)]]));

it.each([
  ["amqp.annotation.x-opt-offset > '-1'", 'oldest'],
  ["amqp.annotation.x-opt-offset >= '-1'", 'oldest'],
  ["amqp.annotation.x-opt-offset > '@latest'", 'end'],
  ["amqp.annotation.x-opt-offset > '41'", { sequence: 42 }],
  ["amqp.annotation.x-opt-offset >= '41'", { sequence: 41 }],
  ["amqp.annotation.x-opt-sequence-number > '17592186044417'", { sequence: 17592186044418 }],
  ["amqp.annotation.x-opt-sequence-number > '-1'", 'oldest'],
  ["amqp.annotation.x-opt-enqueued-time > '1000'", { time: new Date(1001) }],
  ['amqp.annotation.x-opt-enqueued-time >= 1000', { time: new Date(1000) }],
])('%s', (selector, position) => expect(at(selector)).toEqual(position));

it('may be a plain string, or nothing at all', () => {
  const filter = "amqp.annotation.x-opt-offset > '7'";
  expect(positionOf(new Map([['apache.org:selector-filter:string', filter]]))).toEqual({ sequence: 8 });
  expect(positionOf(new Map([['other', new AmqpSymbol('x')]]))).toBe('oldest');
});

it.each([
  '',
  "sys.x = '1'",
  "amqp.annotation.x-opt-offset > 'abc'",
  "amqp.annotation.x-opt-offset > '99999999999999999'",
])('refuses %j as a place, without retries', (selector) => {
  const condition = 'com.microsoft:argument-error';
  expect(() => at(selector)).toThrow(expect.objectContaining({ details: { condition } }));
});
