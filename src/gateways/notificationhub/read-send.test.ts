// The limits of sends are settings: what the door refuses, and how much it reads, goes by them.
import { expect, test } from 'vitest';
import { azureSendLimits } from '../../hub/sends.ts';
import { azureTagLimits } from '../../hub/tags.ts';
import { mostBodyBytes, readBatch, readHandle, readMessage, readTags } from './read-send.ts';

const apple = { 'servicebusnotification-format': 'Apple' };
const limits = { ...azureSendLimits, notificationBytes: 10, batchAddresses: 2 };
const batchOf = (devices: readonly string[]) =>
  `--b\r\nContent-Disposition: inline; name=notification\r\n\r\n{}\r\n--b\r\nContent-Disposition: inline; name=devices\r\n\r\n${JSON.stringify(devices)}\r\n--b--`;

test('the body of a send, in bytes', () => {
  expect(readMessage(apple, '{"a":"bc"}', limits)).toMatchObject({ body: '{"a":"bc"}' });
  expect(() => readMessage(apple, '{"a":"bü"}', limits)).toThrow('at most 10 bytes');
  expect(() => readMessage(apple, 'x'.repeat(65_536), azureSendLimits)).not.toThrow();
  expect(() => readMessage(apple, 'x'.repeat(65_537), azureSendLimits)).toThrow('65536');
});

test('the addresses of a batch, for whose list there is room in the request', () => {
  expect(readBatch('multipart/mixed; boundary=b', batchOf(['A', 'B']), limits).addresses).toEqual(['A', 'B']);
  expect(() => readBatch('multipart/mixed; boundary=b', batchOf(['A', 'B', 'C']), limits)).toThrow('at most 2 devices');
  const longest = batchOf(Array.from({ length: 1_000 }, () => `https://${'x'.repeat(1_016)}`));
  expect(mostBodyBytes(azureSendLimits)).toBeGreaterThan(longest.length + azureSendLimits.notificationBytes);
});

test('the tags of an expression', () => {
  const tags = { 'servicebusnotification-tags': 'a && b && c' };
  expect(readTags(tags, { ...azureTagLimits, tagsInExpression: 3 }, { isTest: false })).toBe('a && b && c');
  expect(() => readTags(tags, { ...azureTagLimits, tagsInExpression: 2 }, { isTest: false })).toThrow('at most 2 tags');
});

test('no header is everybody, an empty one nobody may mean, and JavaScript’s own word for none only in tests', () => {
  const read = (tags: string | undefined, isTest: boolean) =>
    readTags(tags === undefined ? {} : { 'servicebusnotification-tags': tags }, azureTagLimits, { isTest });
  expect([read(undefined, false), read('undefined', true), read('undefined', false)]).toEqual([
    undefined,
    undefined,
    'undefined',
  ]);
  expect(() => read(' ', false)).toThrow('leave the header out');
});

test('a browser is called by its keys too, everything else by its address alone', () => {
  const headers = { 'servicebusnotification-devicehandle': 'https://a/b', auth: 'x', p256dh: 'y' };
  const message = (format: string) => readMessage({ 'servicebusnotification-format': format }, '{}', azureSendLimits);
  expect(readHandle(headers, message('browser'))).toEqual({ endpoint: 'https://a/b', auth: 'x', p256dh: 'y' });
  expect(readHandle(headers, message('apple'))).toBe('https://a/b');
});
