import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FilterFault } from './fault.ts';
import { compileFilter, type Filter } from './filter.ts';
import { FilterIndex } from './filter-index.ts';
import { type Lookup, lookupIn } from './lookup.ts';
import { printFilter } from './print.ts';
import { conditionTree, world } from './test/trees.ts';

const limits = { maxLength: 100_000, maxDepth: 200 };
const guarded = fc.constantFrom(
  "a = 'a'",
  "'ab' = A",
  "color IN ('a', 'b', 'a')",
  'a = 1 AND b / 0 = 1',
  "a = 'a' AND sys.Nothing = 1",
  'a IN (0, -1, 9007199254740992)',
  "a IN ('a', 1)",
  "a = 2.5 AND b = 'b'",
  "sys.label = 'ab' AND a > 1",
  "sys.Nothing = 'x' AND a = 1",
  "a = 'a' OR b = 'b'",
  "a NOT IN ('a')",
  "a <> 'a'",
  "a = NULL AND b = 'b'",
  '1=1',
);

const filter = fc.oneof(
  guarded.map((text) => compileFilter(text)),
  conditionTree.map((tree) => compiled(printFilter(tree))).filter((found) => found !== undefined),
);

/** undefined for a constant pattern that is refused. */
function compiled(text: string): Filter | undefined {
  try {
    return compileFilter(text, { limits });
  } catch {
    return undefined;
  }
}

/** What the index should say, by asking one by one. */
function oneByOne(filters: ReadonlyMap<number, Filter>, lookup: Lookup): string[] {
  const found: string[] = [];
  for (const [key, filter] of filters) {
    const result = filter.test(lookup);
    if (result === true) found.push(`${key}`);
    if (result instanceof FilterFault) found.push(`${key} ${result.code}`);
  }
  return found.sort();
}

function byIndex(index: FilterIndex<number>, lookup: Lookup): string[] {
  const found: string[] = [];
  index.match(
    lookup,
    (key) => found.push(`${key}`),
    (key, fault) => found.push(`${key} ${fault.code}`),
  );
  return found.sort();
}

test('the index finds matches and faults as asking one by one does, while filters come and go', () => {
  const step = fc.oneof(
    fc.record({ add: fc.nat(12), filter }),
    fc.record({ add: fc.nat(12), filter }),
    fc.record({ remove: fc.nat(12) }),
    world,
  );
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 40 }), world, (steps, final) => {
      const index = new FilterIndex<number>();
      const model = new Map<number, Filter>();
      for (const step of [...steps, final]) {
        if ('add' in step) {
          index.add(step.add, step.filter);
          model.set(step.add, step.filter);
        } else if ('remove' in step) expect(index.remove(step.remove)).toBe(model.delete(step.remove));
        else
          expect(byIndex(index, lookupIn(step.user, step.sys))).toEqual(oneByOne(model, lookupIn(step.user, step.sys)));
        expect(index.size).toBe(model.size);
      }
    }),
    { numRuns: 1_500 },
  );
});

test('a filter whose first condition is false is not evaluated', () => {
  const index = new FilterIndex<number>();
  for (let n = 0; n < 1_000; n++) index.add(n, compileFilter(`store = 'store-${n}' AND quantity > 1`));
  let asked = 0;
  const lookup = lookupIn({ store: 'store-7', quantity: 5 });
  const counted: Lookup = (...names) => {
    asked++;
    return lookup(...names);
  };
  expect(byIndex(index, counted)).toEqual(['7']);
  expect(asked).toBeLessThan(5);
});
