import fc from 'fast-check';
import { expect, test } from 'vitest';
import { likeMatcher } from './like.ts';

test.each([
  ['', '', true],
  ['%', '', true],
  ['_', '', false],
  ['a%', 'abc', true],
  ['%c', 'abc', true],
  ['%b%', 'abc', true],
  ['a%c', 'ac', true],
  ['ab%bc', 'abc', false],
  ['%a%a%', 'a', false],
  ['%_b_%', 'abc', true],
  ['%%%', 'x', true],
  ['a.c', 'abc', false],
  ['%\n%', 'a\nb', true],
  ['a%z', 'a\nz', true],
  ['A%', 'abc', false],
  ['__', '\u{1f600}', true],
])('%j on %j is %s', (pattern, text, expected) => expect(likeMatcher(pattern, undefined)!(text)).toBe(expected));

test('an escape at the end escapes nothing', () => expect(likeMatcher('a!', '!')).toBe(undefined));

test('says what a backtracking regular expression says, on small inputs', () => {
  const unit = fc.constantFrom('a', 'b', '%', '_');
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 8 }), fc.string({ unit, maxLength: 12 }), (pattern, text) => {
      const regex = new RegExp(`^${pattern.replaceAll('%', '[^]*').replaceAll('_', '[^]')}$`);
      expect(likeMatcher(pattern, undefined)!(text)).toBe(regex.test(text));
    }),
    { numRuns: 5_000 },
  );
});

test('the worst pattern on the longest text costs milliseconds', () => {
  const text = 'a'.repeat(32_768);
  const began = performance.now();
  expect(likeMatcher(`${'%a_'.repeat(300)}%b`, undefined)!(`${text}c`)).toBe(false);
  expect(likeMatcher(`${'%_a'.repeat(300)}%b%`, undefined)!(text)).toBe(false);
  expect(likeMatcher(`%${'a'.repeat(500)}_${'a'.repeat(500)}b%`, undefined)!(text)).toBe(false);
  // 33 million comparisons at worst: far from the exponential time that this guards against.
  expect(performance.now() - began).toBeLessThan(2_000);
});
