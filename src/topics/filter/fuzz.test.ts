import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileAction } from './action.ts';
import { FilterFault } from './fault.ts';
import { compileFilter } from './filter.ts';
import { lookupIn } from './lookup.ts';
import { printAction, printFilter } from './print.ts';
import { evaluate, type Result } from './test/reference.ts';
import { conditionTree, statements, world } from './test/trees.ts';

const limits = { maxLength: 1_000_000, maxDepth: 200 };

function resultOf(text: string, lookup: ReturnType<typeof lookupIn>): Result {
  const truth = compileFilter(text, { limits }).test(lookup);
  if (truth instanceof FilterFault) return `fault ${truth.code}`;
  return truth === null ? 'U' : truth ? 'T' : 'F';
}

/** A tree without places. */
function placeless(tree: unknown): unknown {
  return JSON.parse(
    JSON.stringify(tree, (key, value) => {
      if (key === 'at') return undefined;
      return typeof value === 'bigint' ? `${value}n` : Object.is(value, -0) ? '-0' : value;
    }),
  );
}

/** A constant pattern that can match nothing sensible is refused when compiled, a computed one is a fault. */
function refusesPattern(text: string): boolean {
  try {
    compileFilter(text, { limits });
    return false;
  } catch (error) {
    expect(String(error)).toMatch(/LIKE|ESCAPE|pattern/);
    return true;
  }
}

describe('random filters', () => {
  test('give what the slow reference gives, on any message', () => {
    fc.assert(
      fc.property(conditionTree, fc.array(world, { minLength: 1, maxLength: 5 }), (tree, worlds) => {
        const text = printFilter(tree);
        fc.pre(!refusesPattern(text));
        for (const { user, sys } of worlds) {
          expect(resultOf(text, lookupIn(user, sys))).toBe(evaluate(tree, { user, sys }));
        }
      }),
      { numRuns: 5_000 },
    );
  });

  test('come back as the same tree when they are printed and parsed', () => {
    fc.assert(
      fc.property(conditionTree, (tree) => {
        const text = printFilter(tree);
        fc.pre(!refusesPattern(text));
        expect(placeless(compileFilter(text, { limits }).tree)).toEqual(placeless(tree));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('random actions', () => {
  test('come back as the same statements', () => {
    fc.assert(
      fc.property(statements, (list) => {
        fc.pre(!list.some(({ target }) => /SequenceNumber|EnqueuedTimeUtc/.test(target.name)));
        expect(placeless(compileAction(printAction(list), { limits }).statements)).toEqual(placeless(list));
      }),
      { numRuns: 500 },
    );
  });

  test('write nothing when one statement is at fault', () => {
    fc.assert(
      fc.property(statements, world, (list, { user, sys }) => {
        fc.pre(!list.some(({ target }) => /SequenceNumber|EnqueuedTimeUtc/.test(target.name)));
        let writes = 0;
        const fault = compileAction(printAction(list), { limits }).apply(lookupIn(user, sys), () => writes++);
        expect(writes > 0).toBe(fault === undefined);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('random text', () => {
  test('is compiled or refused with its place, and nothing else', () => {
    const piece = fc.constantFrom(
      ..."a b [c] 'd' 1 2.5 = <> ( ) NOT AND OR IN LIKE IS NULL EXISTS p( , @x . - + % \"".split(' '),
    );
    const soup = fc.oneof(
      fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(' ')),
      fc.string({ unit: 'binary', maxLength: 60 }),
    );
    fc.assert(
      fc.property(soup, (text) => {
        try {
          compileFilter(text, { parameters: { x: 1 } }).test(lookupIn({}));
        } catch (error) {
          expect(error).toMatchObject({ name: 'Refusal', code: 'filter_invalid' });
          const { position } = (error as { details: { position: number } }).details;
          expect(position).toBeGreaterThanOrEqual(0);
          expect(position).toBeLessThanOrEqual(text.length);
        }
      }),
      { numRuns: 5_000 },
    );
  });
});
