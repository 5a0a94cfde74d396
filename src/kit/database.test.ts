import { describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { sqlState, statement } from './database.ts';

describe('database', () => {
  const { database } = useDatabase();

  it('brings int8 back as a number and bytea as bytes', async () => {
    const bytes = Buffer.from([0, 255, 128, 7]);
    const echo = statement('test.echo', 'select $1::int8 as n, $2::bytea as b');
    expect(await database.query(echo, [2 ** 40, bytes])).toEqual([{ n: 2 ** 40, b: bytes }]);
  });

  it('rolls a transaction back when its work throws', async () => {
    await database.query('create table thing (id int primary key)');
    const work = database.transaction(async (tx) => {
      await tx.query('insert into thing values (1)');
      throw new Error('no');
    });
    await expect(work).rejects.toThrow('no');
    expect(await database.query('select id from thing')).toEqual([]);
  });

  it('tells the SQLSTATE of an error', async () => {
    const error = await database.query('select 1/0').catch((caught: unknown) => caught);
    expect(sqlState(error)).toBe('22012');
  });
});
