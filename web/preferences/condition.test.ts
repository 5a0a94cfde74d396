import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileFilter } from '../../src/topics/filter/filter.ts';
import { lacking, operators, parseComparison, printComparison } from './condition.ts';

describe('a comparison', () => {
  it.each([
    ['[data.amount] >= 500', { field: 'data.amount', operator: '>=', value: '500' }],
    ['[data.amount] > 100', { field: 'data.amount', operator: '>', value: '100' }],
    ["type = 'hr.left'", { field: 'type', operator: '=', value: 'hr.left' }],
    ["[data.who] != 'O''Hara'", { field: 'data.who', operator: '<>', value: "O'Hara" }],
    ["[data.text] LIKE '%budget%'", { field: 'data.text', operator: 'like', value: 'budget' }],
  ])('reads %s', (text, expected) => {
    expect(parseComparison(text)).toEqual(expected);
  });

  it.each(['1=1', '[a] > 1 and [b] > 2', "[a] like 'x%'", 'not a = 1', '[a] in (1, 2)', ''])(
    'leaves %j as text',
    (text) => {
      expect(parseComparison(text)).toBeUndefined();
    },
  );

  it('is read back as it was printed, and the server accepts it', () => {
    const field = fc.stringMatching(/^(data\.)?[a-zA-Z][a-zA-Z0-9_]{0,10}$/);
    const value = fc.string({ minLength: 1, maxLength: 20 }).filter((text) => text.trim() !== '');
    fc.assert(
      fc.property(field, fc.constantFrom(...operators), value, (name, operator, text) => {
        const comparison = { field: name, operator, value: text };
        fc.pre(lacking(comparison) === undefined);
        const printed = printComparison(comparison);
        expect(parseComparison(printed)).toEqual(comparison);
        expect(() => compileFilter(printed)).not.toThrow();
      }),
    );
  });

  it('says what is missing', () => {
    expect(lacking({ field: '', operator: '=', value: 'x' })).toBeDefined();
    expect(lacking({ field: 'a', operator: '=', value: ' ' })).toBeDefined();
    expect(lacking({ field: 'a', operator: '>', value: 'many' }, 'number')).toBeDefined();
    expect(lacking({ field: 'a', operator: '>', value: '500' }, 'number')).toBeUndefined();
  });
});
