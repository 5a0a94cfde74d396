import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  anchorTags,
  canonicalTag,
  checkTags,
  installationTag,
  matchesTags,
  parseTagExpression,
  type TagExpression,
  userTag,
} from './tags.ts';

const wide = { tagsPerDevice: 60, tagLength: 120, tagsInOrExpression: 1000, tagsInExpression: 1000 };
const meant = (expression: string, ...tags: string[]): boolean =>
  matchesTags(parseTagExpression(expression), new Set(tags.map(canonicalTag)));

test.each([
  ['red', ['red'], true],
  ['RED', ['red'], true],
  ['red', ['blue'], false],
  ['red || blue', ['blue'], true],
  ['red && blue', ['blue'], false],
  ['red&&!blue', ['red'], true],
  ['!x', [], true],
  ['!!x', ['x'], true],
  ['a || b && c', ['a'], true],
  ['(a || b) && c', ['a'], false],
  [' ( follows_RedSox || follows_Cardinals ) && location_Boston ', ['follows_cardinals', 'location_boston'], true],
  ['user:_@#.-1', ['user:_@#.-1'], true],
  ['$UserId:{ada=1} && vip', [userTag('ada=1'), 'vip'], true],
  ['InstallationId:{X}', [installationTag('x')], true],
])('%s on %o is %s', (expression, tags, expected) => {
  expect(meant(expression, ...tags)).toBe(expected);
});

test.each([
  ['', /ends too early/],
  ['a b', /"b" is not expected at character 3/],
  ['a ||', /ends too early/],
  ['a & b', /not valid at character 2/],
  ['(a', /ends too early/],
  ['a)', /"\)" is not expected/],
  ['|| a', /not expected at character 1/],
  ['a || é', /not valid/],
  ['$UserId:ada', /not valid at character 1/],
  ['a'.repeat(121), /at most 120/],
  [`${'('.repeat(200)}a${')'.repeat(200)}`, /too deep/],
])('%s is refused', (expression, words) => {
  expect(() => parseTagExpression(expression)).toThrow(words);
});

test('twenty tags joined by ||, six otherwise, unless the limits say more', () => {
  const join = (count: number, operator: string): string =>
    Array.from({ length: count }, (_, i) => `t${i}`).join(operator);
  parseTagExpression(join(20, '||'));
  parseTagExpression(join(6, '&&'));
  expect(() => parseTagExpression(join(21, '||'))).toThrow(/at most 20/);
  expect(() => parseTagExpression(join(7, '&&'))).toThrow(/at most 6/);
  expect(() => parseTagExpression(`!${join(7, '||')}`)).toThrow(/at most 6/);
  parseTagExpression(join(300, '&&'), wide);
});

test('the tags of a device are checked and counted once each', () => {
  expect(checkTags(['a', 'A', 'b'])).toEqual(['a', 'b']);
  expect(() => checkTags(['a b'])).toThrow(/may not have/);
  expect(() => checkTags(['x'.repeat(121)])).toThrow(/120/);
  expect(() => checkTags(Array.from({ length: 61 }, (_, i) => `t${i}`))).toThrow(/60/);
  expect(() => checkTags(['$UserId:{a}', 'UserId:{b}'])).toThrow(/one user/);
});

const names = ['a', 'b', 'c', 'd'];
const expressions = fc.letrec<{ e: TagExpression }>((tie) => ({
  e: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(...names).map((tag) => ({ kind: 'tag', tag }) as const),
    tie('e').map((of) => ({ kind: 'not', of }) as const),
    fc
      .tuple(fc.constantFrom('and' as const, 'or' as const), fc.array(tie('e'), { minLength: 2, maxLength: 3 }))
      .map(([kind, of]) => ({ kind, of })),
  ),
})).e;

function written(expression: TagExpression): string {
  if (expression.kind === 'tag') return expression.tag;
  if (expression.kind === 'not') return `!(${written(expression.of)})`;
  return `(${expression.of.map(written).join(expression.kind === 'and' ? '&&' : ' || ')})`;
}

test('an expression means what it is written as, and no match escapes its anchors', () => {
  fc.assert(
    fc.property(expressions, fc.subarray(names), (expression, tags) => {
      const parsed = parseTagExpression(written(expression), wide);
      const set = new Set(tags);
      expect(matchesTags(parsed, set)).toBe(matchesTags(expression, set));
      const anchors = anchorTags(parsed);
      if (!matchesTags(parsed, set)) return;
      for (const anyOf of anchors) expect(anyOf.some((tag) => set.has(tag))).toBe(true);
    }),
    { numRuns: 1000 },
  );
});

test('anchors are the sets of which an index can ask for one tag each', () => {
  const anchors = (text: string) => anchorTags(parseTagExpression(text, wide));
  expect(anchors('(a || b || c) && d')).toEqual([['a', 'b', 'c'], ['d']]);
  expect(anchors('a || b && c')).toEqual([['a', 'b']]);
  expect(anchors('a || (b || c) && d')).toEqual([['a', 'd']]);
  expect(anchors('!a && b')).toEqual([['b']]);
  expect(anchors('!(!a || b)')).toEqual([['a']]);
  expect(anchors('!(!a || !b)')).toEqual([['a'], ['b']]);
  expect(anchors('!a || b')).toEqual([]);
});
