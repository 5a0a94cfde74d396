import { describe, expect, it } from 'vitest';
import { useBrokers } from '../../../test/support/broker.ts';
import { useDatabase } from '../../../test/support/database.ts';
import { enter, leave, type NodeBeside } from './node-keys.ts';

describe('a node that enters', () => {
  const { database } = useDatabase();
  const { start } = useBrokers(database);
  const others = async (id: string, keys = { adminKey: 'aaaa' }) => {
    let seen: readonly NodeBeside[] = [];
    await enter(database, { id, keys }, (beside) => {
      seen = beside;
    });
    return seen.map((node) => [node.id, node.keys]);
  };

  it('sees the marks of those alive, before and after their brokers have started', async () => {
    expect(await others('x', { adminKey: 'bbbb' })).toEqual([]);
    expect(await others('y')).toEqual([['x', { adminKey: 'bbbb' }]]);
    await start('x', { link: { host: '127.0.0.1', port: 0 } });
    expect(await others('y')).toEqual([['x', { adminKey: 'bbbb' }]]);
    expect(await others('x', { adminKey: 'cccc' })).toEqual([['y', { adminKey: 'aaaa' }]]);
    await leave(database, 'y');
    expect(await others('z')).toEqual([['x', { adminKey: 'cccc' }]]);
    await leave(database, 'z');
  });

  it('does not see the dead, nor those of an older version', async () => {
    await database.query(
      `insert into node (id, lease_until, keys) values ('dead', now() - interval '1 second', '{}'),
         ('old', now() + interval '5 seconds', null)`,
    );
    expect((await others('z')).map(([id]) => id)).not.toContain('dead');
    expect((await others('z')).map(([id]) => id)).not.toContain('old');
    await leave(database, 'z');
  });

  it('has not entered when what it sees is refused', async () => {
    const judge = () => {
      throw new Error('no');
    };
    await expect(enter(database, { id: 'refused', keys: {} }, judge)).rejects.toThrow('no');
    expect((await others('z')).map(([id]) => id)).not.toContain('refused');
  });

  it('is seen by the other one when two enter at once', async () => {
    const seen = await Promise.all(['p', 'q'].map((id) => others(id)));
    const saw = seen.map((list) => list.some(([id]) => id === 'p' || id === 'q'));
    expect(saw.sort()).toEqual([false, true]);
  });
});
