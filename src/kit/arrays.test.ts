import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { textArray, timestamptzArray } from './arrays.ts';

describe('arrays in binary form', () => {
  const { database } = useDatabase();

  it('bring texts to PostgreSQL as they are', async () => {
    const text = fc.string({ unit: 'binary' }).filter((value) => !value.includes('\0'));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.option(text)), async (values) => {
        const [row] = await database.query<{ got: unknown }>('select to_json($1::text[]) as got', [textArray(values)]);
        expect(row!.got).toEqual(values);
      }),
      { numRuns: 60 },
    );
  });

  it('bring times to PostgreSQL to the millisecond', async () => {
    const times = ['1969-12-31T23:59:59.999Z', '2000-01-01T00:00:00Z', '2026-11-22T08:30:00.123Z'].map(
      (text) => new Date(text),
    );
    expect(await database.query('select unnest($1::timestamptz[]) as at', [timestamptzArray(times)])).toEqual(
      times.map((at) => ({ at })),
    );
  });
});
