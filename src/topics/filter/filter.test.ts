import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { compileAction } from './action.ts';
import { FilterFault } from './fault.ts';
import { type CompileOptions, compileFilter } from './filter.ts';
import { type Lookup, lookupIn } from './lookup.ts';

const message = lookupIn(
  {
    type: 'order.placed',
    Quantity: 5,
    price: 2.5,
    big: 2n ** 60n,
    on: true,
    nothing: null,
    due: new Date('2026-03-01T12:00:00Z'),
    raw: new Uint8Array([1, 2]),
    'data.amount': 10,
    'x]y': 'delimited',
    'say "hi"': 'quoted',
    größe: 'L',
    name: 'type',
    pattern: 'order.%',
  },
  {
    MessageId: 'm-1',
    Subject: 'bus',
    SessionId: null,
    SequenceNumber: 9n,
    EnqueuedTimeUtc: new Date('2026-01-01T00:00:00Z'),
  },
);

function result(text: string, options?: CompileOptions): boolean | null | string {
  const truth = compileFilter(text, options).test(message);
  return truth instanceof FilterFault ? truth.code : truth;
}

function refusal(text: string, options?: CompileOptions): { message: string; position: unknown } {
  try {
    compileFilter(text, options);
  } catch (error) {
    expect(error).toMatchObject({ name: 'Refusal', code: 'filter_invalid' });
    // Checked on the line above.
    const { message, details } = error as { message: string; details: { position: unknown } };
    return { message, position: details.position };
  }
  throw new Error(`${text} was accepted`);
}

describe('operators', () => {
  test.each([
    ['Quantity = 5', true],
    ['quantity <> 5', false],
    ['QUANTITY != 4', true],
    ['Quantity > 4 and Quantity < 6', true],
    ['Quantity >= 5 AND Quantity <= 5', true],
    ["type = 'Order.placed'", false],
    ["type > 'order'", true],
    ['NOT Quantity = 4', true],
    ['NOT (Quantity = 5 OR 1 = 1)', false],
    ['1 = 2 AND 1 = 1 OR 1 = 1', true],
    ['1 = 1 OR 1 = 1 AND 1 = 2', true],
    ['on', true],
    ['on = TRUE AND NOT on = false', true],
    ["type IN ('a', 'order.placed')", true],
    ["type NOT IN ('a', 'b')", true],
    ['Quantity IN (1, 2 + 3)', true],
    ["type LIKE 'order.%'", true],
    ["type LIKE 'order_placed'", true],
    ["type NOT LIKE '%x%'", true],
    ["'ABC%' LIKE 'ABC\\%' ESCAPE '\\'", true],
    ["'ABCD' LIKE 'ABC\\%' ESCAPE '\\'", false],
    ['type LIKE pattern', true],
    ["type LIKE 'order.' + '%'", true],
    ['EXISTS(nothing) AND NOT EXISTS(missing)', true],
    ['EXISTS(sys.MessageId) AND NOT EXISTS(sys.SessionId) AND NOT EXISTS(sys.Nonsense)', true],
    ["p('Quan' + 'tity') = 5 AND property(name) = 'order.placed'", true],
    ['newid() <> newid()', true],
    ["newid() LIKE '________-____-____-____-____________'", true],
  ])('%s', (text, expected) => expect(result(text)).toBe(expected));
});

describe('names', () => {
  test.each([
    ['[data.amount] = 10'],
    ["[x]]y] = 'delimited'"],
    [`"say ""hi""" = 'quoted'`],
    ["größe = 'L' AND GRÖSSE IS NULL"],
    ["user.type = 'order.placed' AND USER.[type] = 'order.placed'"],
    ["sys.Label = 'bus' AND sys.subject = 'bus' AND SYS.messageid = 'm-1'"],
    ['sys.SequenceNumber = 9'],
  ])('%s', (text) => expect(result(text)).toBe(true));

  test('are listed once each, in one spelling', () => {
    const { usedNames } = compileFilter("a = 1 AND A = 2 AND sys.label = 'x' AND p([b.c]) IS NULL");
    expect(usedNames).toEqual([
      { scope: 'user', name: 'a' },
      { scope: 'sys', name: 'Subject' },
      { scope: 'user', name: 'b.c' },
    ]);
  });

  test('of an object that has own ways with names do no harm', () => {
    expect(
      compileFilter("[__proto__] IS NULL AND constructor IS NULL AND p('toString') IS NULL").matches(message),
    ).toBe(true);
  });

  test('are found in any case when the exact one is absent, and exactly when it is there', () => {
    const lookup = lookupIn({ Color: 'red', COLOR: 'blue' });
    expect(compileFilter("color = 'red' AND Color = 'red' AND COLOR = 'blue'").matches(lookup)).toBe(true);
  });
});

describe('unknown', () => {
  const tables: [string, boolean | null][] = [
    ['missing = 1', null],
    ['nothing = NULL', null],
    ['missing <> 1', null],
    ['NOT missing = 1', null],
    ['missing + 1 = 2', null],
    ['-missing = 1', null],
    ["missing LIKE 'x'", null],
    ["missing NOT LIKE 'x'", null],
    ["type LIKE missing OR 'a' LIKE 'b' ESCAPE missing", null],
    ['missing IN (1)', null],
    ['missing NOT IN (1)', null],
    ['Quantity IN (1, missing)', null],
    ['Quantity IN (5, missing)', true],
    ['Quantity NOT IN (1, missing)', null],
    ['p(missing) = 1', null],
    ['missing', null],
    ['NULL', null],
    ['missing IS NULL AND nothing IS NULL AND sys.SessionId IS NULL', true],
    ['type IS NOT NULL', true],
    ['missing = 1 AND 1 = 1', null],
    ['missing = 1 AND 1 = 2', false],
    ['1 = 2 AND missing = 1', false],
    ['missing = 1 AND missing = 1', null],
    ['missing = 1 OR 1 = 1', true],
    ['1 = 1 OR missing = 1', true],
    ['missing = 1 OR 1 = 2', null],
  ];
  test.each(tables)('%s', (text, expected) => expect(result(text)).toBe(expected));

  test('does not match', () => expect(compileFilter('missing = 1').matches(message)).toBe(false));
});

describe('faults', () => {
  test.each([
    ["sys.Nonsense = 'x'", 'no_such_system_property'],
    ['sys.Nonsense IS NULL', 'no_such_system_property'],
    ['type > 5', 'types_differ'],
    ["Quantity = '5'", 'types_differ'],
    ['on < TRUE', 'types_differ'],
    ['raw > raw', 'types_differ'],
    ["Quantity LIKE '5'", 'types_differ'],
    ['type - 1 = 0', 'types_differ'],
    ['-type = 0', 'types_differ'],
    ['p(5) = 0', 'types_differ'],
    ['type', 'not_a_condition'],
    ['1 / 0 = 1', 'division_by_zero'],
    ['Quantity % 0 = 1', 'division_by_zero'],
    ['9223372036854775807 + 1 > 0', 'overflow'],
    ['big * big > 0', 'overflow'],
    ['-(-9223372036854775808) > 0', 'overflow'],
    ["type LIKE 'x' ESCAPE type", 'bad_pattern'],
  ])('%s is %s', (text, code) => expect(result(text)).toBe(code));

  test('are met from left to right, and only where the result is still open', () => {
    expect(result('1 = 2 AND sys.Nonsense = 1')).toBe(false);
    expect(result('sys.Nonsense = 1 AND 1 = 2')).toBe('no_such_system_property');
    expect(result('1 = 1 OR 1 / 0 = 1')).toBe(true);
    expect(result('missing = 1 AND 1 / 0 = 1')).toBe('division_by_zero');
    expect(result('NOT sys.Nonsense = 1')).toBe('no_such_system_property');
  });

  test('do not match, and say what and where', () => {
    const filter = compileFilter('Quantity = 5 AND sys.Nonsense = 1');
    expect(filter.matches(message)).toBe(false);
    expect(filter.test(message)).toMatchObject({ position: 17, message: 'There is no system property Nonsense' });
  });

  test('a joined string cannot grow without end', () => {
    const lookup = lookupIn({ s: 'x'.repeat(20_000) });
    expect(compileFilter("s + s = ''").test(lookup)).toMatchObject({ code: 'too_long' });
  });
});

describe('numbers, dates and bytes', () => {
  test.each([
    ['Quantity / 2 = 2'],
    ['Quantity / 2.0 = 2.5'],
    ['-7 / 2 = -3 AND -7 % 2 = -1'],
    ['4 / 2.0 / 4 = 0.5'],
    ['price * 2 / 2 = 2.5'],
    ['1 + 2 * 3 - 4 = 3 AND (1 + 2) * 3 = 9 AND 10 - 4 - 3 = 3'],
    ['101.5E5 = 10150000 AND 0.5e-2 = .005'],
    ['1.0 / 0 > 9223372036854775807'],
    ['big = 1152921504606846976 AND big + 1 > big'],
    ['9007199254740993 > 9007199254740992.0'],
    ['9007199254740991 / 2 = 4503599627370495'],
    ['-9223372036854775808 < 0'],
    ["'a' + 1 = 'a1' AND 'a' + TRUE = 'atrue'"],
    ["due > '2026-03-01' AND due = '2026-03-01T13:00:00+01:00' AND '2026-03-02' > due"],
    ['due > sys.EnqueuedTimeUtc'],
    ['raw = raw'],
  ])('%s', (text) => expect(result(text)).toBe(true));

  test('a date does not compare with what is no date', () => expect(result("due > 'soon'")).toBe('types_differ'));
});

describe('parameters', () => {
  test('are bound when the filter is compiled, in any case', () => {
    const options = { parameters: { '@Least': 3, what: 'order.placed' } };
    expect(result('Quantity >= @least AND type = @WHAT', options)).toBe(true);
  });

  test('without a value are refused', () => expect(refusal('a = @x').message).toContain('@x has no value'));
});

describe('refusals', () => {
  test.each([
    ['', 0, 'The text ends'],
    ['type = ', 7, 'The text ends'],
    ["type == 'x'", 6, 'Expected a value'],
    ['a = b = c', 2, 'not a condition'],
    ['(a = 1', 6, 'closing parenthesis'],
    ['a = 1)', 5, 'Expected AND'],
    ['5', 0, 'a condition is expected'],
    ["'x' OR a", 0, 'a condition is expected'],
    ['a + 1 AND b', 2, 'a condition is expected'],
    ['foo(x) = 1', 0, 'no such function'],
    ['newid(1) = 1', 6, 'newid() takes nothing'],
    ['data.amount > 5', 0, '[data.amount]'],
    ['user. = 5', 6, 'name of a property'],
    ['and = 1', 0, '[AND]'],
    ["'x", 0, "closing '"],
    ['[x', 0, 'closing ]'],
    ['[] = 1', 0, 'must not be empty'],
    ['a IN ()', 6, 'Expected a value'],
    ['a NOT 5', 6, 'IN or LIKE'],
    ['a IS 5', 5, 'NULL'],
    ['5 IS NULL', 0, 'Only a property'],
    ['EXISTS(5)', 7, 'name of a property'],
    ['EXISTS(newid())', 7, 'takes a property'],
    ["a LIKE 'x' ESCAPE 'ab'", 2, 'ESCAPE takes one character'],
    ["a LIKE 'x\\' ESCAPE '\\'", 2, 'ESCAPE takes one character'],
    ['a = 9223372036854775808', 4, '64 bits'],
    ['a = 1e999', 4, 'double'],
    ['a = 5abc', 4, 'run into a name'],
    ['a # b', 2, 'no meaning'],
    ['a = NOT b', 4, 'parentheses'],
    ['1 + (a AND b)', 7, 'not a condition'],
  ])('%s', (text, position, words) => {
    const refused = refusal(text);
    expect(refused).toMatchObject({ position, message: expect.stringContaining(words) });
  });
});

describe('limits', () => {
  test('1,024 characters are enough and more are refused', () => {
    const text = `a = '${'x'.repeat(1018)}'`;
    expect(text.length).toBe(1024);
    expect(compileFilter(text).matches(message)).toBe(false);
    expect(refusal(`${text} `).message).toContain('at most 1024');
  });

  test('depth is refused before it is a danger, whatever the shape', () => {
    const limits = { maxLength: 2_000_000 };
    const deep = 300_000;
    for (const text of [
      `${'('.repeat(deep)}a${')'.repeat(deep)}`,
      `${'NOT '.repeat(deep)}a`,
      `${'-'.repeat(deep)}a = 1`,
      `a${' + 1'.repeat(deep)} = 1`,
      `${'p('.repeat(deep)}a`,
    ]) {
      expect(refusal(text, { limits }).message).toContain('levels deep');
    }
  });

  test('a filter of a megabyte of alternatives compiles and matches if the setting allows its length', () => {
    const text = `${"type = 'no' OR ".repeat(66_000)}type = 'order.placed'`;
    const filter = compileFilter(text, { limits: { maxLength: 2_000_000 } });
    expect(filter.matches(message)).toBe(true);
  });

  test('a megabyte of text is refused by its length, whatever is in it', () => {
    expect(refusal("'".repeat(1_000_000)).message).toContain('at most 1024');
  });
});

describe('a compiled filter', () => {
  test('knows when it is the same for every message', () => {
    expect(compileFilter('1=1').constant).toBe(true);
    expect(compileFilter('1=0').constant).toBe(false);
    expect(compileFilter('NULL = 1').constant).toBe(null);
    expect(compileFilter('a = 1').constant).toBe(undefined);
    expect(compileFilter('newid() = newid()').constant).toBe(undefined);
    expect(compileFilter('1/0 = 1').constant).toBe(undefined);
  });

  test('asks the lookup by written and folded name', () => {
    const asked: string[][] = [];
    const lookup: Lookup = (...names) => {
      asked.push(names);
      return 1;
    };
    compileFilter('Color = 1 AND sys.LABEL = 1').test(lookup);
    expect(asked).toEqual([
      ['user', 'Color', 'color'],
      ['sys', 'Subject', 'subject'],
    ]);
  });
});

test('every example of docs/filters.md compiles', async () => {
  const page = await readFile(new URL('../../../docs/filters.md', import.meta.url), 'utf8');
  const examples = [...page.matchAll(/^```sql\n([^`]+)^```/gm)].flatMap(([, block]) => block!.trim().split('\n'));
  expect(examples.length).toBeGreaterThan(3);
  for (const line of examples) /^SET/.test(line) ? compileAction(line) : compileFilter(line);
});
