// Random trees and messages for the tests. Few names and few values, so that they meet.
import fc from 'fast-check';
import type { PropertyValue } from '../lookup.ts';
import type { ArithmeticOperator, CompareOperator, Node, Property, Statement } from '../syntax.ts';
import type { World } from './reference.ts';

const at = 0;
const userNames = ['a', 'b', 'Color', 'data.amount', 'x y]z', 'größe', 'and', 'p', 'sys', 'missing'];
const systemNames = ['MessageId', 'Label', 'subject', 'SequenceNumber', 'EnqueuedTimeUtc', 'SessionId', 'Nothing'];
const texts = [
  '',
  'a',
  'ab',
  'aab',
  "o'k",
  'a%b',
  'a_',
  '%',
  'b',
  'Color',
  '\u{1f600}',
  '2026-01-02',
  '2026-01-02T00:00:00.000Z',
  '\\',
];
const wholes: (number | bigint)[] = [
  0,
  1,
  -1,
  2,
  3,
  7,
  Number.MAX_SAFE_INTEGER,
  2n ** 63n - 1n,
  -(2n ** 63n),
  2n ** 53n,
];
const doubles = [0.5, -0.5, 2.5, 1e300, 2, -0, 3];

const literal: fc.Arbitrary<Node> = fc.oneof(
  fc.constantFrom<PropertyValue>(...texts, ...wholes, true, false, null).map((value) => asLiteral(value, false)),
  fc.constantFrom(...doubles).map((value) => asLiteral(value, true)),
);

function asLiteral(value: PropertyValue, double: boolean): Node {
  // Only the primitives above come in here.
  return { kind: 'literal', value: value as string | number | bigint | boolean | null, double, at };
}

const userProperty: fc.Arbitrary<Property> = fc
  .constantFrom(...userNames)
  .map((name) => ({ kind: 'property', scope: 'user', name, at }));
const property: fc.Arbitrary<Property> = fc.oneof(
  { weight: 4, arbitrary: userProperty },
  fc.constantFrom(...systemNames).map((name): Property => ({ kind: 'property', scope: 'sys', name, at })),
);

const { value, condition } = fc.letrec<{
  value: Node;
  condition: Node;
  named: Property | Extract<Node, { kind: 'computed' }>;
}>((tie) => ({
  named: fc.oneof(
    { weight: 5, arbitrary: property },
    tie('value').map((name) => ({ kind: 'computed' as const, name, at })),
  ),
  value: fc.oneof(
    { maxDepth: 4, depthIdentifier: 'value' },
    literal,
    property,
    property,
    fc.record({
      kind: fc.constant('arithmetic' as const),
      operator: fc.constantFrom<ArithmeticOperator>('+', '-', '*', '/', '%'),
      left: tie('value'),
      right: tie('value'),
      at: fc.constant(at),
    }),
    fc.record({
      kind: fc.constant('sign' as const),
      operator: fc.constantFrom<'+' | '-'>('+', '-'),
      operand: tie('value'),
      at: fc.constant(at),
    }),
    tie('value').map((name): Node => ({ kind: 'computed', name, at })),
  ),
  condition: fc.oneof(
    { maxDepth: 5, depthIdentifier: 'condition' },
    fc.record({
      kind: fc.constant('compare' as const),
      operator: fc.constantFrom<CompareOperator>('=', '<>', '<', '<=', '>', '>='),
      left: tie('value'),
      right: tie('value'),
      at: fc.constant(at),
    }),
    property,
    fc.constantFrom(true, false, null).map((truth) => asLiteral(truth, false)),
    fc.record({
      kind: fc.constantFrom<'and' | 'or'>('and', 'or'),
      terms: fc.array(tie('condition'), { minLength: 2, maxLength: 4 }),
      at: fc.constant(at),
    }),
    tie('condition').map((operand): Node => ({ kind: 'not', operand, at })),
    fc.record({
      kind: fc.constant('in' as const),
      operand: tie('value'),
      list: fc.array(tie('value'), { minLength: 1, maxLength: 4 }),
      negated: fc.boolean(),
      at: fc.constant(at),
    }),
    fc.record({
      kind: fc.constant('like' as const),
      operand: tie('value'),
      pattern: tie('value'),
      escape: fc.oneof(fc.constant(undefined), fc.constant(asLiteral('\\', false)), tie('value')),
      negated: fc.boolean(),
      at: fc.constant(at),
    }),
    fc.record({
      kind: fc.constant('null' as const),
      operand: tie('named'),
      negated: fc.boolean(),
      at: fc.constant(at),
    }),
    fc.record({ kind: fc.constant('exists' as const), operand: tie('named'), at: fc.constant(at) }),
  ),
}));

export const conditionTree: fc.Arbitrary<Node> = condition;

export const statements: fc.Arbitrary<Statement[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('set' as const), target: property, value, at: fc.constant(at) }),
    fc.record({ kind: fc.constant('remove' as const), target: userProperty, at: fc.constant(at) }),
  ),
  { minLength: 1, maxLength: 6 },
);

const anyValue = fc.constantFrom<PropertyValue>(
  ...texts,
  ...wholes,
  ...doubles,
  true,
  false,
  null,
  Number.NaN,
  new Date('2026-01-02T00:00:00Z'),
  new Date('2027-01-01T00:00:00Z'),
  new Uint8Array([1, 2]),
);

export const world: fc.Arbitrary<World> = fc.record({
  user: fc.dictionary(
    fc.constantFrom('a', 'A', 'b', 'color', 'data.Amount', 'x y]z', 'GRÖSSE', 'größe', 'and', 'p', 'sys'),
    anyValue,
  ),
  sys: fc.record({
    MessageId: fc.constantFrom('a', 'm'),
    Subject: fc.constantFrom('ab', null),
    SequenceNumber: fc.constantFrom<PropertyValue>(1, 2n ** 60n),
    EnqueuedTimeUtc: fc.constant(new Date('2026-01-02T00:00:00Z')),
    SessionId: fc.constantFrom('a', null),
  }),
});
