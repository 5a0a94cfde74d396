import { serialize } from 'pg-protocol/dist/serializer.js';
import { describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { encodeBind } from './bind.ts';

const long = (byte: string) => Buffer.alloc(100_000, byte);

describe('a statement with long values', () => {
  const { database } = useDatabase();

  it('is encoded as pg encodes it', () => {
    for (const values of [
      [long('a')],
      [1, long('a'), null, 'ä text', long('b'), Buffer.from('short'), undefined],
      ['only', 'short'],
      [],
    ]) {
      const config = { portal: '', statement: 'näme', values, valueMapper: (value: unknown) => mapped(value) };
      expect(Buffer.concat(encodeBind(config)).equals(serialize.bind(config as never))).toBe(true);
    }
  });

  it('does not copy them', () => {
    const value = long('a');
    expect(encodeBind({ values: ['x', value, 'y'] })[1]).toBe(value);
  });

  it('brings them to the database whole, beside short ones and between other statements', async () => {
    const text = 'select length($1::bytea) as a, $2::text as b, md5($3::bytea) as c, $4::int as d, $5::text as e';
    const ask = (n: number) => database.query(text, [long('a'), 'b', long('c'), n, null]);
    const [[first], [count], [second]] = await Promise.all([ask(1), database.query('select 1 as one'), ask(2)]);
    const same = { a: 100_000, b: 'b', e: null };
    const [{ md5 }] = (await database.query('select md5(convert_to(repeat($1, 100000), $2))', ['c', 'UTF8'])) as [
      { md5: string },
    ];
    expect(first).toEqual({ ...same, c: md5, d: 1 });
    expect(count).toEqual({ one: 1 });
    expect(second).toEqual({ ...same, c: md5, d: 2 });
  });
});

function mapped(value: unknown): unknown {
  return typeof value === 'number' ? String(value) : value;
}
