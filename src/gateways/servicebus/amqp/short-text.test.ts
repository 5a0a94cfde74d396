import { expect, test } from 'vitest';
import { readText } from './short-text.ts';

function read(text: string): string {
  const bytes = Buffer.from(`<<${text}>>`);
  return readText(bytes, 2, bytes.length - 2);
}

test('a text is what was encoded, however often and beside whatever others it is read', () => {
  const texts = [
    '',
    'a',
    'employee.joined',
    'Ärger',
    'naïve',
    '€',
    '😀',
    '\0',
    '\u007f',
    'x'.repeat(32),
    'y'.repeat(33),
  ];
  for (let i = 0; i < 5_000; i++) texts.push(`order-${i}`, `é${i}`);
  for (let round = 0; round < 2; round++) for (const text of texts) expect(read(text)).toBe(text);
});

test('bytes beyond ASCII are not taken for the characters of the same numbers', () => {
  // "Ã" is U+00C3, "¤" is U+00A4; the bytes C3 A4 are "ä".
  expect(read('Ã¤')).toBe('Ã¤');
  expect(readText(Buffer.from([0xc3, 0xa4]), 0, 2)).toBe('ä');
  // What is no UTF-8 becomes the replacement character, the second time as well.
  for (let i = 0; i < 2; i++) expect(readText(Buffer.from([0xc3]), 0, 1)).toBe('\ufffd');
});
