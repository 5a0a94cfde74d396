import { expect, test } from 'vitest';
import { readIntent } from './intent.ts';
import { parseUntil } from './when.ts';

test.each([
  ['What is new?', { kind: 'news' }],
  ['what did I miss', { kind: 'news' }],
  ['Why did I get this?', { kind: 'why' }],
  ['show my approvals', { kind: 'approvals' }],
  ['anything waiting for me?', { kind: 'approvals' }],
  ['mute HR until Monday', { kind: 'mute', what: 'hr', until: 'until monday' }],
  ['please mute the finance notifications for 2 hours.', { kind: 'mute', what: 'finance', until: 'for 2 hours' }],
  ['mute everything', { kind: 'mute', what: '', until: '' }],
  ['<at>Carillon</at> mute hr', { kind: 'mute', what: 'hr', until: '' }],
  ['unmute hr', { kind: 'unmute', what: 'hr' }],
  ['Unmute everything', { kind: 'unmute', what: '' }],
  ['what is muted', { kind: 'settings' }],
  ['help', { kind: 'help' }],
  ['Hello!', { kind: 'hello' }],
  ['thanks', { kind: 'thanks' }],
  ['fjdkslfjsd', { kind: 'unknown' }],
  ['', { kind: 'unknown' }],
])('%j is understood', (words, intent) => expect(readIntent(words)).toMatchObject(intent));

const sunday = new Date('2026-11-22T09:00:00Z'); // a Sunday, 10:00 in Vienna
test.each([
  ['until Monday', '2026-11-23T07:00:00.000Z'],
  ['until next monday', '2026-11-23T07:00:00.000Z'],
  ['until Sunday', '2026-11-29T07:00:00.000Z'],
  ['until tomorrow', '2026-11-23T07:00:00.000Z'],
  ['until tomorrow 14:00', '2026-11-23T13:00:00.000Z'],
  ['until tomorrow at 2pm', '2026-11-23T13:00:00.000Z'],
  ['until 5pm', '2026-11-22T16:00:00.000Z'],
  ['until 9:30', '2026-11-23T08:30:00.000Z'],
  ['until noon', '2026-11-22T11:00:00.000Z'],
  ['until midnight', '2026-11-22T23:00:00.000Z'],
  ['until 2026-12-24', '2026-12-24T07:00:00.000Z'],
  ['for 2 hours', '2026-11-22T11:00:00.000Z'],
  ['for a week', '2026-11-29T09:00:00.000Z'],
  ['until 2025-12-24', undefined],
  ['until 2036-12-24', undefined],
  ['until the cows come home', undefined],
  ['until 25:99', undefined],
  ['until', undefined],
])('%j in Vienna ends at %s', (words, end) => {
  expect(parseUntil(words, 'Europe/Vienna', sunday)?.toISOString()).toBe(end);
});

test('a time that the clocks skip ends a little later, not never', () => {
  const before = new Date('2026-03-28T12:00:00Z');
  expect(parseUntil('until tomorrow 02:30', 'Europe/Vienna', before)?.toISOString()).toMatch(/^2026-03-29T0[01]:30/);
});
