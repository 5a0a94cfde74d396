import { describe, expect, test } from 'vitest';
import { compileAction } from './action.ts';
import { FilterFault } from './fault.ts';
import { lookupIn, type PropertyValue } from './lookup.ts';

const message = lookupIn(
  { quantity: 5, color: 'red', urgent: false, due: new Date('2026-03-01T00:00:00Z') },
  { To: null, Subject: 'bus', TimeToLive: null, ScheduledEnqueueTimeUtc: null, SequenceNumber: 4 },
);

/** What the action writes, as `sys.name` or `name`; or the code of its fault. */
function written(text: string): Record<string, PropertyValue | undefined> | string {
  const found: Record<string, PropertyValue | undefined> = {};
  const fault = compileAction(text).apply(message, (scope, name, value) => {
    found[scope === 'sys' ? `sys.${name}` : name] = value;
  });
  if (fault instanceof FilterFault) expect(found).toEqual({});
  return fault?.code ?? found;
}

describe('statements', () => {
  test.each([
    ["SET sys.To = 'Entity'; SET quantity = quantity / 2", { 'sys.To': 'Entity', quantity: 2 }],
    ['SET a = 1, SET b = 2', { a: 1, b: 2 }],
    ['set a = 1 remove color', { a: 1, color: undefined }],
    ['REMOVE missing;', { missing: undefined }],
    ["SET [a b] = 'x' + color", { 'a b': 'xred' }],
    ["SET user.set = 'fine'", { set: 'fine' }],
    ["SET sys.label = 'x'", { 'sys.Subject': 'x' }],
    ['SET quantity = missing + 1', { quantity: null }],
    ['SET color = NULL', { color: null }],
    ['SET quantity = quantity + 1; SET Quantity = quantity * 2; SET copy = quantity', { Quantity: 12, copy: 12 }],
    ['REMOVE color; SET kept = color', { color: undefined, kept: null }],
  ])('%s', (text, expected) => expect(written(text)).toEqual(expected));
});

describe('types', () => {
  test.each([
    ["SET quantity = '17'", { quantity: 17 }],
    ["SET quantity = '9223372036854775807'", { quantity: 9223372036854775807n }],
    ["SET quantity = 'many'", { quantity: 'many' }],
    ['SET color = 5', { color: '5' }],
    ["SET urgent = 'TRUE'", { urgent: true }],
    ["SET due = '2026-04-01'", { due: new Date('2026-04-01T00:00:00Z') }],
    ['SET color = due', { color: '2026-03-01T00:00:00.000Z' }],
    ['SET sys.To = 5', { 'sys.To': '5' }],
    ['SET sys.To = NULL', { 'sys.To': null }],
    ["SET sys.TimeToLive = '5000'", { 'sys.TimeToLive': 5000 }],
    [
      "SET sys.ScheduledEnqueueTimeUtc = '2026-04-01T00:00:00Z'",
      { 'sys.ScheduledEnqueueTimeUtc': new Date('2026-04-01') },
    ],
    ["SET sys.TimeToLive = 'soon'", 'types_differ'],
  ])('%s', (text, expected) => expect(written(text)).toEqual(expected));
});

describe('faults', () => {
  test.each([
    ['SET a = 1; SET sys.Nonsense = 1', 'no_such_system_property'],
    ['SET a = sys.Nonsense', 'no_such_system_property'],
    ['SET a = 1; SET b = 1 / 0', 'division_by_zero'],
  ])('%s writes nothing', (text, code) => expect(written(text)).toBe(code));

  test('doubling a string over and over ends in a fault, not in memory', () => {
    expect(written('SET color = color + color;'.repeat(32))).toBe('too_long');
  });
});

describe('refusals', () => {
  test.each([
    ['', 'at least one'],
    ['DROP a', 'Expected SET'],
    ['SET a', 'SET needs ='],
    ['SET a = b = c', 'Expected SET'],
    ['SET a = (b = c)', 'not a condition'],
    ['REMOVE sys.To', 'cannot be removed'],
    ['SET sys.SequenceNumber = 1', 'cannot be set'],
    ['SET a = 1;;', 'Expected SET'],
    ['SET and = 1', '[AND]'],
    ['SET a = 1;'.repeat(33), 'at most 32'],
  ])('%s', (text, words) => {
    expect(() => compileAction(text)).toThrow(expect.objectContaining({ code: 'filter_invalid' }));
    expect(() => compileAction(text)).toThrow(words);
  });

  test('32 statements are allowed', () => expect(written('SET a = 1;'.repeat(32))).toEqual({ a: 1 }));
});
