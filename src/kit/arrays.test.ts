import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { textArray } from './arrays.ts';

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
});
