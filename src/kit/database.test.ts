import { describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
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

  it('survives a connection that dies between two statements of a transaction', async () => {
    const work = database.transaction(async (tx) => {
      const [{ pid }] = (await tx.query<{ pid: number }>('select pg_backend_pid() as pid')) as [{ pid: number }];
      await database.query('select pg_terminate_backend($1)', [pid]);
      await eventually(async () =>
        expect(await database.query('select 1 from pg_stat_activity where pid = $1', [pid])).toEqual([]),
      );
      await tx.query('select 1');
    });
    await expect(work).rejects.toThrow();
    expect(await database.query('select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('keeps a part of the work that goes on after another failed from writing anything', async () => {
    await database.query('create table late (id int primary key)');
    let late: Promise<unknown> | undefined;
    const work = database.transaction(async (tx) => {
      const slow = tx.query('select pg_sleep(0.01)').then(() => tx.query('insert into late values (1)'));
      late = slow.catch((error: unknown) => error);
      await Promise.all([slow, Promise.reject(new Error('no'))]);
    });
    await expect(work).rejects.toThrow('no');
    expect(await late).toBeInstanceOf(Error);
    expect(await database.query('select id from late')).toEqual([]);
  });

  it('commits statements at once, and takes all of them back when one of them or their work fails', async () => {
    await database.query('create table once (id int primary key)');
    const checked = (id: number) => {
      if (id < 0) throw new Error('not a number of ours');
      return id;
    };
    const insert = (id: number) =>
      database.atOnce(async (tx) => tx.query('insert into once values ($1) returning id', [id]));
    expect(await insert(1)).toEqual([{ id: 1 }]);
    const colliding = database.atOnce(async (tx) => {
      await Promise.all([tx.query('insert into once values (2)'), tx.query('insert into once values (1)')]);
    });
    await expect(colliding).rejects.toMatchObject({ code: '23505' });
    const unnoticed = database.atOnce(async (tx) => {
      void tx.query('select 1/0').catch(() => {});
      await tx.query("select 'behind it'").catch(() => {});
    });
    await expect(unnoticed).rejects.toThrow('rolled back');
    const unmade = database.atOnce(async (tx) => {
      const make = async (id: number) => tx.query('insert into once values ($1)', [checked(id)]);
      await Promise.all([make(5), make(-1), make(6)]);
    });
    await expect(unmade).rejects.toThrow('not a number of ours');
    expect(await database.query('select id from once')).toEqual([{ id: 1 }]);
    const late = database.atOnce(async (tx) => {
      await tx.query('select 1');
      await tx.query('insert into once values (3)');
    });
    await expect(late).rejects.toThrow('too late');
    expect(await insert(4)).toEqual([{ id: 4 }]);
    expect(await database.query('select id from once order by id')).toEqual([{ id: 1 }, { id: 4 }]);
  });

  it('tells the SQLSTATE of an error', async () => {
    const error = await database.query('select 1/0').catch((caught: unknown) => caught);
    expect(sqlState(error)).toBe('22012');
    expect(sqlState(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))).toBeUndefined();
  });
});
