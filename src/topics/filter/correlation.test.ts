import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CorrelationFilter, CorrelationIndex, compileCorrelation } from './correlation.ts';
import { type Lookup, lookupIn, type PropertyValue } from './lookup.ts';

const message = lookupIn(
  { Color: 'red', n: 3n, on: true, at: new Date(5), raw: new Uint8Array([1]), nothing: null, half: 0.5 },
  { Subject: 'bus', CorrelationId: 'c-1', SessionId: null },
);

describe('a correlation filter', () => {
  test.each<[CorrelationFilter, boolean]>([
    [{ system: { Subject: 'bus' } }, true],
    [{ system: { Subject: 'Bus' } }, false],
    [{ system: { Subject: 'bus', CorrelationId: 'c-1' }, properties: { color: 'red' } }, true],
    [{ system: { Subject: 'bus', CorrelationId: 'c-2' }, properties: { color: 'red' } }, false],
    [{ properties: { N: 3 } }, true],
    [{ properties: { n: '3' } }, false],
    [{ properties: { half: 0.5, on: true, at: new Date(5), raw: new Uint8Array([1]) } }, true],
    [{ properties: { on: 'true' } }, false],
    [{ properties: { at: new Date(6) } }, false],
    [{ properties: { missing: 'x' } }, false],
    [{ properties: { nothing: 'null' } }, false],
    [{ system: { SessionId: '' } }, false],
    [{ properties: { half: Number.NaN } }, false],
  ])('%o is %s', (filter, expected) => expect(compileCorrelation(filter)(message)).toBe(expected));

  test.each<[CorrelationFilter]>([
    [{}],
    [{ properties: { a: undefined } }],
    [{ properties: { a: null } }],
    [{ system: { SequenceNumber: '5' } as Record<string, string> }],
    [{ system: { Nonsense: '5' } as Record<string, string> }],
  ])('%o is refused', (filter) => {
    const refused = expect.objectContaining({ code: 'filter_invalid' });
    expect(() => compileCorrelation(filter)).toThrow(refused);
    expect(() => new CorrelationIndex().add('k', filter)).toThrow(refused);
  });
});

const value = fc.constantFrom<PropertyValue>(
  'a',
  'b',
  '1',
  1,
  1n,
  2 ** 60,
  2n ** 60n,
  0,
  -0,
  true,
  's1:a',
  '\u0000string a',
  new Date(1),
  '\u0000date 1',
  Number.NaN,
);
const properties = fc.dictionary(fc.constantFrom('x', 'X', 'y', 'Z', '', '__p'), value, { maxKeys: 3 });
const system = fc.record(
  { Subject: fc.constantFrom('a', 'b'), To: fc.constantFrom('a', 's1:a') },
  { requiredKeys: [] },
);
const filter = fc
  .record({ properties, system })
  .filter((f) => Object.keys(f.properties).length + Object.keys(f.system).length > 0)
  // Two spellings of one property in one filter ask for two values at once; that is left to the caller.
  .filter((f) => !('x' in f.properties && 'X' in f.properties));

describe('the index', () => {
  test('finds what asking one by one finds, while filters come and go', () => {
    const step = fc.oneof(
      fc.record({ add: fc.nat(9), filter }),
      fc.record({ remove: fc.nat(9) }),
      fc.record({ properties, system }),
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
        const index = new CorrelationIndex<number>();
        const model = new Map<number, CorrelationFilter>();
        for (const step of steps) {
          if ('add' in step) {
            index.add(step.add, step.filter);
            model.set(step.add, step.filter);
          } else if ('remove' in step) {
            index.remove(step.remove);
            model.delete(step.remove);
          } else expectSame(index, model, step.properties, step.system);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  function expectSame(
    index: CorrelationIndex<number>,
    model: ReadonlyMap<number, CorrelationFilter>,
    user: Record<string, PropertyValue>,
    sys: Record<string, PropertyValue>,
  ): void {
    const lookup = lookupIn(user, sys);
    const expected = [...model].filter(([, f]) => compileCorrelation(f)(lookup)).map(([key]) => key);
    const names = new Set(Object.keys(user).map((name) => name.toLowerCase()));
    for (const hint of [undefined, names]) {
      const found: number[] = [];
      index.match(lookup, (key) => found.push(key), hint);
      expect(found.sort()).toEqual(expected.sort());
    }
  }

  test('replaces the filter of a key, counts, and forgets', () => {
    const index = new CorrelationIndex<string>();
    index.add('k', { properties: { color: 'blue' } });
    index.add('k', { properties: { color: 'red' } });
    expect(index.size).toBe(1);
    const found: string[] = [];
    index.match(message, (key) => found.push(key));
    expect(found).toEqual(['k']);
    expect(index.remove('k')).toBe(true);
    expect(index.remove('k')).toBe(false);
    expect(index.size).toBe(0);
  });

  test('asks only for properties that the message has, when it is told them', () => {
    const index = new CorrelationIndex<number>();
    for (let i = 0; i < 1_000; i++) index.add(i, { properties: { [`name${i}`]: 'x', type: 't' } });
    let asked = 0;
    const found: number[] = [];
    const counted = lookupIn({ name7: 'x', type: 't' });
    const names = new Set(['name7', 'type']);
    const lookup: Lookup = (...ask) => {
      asked++;
      return counted(...ask);
    };
    index.match(lookup, (key) => found.push(key), names);
    expect(found).toEqual([7]);
    expect(asked).toBeLessThan(10);
  });
});
