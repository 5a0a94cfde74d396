// Sizes are in bytes of UTF-8, as the settings and the wire have them.
import { describe, expect, it } from 'vitest';
import type { TopicEntry } from '../entities/catalogue.ts';
import { noLimits } from '../entities/limits.ts';
import { topicDefaults } from '../entities/settings.ts';
import type { OutgoingMessage } from '../message.ts';
import { checkMessages } from './check.ts';

const at = new Date(0);
const topic: TopicEntry = {
  ...{ id: 1, name: 'hr', kind: 'topic', partitions: 1, version: 1, subscriptions: [], createdAt: at, updatedAt: at },
  settings: { ...topicDefaults, maxMessageBytes: 1024 },
};
const limits = { ...noLimits, propertyBytes: 64, propertiesBytes: 100 };
const check = (message: Partial<OutgoingMessage>) => () =>
  checkMessages(topic, [{ body: Buffer.alloc(0), ...message }], limits);
const tooLarge = (size: number, limit: number) =>
  expect.objectContaining({ code: 'too_large', details: { size, limit } });

describe('a message', () => {
  it.each([
    ['x', 62],
    ['ä', 31],
    ['語', 20],
    ['🦊', 15],
  ])('has as many bytes in a property as its text in UTF-8: %s', (letter, most) => {
    expect(check({ properties: { ab: letter.repeat(most) } })).not.toThrow();
    const size = 2 + Buffer.byteLength(letter) * (most + 1);
    expect(check({ properties: { ab: letter.repeat(most + 1) } })).toThrow(tooLarge(size, 64));
  });

  it('counts the names of properties and all of them together', () => {
    expect(check({ properties: { ['ä'.repeat(32)]: '' } })).not.toThrow();
    expect(check({ properties: { ['ä'.repeat(32)]: 'x' } })).toThrow(tooLarge(65, 64));
    expect(check({ properties: { a: 'ä'.repeat(25), b: 'ä'.repeat(24) } })).not.toThrow();
    expect(check({ properties: { a: 'ä'.repeat(25), b: 'ä'.repeat(25) } })).toThrow(tooLarge(102, 100));
    expect(check({ properties: { a: 1, b: true, c: Buffer.alloc(56) } })).not.toThrow();
  });

  it('has at most the bytes that its topic takes', () => {
    expect(check({ body: Buffer.alloc(1000), subject: 'ä'.repeat(12) })).not.toThrow();
    expect(check({ body: Buffer.alloc(1000), subject: 'ä'.repeat(13) })).toThrow(tooLarge(1026, 1024));
  });
});
