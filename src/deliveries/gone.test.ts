import { describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { findGone, forgive, GONE_FOR_MS, markGone } from './gone.ts';

describe('dead endpoints', () => {
  const { database } = useDatabase();
  const now = new Date('2026-01-01T00:00:00Z');
  const gone = (endpoint: string | null, cause = 'smtp_550_5.1.1') =>
    ({ channel: 'email', recipientId: 'ada', endpoint, cause }) as const;
  const find = (at = now) => findGone(database, 'email', ['a@x.example', 'b@x.example'], at);

  it('are remembered with their cause, however often they are marked, and only on their channel', async () => {
    const marked = [gone('a@x.example', 'old'), gone('a@x.example', 'old'), gone(null)];
    await database.transaction((tx) => markGone(tx, marked, now));
    await database.transaction((tx) => markGone(tx, [gone('a@x.example')], now));
    expect(await find()).toEqual(new Map([['a@x.example', 'smtp_550_5.1.1']]));
    expect(await findGone(database, 'mobile', ['a@x.example'], now)).toEqual(new Map());
  });

  it('are tried again after a while, and at once when somebody says that they work', async () => {
    expect((await find(new Date(now.getTime() + GONE_FOR_MS - 1))).size).toBe(1);
    expect((await find(new Date(now.getTime() + GONE_FOR_MS))).size).toBe(0);
    await forgive(database, 'email', 'a@x.example');
    expect((await find()).size).toBe(0);
  });
});
